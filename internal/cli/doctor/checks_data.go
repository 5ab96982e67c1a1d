package doctor

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/cli/machine"
)

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// some is the first few of many names.
func some[T any](all []T) string {
	const most = 5
	var texts []string
	for _, e := range all[:min(len(all), most)] {
		texts = append(texts, fmt.Sprint(e))
	}
	text := strings.Join(texts, ", ")
	if len(all) > most {
		text += fmt.Sprintf(" and %d more", len(all)-most)
	}
	return text
}

// partitionsOf lists the partitions that pick gives, as topic-partition.
func partitionsOf(f *facts, pick func(topic) []int32) (out []string) {
	if f.cluster == nil {
		return nil
	}
	for _, t := range f.cluster.topics {
		for _, p := range pick(t) {
			out = append(out, t.name+"-"+strconv.Itoa(int(p)))
		}
	}
	return out
}

func checkOffline(f *facts) []Finding {
	all := partitionsOf(f, func(t topic) []int32 { return t.offline })
	if len(all) == 0 {
		return nil
	}
	return []Finding{{Severity: Error, Where: "cluster", Evidence: fmt.Sprintf("%d partitions have no leader and serve nobody: %s", len(all), some(all)),
		Fix: "start the brokers that are down: kafka-topics --bootstrap-server " + f.cluster.bootstrap + " --describe --unavailable-partitions"}}
}

func checkUnderReplicated(f *facts) []Finding {
	all := partitionsOf(f, func(t topic) []int32 { return t.under })
	if len(all) == 0 {
		return nil
	}
	return []Finding{{Severity: Error, Where: "cluster", Evidence: fmt.Sprintf("%d partitions have fewer copies in sync than they should: %s", len(all), some(all)),
		Fix: "find the broker that is down or slow: kafka-topics --bootstrap-server " + f.cluster.bootstrap + " --describe --under-replicated-partitions"}}
}

// factors are the settings that say how often records are kept.
var factors = []string{"default.replication.factor", "offsets.topic.replication.factor", "transaction.state.log.replication.factor"}

// brokers is how many there are, or how many a file lets one expect.
func (f *facts) brokers(n *node) int {
	if f.cluster != nil {
		return f.cluster.brokers
	}
	return len(n.list("controller.quorum.voters"))
}

func checkReplication(f *facts) []Finding {
	out := each(f, func(n *node) (out []Finding) {
		count := f.brokers(n)
		for _, key := range factors {
			factor := n.int(key)
			switch {
			case f.cluster != nil && factor > count && key != "default.replication.factor":
				out = append(out, Finding{Severity: Error, Evidence: fmt.Sprintf("%s=%d with %d brokers: the topic cannot be made, and what needs it fails", key, factor, count), Fix: n.line(fmt.Sprintf("%s=%d", key, min(3, count)))})
			case f.cluster != nil && factor > count:
				out = append(out, Finding{Severity: Warning, Evidence: fmt.Sprintf("%s=%d with %d brokers: topics that ask for nothing else cannot be made", key, factor, count), Fix: n.line(fmt.Sprintf("%s=%d", key, min(3, count)))})
			case factor == 1 && count > 1:
				out = append(out, Finding{Severity: Warning, Evidence: fmt.Sprintf("%s=1 with %d nodes: what is kept once is gone with its broker", key, count), Fix: n.line(fmt.Sprintf("%s=%d", key, min(3, count)))})
			}
		}
		return out
	})
	if f.cluster != nil && f.cluster.brokers > 1 {
		var once []string
		for _, t := range f.cluster.topics {
			if t.replicas == 1 {
				once = append(once, t.name)
			}
		}
		if len(once) > 0 {
			out = append(out, Finding{Severity: Warning, Where: "cluster", Evidence: fmt.Sprintf("%d topics are kept once on %d brokers: %s", len(once), f.cluster.brokers, some(once)),
				Fix: "kafka-reassign-partitions --bootstrap-server " + f.cluster.bootstrap + " --execute --reassignment-json-file FILE   # with more replicas"})
		}
	}
	return out
}

