package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/machine"
)

// gatherer asks a running cluster. What it is refused goes into the facts as unknown.
type gatherer struct {
	facts *facts
	admin *client.Admin
	adm   *kadm.Client
	now   func() time.Time
}

// fromCluster gathers what a cluster answers. The error is that of a cluster that cannot be asked at all.
func fromCluster(ctx context.Context, p client.Properties, tryKnown bool, now func() time.Time, stderr io.Writer) (*facts, error) {
	admin, err := client.NewAdmin(p, stderr)
	if err != nil {
		return nil, err
	}
	defer admin.Close()
	bootstrap := p["bootstrap.servers"]
	g := &gatherer{admin: admin, adm: admin.Kadm(), now: now,
		facts: &facts{target: bootstrap, now: now(), cluster: &cluster{bootstrap: bootstrap}}}
	var meta kadm.Metadata
	if err := admin.Do(ctx, "describeCluster", func(ctx context.Context) (err error) {
		meta, err = g.adm.Metadata(ctx)
		return err
	}); err != nil {
		return nil, err
	}
	for _, b := range meta.Brokers {
		g.facts.nodes = append(g.facts.nodes, &node{where: fmt.Sprintf("broker %d", b.NodeID), settings: map[string]string{}})
	}
	g.facts.cluster.brokers = len(meta.Brokers)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	g.brokers(ctx, meta)
	probeAll(ctx, g.facts.nodes)
	g.topics(ctx, meta)
	g.rules(ctx)
	g.clock(ctx)
	if tryKnown && strings.HasPrefix(strings.ToUpper(p["security.protocol"]), "SASL") {
		g.facts.cluster.taken = tryPasswords(ctx, p)
	}
	return g.facts, nil
}

// unknown notes what could not be learned.
func (g *gatherer) unknown(what string, err error) {
	g.facts.unknown = append(g.facts.unknown, fmt.Sprintf("%s: %v", what, err))
}

// brokers asks each broker for its settings, directories and versions.
func (g *gatherer) brokers(ctx context.Context, meta kadm.Metadata) {
	versions, err := g.adm.ApiVersions(ctx)
	if err != nil {
		g.unknown("versions", err)
	}
	for i, b := range meta.Brokers {
		n := g.facts.nodes[i]
		configs, err := g.adm.DescribeBrokerConfigs(ctx, b.NodeID)
		if err == nil && len(configs) == 1 {
			err = configs[0].Err
		}
		if err != nil {
			g.unknown("settings of "+n.where, err)
		} else if len(configs) == 1 {
			for _, c := range configs[0].Configs {
				if c.Value != nil {
					n.settings[c.Key] = *c.Value
				}
			}
		}
		n.listeners = withoutControllers(n, parseListeners(n.settings))
		n.mark(b.Host, int(b.Port))
		g.directories(ctx, n, b.NodeID)
		n.version(versions[b.NodeID])
	}
}

// withoutControllers leaves out the listeners that clients are not told of.
func withoutControllers(n *node, all []listener) []listener {
	names := split(strings.ToUpper(n.get("controller.listener.names")), ",")
	return slices.DeleteFunc(all, func(l listener) bool { return slices.Contains(names, l.name) })
}

// mark says which listener is the one that clients are sent to, as this one is; one that no setting shows is added.
func (n *node) mark(host string, port int) {
	for i := range n.listeners {
		if l := &n.listeners[i]; l.port == port && (l.host == host || l.host == "") {
			l.host, l.mustReach = host, true
			return
		}
	}
	n.listeners = append(n.listeners, listener{name: "(advertised)", protocol: "UNKNOWN", bind: host, host: host, port: port, mustReach: true, anonymous: -1})
}

func (g *gatherer) directories(ctx context.Context, n *node, id int32) {
	dirs, err := g.adm.DescribeBrokerLogDirs(ctx, id, nil)
	if err != nil {
		g.unknown("log directories of "+n.where, err)
		return
	}
	dirs.Each(func(d kadm.DescribedLogDir) {
		if d.Err != nil {
			g.unknown("log directory "+d.Dir+" of "+n.where, d.Err)
			return
		}
		found := directory{path: d.Dir, total: d.TotalBytes, free: d.UsableBytes}
		if why := machine.Volatile(d.Dir); strings.HasPrefix(why, "is under") { // what is mounted there is not seen from here
			found.volatile = why
		}
		n.dirs = append(n.dirs, found)
	})
}

