package client

import (
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// assignors maps Java's class names of partition.assignment.strategy.
var assignors = map[string]func() kgo.GroupBalancer{
	"RangeAssignor":             kgo.RangeBalancer,
	"RoundRobinAssignor":        kgo.RoundRobinBalancer,
	"StickyAssignor":            kgo.StickyBalancer,
	"CooperativeStickyAssignor": kgo.CooperativeStickyBalancer,
}

func groupOptions(p Properties) ([]kgo.Opt, error) {
	group := p["group.id"]
	if group == "" {
		return nil, nil
	}
	opts := []kgo.Opt{kgo.ConsumerGroup(group)}
	if id := p["group.instance.id"]; id != "" {
		opts = append(opts, kgo.InstanceID(id))
	}
	balancers, err := balancersOf(p)
	if err != nil {
		return nil, err
	}
	opts = append(opts, balancers...)
	type timing struct {
		key string
		def time.Duration
		opt func(time.Duration) kgo.Opt
	}
	for _, t := range []timing{
		{"session.timeout.ms", 45 * time.Second, func(d time.Duration) kgo.Opt { return kgo.SessionTimeout(d) }},
		{"heartbeat.interval.ms", 3 * time.Second, func(d time.Duration) kgo.Opt { return kgo.HeartbeatInterval(d) }},
		{"max.poll.interval.ms", 5 * time.Minute, func(d time.Duration) kgo.Opt { return kgo.RebalanceTimeout(d) }},
		{"auto.commit.interval.ms", 5 * time.Second, func(d time.Duration) kgo.Opt { return kgo.AutoCommitInterval(d) }},
	} {
		d, err := p.Millis(t.key, t.def)
		if err != nil {
			return nil, err
		}
		opts = append(opts, t.opt(max(d, time.Millisecond)))
	}
	commit, err := p.Bool("enable.auto.commit", true)
	if err != nil {
		return nil, err
	}
	if commit {
		return append(opts, kgo.AutoCommitMarks()), nil
	}
	return append(opts, kgo.DisableAutoCommit()), nil
}

func balancersOf(p Properties) ([]kgo.Opt, error) {
	switch strings.ToLower(p["group.protocol"]) {
	case "consumer":
		return []kgo.Opt{kgo.ServerSideBalancer(), kgo.Balancers(serverAssignor(p["group.remote.assignor"]))}, nil
	case "", "classic":
	default:
		return nil, ConfigError("Invalid value " + p["group.protocol"] +
			" for configuration group.protocol: String must be one of (case insensitive): CONSUMER, CLASSIC")
	}
	names := p.List("partition.assignment.strategy")
	if len(names) == 0 {
		return []kgo.Opt{kgo.Balancers(kgo.RangeBalancer(), kgo.CooperativeStickyBalancer())}, nil
	}
	var balancers []kgo.GroupBalancer
	for _, name := range names {
		balancer := assignors[name[strings.LastIndexByte(name, '.')+1:]]
		if balancer == nil {
			return nil, ConfigError("Invalid value " + name + " for configuration partition.assignment.strategy: " +
				"known are RangeAssignor, RoundRobinAssignor, StickyAssignor and CooperativeStickyAssignor")
		}
		balancers = append(balancers, balancer())
	}
	return []kgo.Opt{kgo.Balancers(balancers...)}, nil
}

func serverAssignor(name string) kgo.GroupBalancer {
	if name == "range" {
		return kgo.RangeBalancer()
	}
	return kgo.StickyBalancer()
}