func checkMinISR(f *facts) []Finding {
	if f.cluster == nil {
		return each(f, func(n *node) []Finding {
			factor, least := n.int("default.replication.factor"), n.int("min.insync.replicas")
			switch {
			case least > factor:
				return []Finding{{Severity: Error, Evidence: fmt.Sprintf("min.insync.replicas=%d is more than default.replication.factor=%d: nothing can be written with acks=all", least, factor), Fix: fmt.Sprintf("min.insync.replicas=%d", max(1, factor-1))}}
			case least == factor && factor > 1:
				return []Finding{{Severity: Warning, Evidence: fmt.Sprintf("min.insync.replicas=%d equals default.replication.factor: the restart of one broker stops writes with acks=all", least), Fix: fmt.Sprintf("min.insync.replicas=%d", factor-1)}}
			case least == 1 && factor >= 3:
				return []Finding{{Severity: Warning, Evidence: fmt.Sprintf("min.insync.replicas=1 with default.replication.factor=%d: what is acknowledged may be on one broker only", factor), Fix: "min.insync.replicas=2"}}
			}
			return nil
		})
	}
	var never, fragile, weak []string
	for _, t := range f.cluster.topics {
		switch {
		case t.minISR > t.replicas && t.replicas > 0:
			never = append(never, t.name)
		case t.minISR == t.replicas && t.replicas > 1:
			fragile = append(fragile, t.name)
		case t.minISR == 1 && t.replicas >= 3 && !strings.HasPrefix(t.name, "__"):
			weak = append(weak, t.name)
		}
	}
	var out []Finding
	add := func(severity Severity, topics []string, text, value string) {
		if len(topics) > 0 {
			out = append(out, Finding{Severity: severity, Where: "cluster", Evidence: fmt.Sprintf("%d topics %s: %s", len(topics), text, some(topics)),
				Fix: fmt.Sprintf("kafka-configs --bootstrap-server %s --alter --entity-type topics --entity-name %s --add-config min.insync.replicas=%s", f.cluster.bootstrap, topics[0], value)})
		}
	}
	add(Error, never, "want more replicas in sync (min.insync.replicas) than they have: nothing can be written with acks=all", "1")
	add(Warning, fragile, "want all replicas in sync: the restart of one broker stops writes with acks=all", "REPLICAS-1")
	add(Warning, weak, "with three replicas or more have min.insync.replicas=1: what is acknowledged may be on one broker only", "2")
	return out
}

func checkUnclean(f *facts) []Finding {
	out := each(f, func(n *node) []Finding {
		if !strings.EqualFold(n.get("unclean.leader.election.enable"), "true") {
			return nil
		}
		return []Finding{{Severity: Error, Evidence: "unclean.leader.election.enable=true: a replica that lacks records may become leader, and acknowledged records are gone", Fix: n.line("unclean.leader.election.enable=false")}}
	})
	if f.cluster != nil {
		var topics []string
		for _, t := range f.cluster.topics {
			if t.unclean {
				topics = append(topics, t.name)
			}
		}
		if len(topics) > 0 && len(out) == 0 {
			out = append(out, Finding{Severity: Error, Where: "cluster", Evidence: fmt.Sprintf("%d topics elect unclean leaders, which loses acknowledged records: %s", len(topics), some(topics)),
				Fix: "kafka-configs --bootstrap-server " + f.cluster.bootstrap + " --alter --entity-type topics --entity-name " + topics[0] + " --add-config unclean.leader.election.enable=false"})
		}
	}
	return out
}

func checkVolatile(f *facts) []Finding {
	return each(f, func(n *node) (out []Finding) {
		for _, d := range n.dirs {
			if d.volatile != "" {
				out = append(out, Finding{Severity: Error, Evidence: fmt.Sprintf("the log directory %s %s: its records may be gone after a restart of the machine", d.path, d.volatile), Fix: n.line("log.dirs=/var/lib/kafka")})
			}
		}
		return out
	})
}

// Less free space than this is a warning, and an error.
const (
	littleSpace = 0.10
	noSpace     = 0.03
	leastSpace  = 1 << 30
)