var releaseNumber = regexp.MustCompile(`v(\d+\.\d+)`)

// version guesses a broker's release, unless it is Weir, which has requests of all ages.
func (n *node) version(v kadm.BrokerApiVersions) {
	if v.Err != nil || v.Raw() == nil {
		return
	}
	for _, f := range v.Raw().FinalizedFeatures {
		if f.Name == "metadata.version" {
			n.metadataFrom = f.MaxVersionLevel
		}
	}
	if _, ok := n.settings["weir.durability"]; ok {
		return
	}
	if m := releaseNumber.FindStringSubmatch(v.VersionGuess()); m != nil {
		n.guess = m[1]
	}
}

func (g *gatherer) topics(ctx context.Context, meta kadm.Metadata) {
	names := meta.Topics.Names()
	configs := map[string]kadm.ResourceConfig{}
	if len(names) > 0 {
		found, err := g.adm.DescribeTopicConfigs(ctx, names...)
		if err != nil {
			g.unknown("settings of topics", err)
		}
		for _, c := range found {
			configs[c.Name] = c
		}
	}
	for _, d := range meta.Topics.Sorted() {
		if d.Err != nil {
			g.unknown("topic "+d.Topic, d.Err)
			continue
		}
		t := topic{name: d.Topic, partitions: len(d.Partitions)}
		for _, p := range d.Partitions.Sorted() {
			t.replicas = len(p.Replicas)
			switch {
			case p.Leader < 0:
				t.offline = append(t.offline, p.Partition)
			case len(p.ISR) < len(p.Replicas):
				t.under = append(t.under, p.Partition)
			}
		}
		for _, c := range configs[d.Topic].Configs {
			switch {
			case c.Value == nil:
			case c.Key == "min.insync.replicas":
				t.minISR, _ = strconv.Atoi(*c.Value)
			case c.Key == "unclean.leader.election.enable":
				t.unclean = *c.Value == "true"
			}
		}
		g.facts.cluster.topics = append(g.facts.cluster.topics, t)
	}
}

func (g *gatherer) rules(ctx context.Context) {
	all := kadm.NewACLs().Allow().AllowHosts().Deny().DenyHosts().AnyResource().Operations().ResourcePatternType(kadm.ACLPatternAny)
	found, err := g.adm.DescribeACLs(ctx, all)
	if err != nil {
		g.unknown("rules", err)
		return
	}
	seen := map[rule]bool{}
	for _, r := range found {
		switch {
		case errors.Is(r.Err, kerr.SecurityDisabled):
			g.facts.cluster.noAuthorizer = true
			return
		case r.Err != nil:
			g.unknown("rules", r.Err)
			return
		}
		for _, d := range r.Described {
			one := rule{principal: d.Principal, resource: d.Type.String(), name: d.Name, pattern: d.Pattern.String(), operation: d.Operation.String(), host: d.Host, allow: d.Permission == kmsg.ACLPermissionTypeAllow}
			if !seen[one] {
				seen[one] = true
				g.facts.cluster.rules = append(g.facts.cluster.rules, one)
			}
		}
	}
}

// clock compares this machine's clock with the active controller's, which stamps its own entry in the answer about the
// quorum with the time of the answer. Followers' stamps are the leader's as well.
func (g *gatherer) clock(ctx context.Context) {
	req := kmsg.NewPtrDescribeQuorumRequest()
	t := kmsg.NewDescribeQuorumRequestTopic()
	t.Topic = "__cluster_metadata"
	t.Partitions = append(t.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, t)
	before := g.now()
	resp, err := g.admin.Call(ctx, "describeMetadataQuorum", req)
	took := g.now().Sub(before)
	if err != nil {
		g.unknown("the controller's clock", err)
		return
	}
	r := resp.(*kmsg.DescribeQuorumResponse)
	if r.ErrorCode != 0 {
		g.unknown("the controller's clock", kerr.ErrorForCode(r.ErrorCode))
		return
	}
	for _, t := range r.Topics {
		for _, p := range t.Partitions {
			for _, v := range p.CurrentVoters {
				if v.ReplicaID == p.LeaderID && v.LastCaughtUpTimestamp > 0 {
					c := g.facts.cluster
					c.clockKnown, c.clockError = true, took
					c.clock = time.UnixMilli(v.LastCaughtUpTimestamp).Sub(before.Add(took / 2))
				}
			}
		}
	}
}