func checkDisk(f *facts) []Finding {
	return each(f, func(n *node) (out []Finding) {
		for _, d := range n.dirs {
			if d.total <= 0 {
				continue
			}
			part, severity := float64(d.free)/float64(d.total), Warning
			switch {
			case part < noSpace || d.free < leastSpace:
				severity = Error
			case part < littleSpace:
			default:
				continue
			}
			out = append(out, Finding{Severity: severity, Evidence: fmt.Sprintf("%s: %.1f GiB of %.1f GiB are free (%.0f %%); a broker whose disk is full takes the directory offline", d.path, float64(d.free)/(1<<30), float64(d.total)/(1<<30), 100*part),
				Fix: "a larger disk, or shorter retention: kafka-configs --alter --entity-type topics --entity-name TOPIC --add-config retention.bytes=…"})
		}
		return out
	})
}

func checkFiles(f *facts) []Finding {
	return each(f, func(n *node) []Finding {
		if n.openFiles == 0 || n.openFiles >= machine.EnoughFiles {
			return nil
		}
		return []Finding{{Severity: Warning, Evidence: fmt.Sprintf("a process may open %d files here; a busy broker needs %d or more", n.openFiles, machine.EnoughFiles),
			Fix: fmt.Sprintf("LimitNOFILE=%d   # in the systemd unit; or ulimit -n", 2*machine.EnoughFiles)}}
	})
}

// How far clocks may be apart.
const (
	clockWarning = time.Second
	clockError   = time.Minute
)

func checkClock(f *facts) []Finding {
	out := each(f, func(n *node) []Finding {
		if !n.clockUnkept {
			return nil
		}
		return []Finding{{Severity: Warning, Evidence: "the kernel says that nothing keeps this machine's clock right", Fix: "timedatectl set-ntp true   # or chrony"}}
	})
	if f.cluster != nil && f.cluster.clockKnown {
		off := f.cluster.clock.Abs() - f.cluster.clockError
		if off > clockWarning {
			found := Finding{Severity: Warning, Where: "controller", Evidence: fmt.Sprintf("its clock is %s from this machine's (give or take %s): retention, tokens and certificates go by it", f.cluster.clock.Round(time.Millisecond), f.cluster.clockError.Round(time.Millisecond)),
				Fix: "timedatectl set-ntp true   # on the machine whose clock is wrong"}
			if off > clockError {
				found.Severity = Error
			}
			out = append(out, found)
		}
	}
	return out
}

func checkAutoCreate(f *facts) []Finding {
	return each(f, func(n *node) []Finding {
		if !strings.EqualFold(n.get("auto.create.topics.enable"), "true") {
			return nil
		}
		return []Finding{{Severity: Info, Evidence: "auto.create.topics.enable=true: a mistyped name makes a topic, with default partitions and replicas", Fix: n.line("auto.create.topics.enable=false")}}
	})
}

// Before these there are no more fixes.
const (
	oldestRelease  = 4.0
	oldestMetadata = 25 // 4.0-IV3
)

// oldSettings are from the time of ZooKeeper.
var oldSettings = []string{"zookeeper.connect", "inter.broker.protocol.version", "log.message.format.version"}

func checkVersion(f *facts) []Finding {
	return each(f, func(n *node) (out []Finding) {
		if release, err := strconv.ParseFloat(n.guess, 64); err == nil && release < oldestRelease {
			out = append(out, Finding{Severity: Warning, Evidence: "it answers like Kafka " + n.guess + ", which gets no fixes for vulnerabilities any more", Fix: "upgrade to a release that is kept up"})
		}
		if n.metadataFrom > 0 && n.metadataFrom < oldestMetadata {
			out = append(out, Finding{Severity: Warning, Evidence: fmt.Sprintf("metadata.version is %d, of a release before 4.0", n.metadataFrom), Fix: "kafka-features --bootstrap-server " + f.cluster.bootstrap + " upgrade --release-version 4.0"})
		}
		for _, key := range oldSettings {
			if n.file != "" && n.given(key) {
				out = append(out, Finding{Severity: Warning, Evidence: key + " is set, which Kafka 4 does not know: the file is of an older release", Fix: "remove the line " + key + "=…"})
			}
		}
		return out
	})
}
