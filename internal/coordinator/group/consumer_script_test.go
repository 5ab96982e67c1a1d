package group

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/wire"
)

// consumerCommand is what scripts say of consumer groups.
func (b *bench) consumerCommand(a args) bool {
	switch a.d.Cmd {
	case "policy":
		b.cfg.Consumer.NoUpgrade, b.cfg.Consumer.NoDowngrade = !a.has("upgrade"), !a.has("downgrade")
		if n := a.num("max-size", 0); n > 0 {
			b.cfg.Consumer.MaxSize = n
		}
		b.crash()
		b.start()
	case "settings":
		b.settings = GroupSettings{a.dur("session", "45s"), a.dur("heartbeat", "5s"), a.dur("interval", "1s")}
	case "topic":
		b.topic(a.str("name", ""), a.num("partitions", 0))
	case "beat":
		b.beat(a)
	case "describe-consumer":
		b.describeConsumer(a)
	case "fetch-as":
		member := a.str("member", "")
		b.c.FetchOffsets("g", Fetcher{&member, int32(a.num("epoch", 0))}, nil, false, func(code wire.Code, ts []FetchedTopic) {
			b.say("fetch: %s%s", code.Name(), offsetsLine(ts))
		})
	default:
		return false
	}
	return true
}

// topic makes a topic, adds partitions to it, or with 0 deletes it.
func (b *bench) topic(name string, partitions int) {
	img := b.image()
	old, at := img.TopicByName(name), image.Provenance{Offset: img.Offset() + 1}
	var records []mr.Versioned
	add := func(r mr.Record) { records = append(records, mr.Versioned{Record: r}) }
	id, have := topicID(fmt.Sprint(name, at.Offset)), 0
	switch {
	case partitions == 0:
		add(&mr.RemoveTopicRecord{TopicID: old.ID})
	case old != nil:
		id, have = old.ID, len(old.Partitions)
	default:
		add(&mr.TopicRecord{Name: name, TopicID: id})
	}
	for p := have; p < partitions; p++ {
		add(&mr.PartitionRecord{TopicID: id, PartitionID: int32(p), Replicas: []int32{1}, ISR: []int32{1}, Leader: 1})
	}
	next, delta, err := img.Apply(at, records...)
	if err != nil {
		panic(err)
	}
	b.img.Store(next)
	b.c.TopicsChanged(delta, at.Offset)
}

// beat sends a ConsumerGroupHeartbeat: beat member=m [epoch=0] [topics=(t)] [regex=t.*] [owned=(t/0)] [instance=i] …
// Without epoch it is a full one of a member that joins.
func (b *bench) beat(a args) {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Version = int16(a.num("v", 1))
	req.Group, req.MemberID, req.InstanceID = a.str("group", "g"), a.str("member", ""), a.ptr("instance")
	req.MemberEpoch, req.RebalanceTimeoutMillis = int32(a.num("epoch", 0)), -1
	req.SubscribedTopicRegex, req.ServerAssignor, req.RackID = a.ptr("regex"), a.ptr("assignor"), a.ptr("rack")
	if a.has("topics") {
		req.SubscribedTopicNames = append([]string{}, a.list("topics")...)
	}
	if req.MemberEpoch == 0 || a.has("full") {
		req.RebalanceTimeoutMillis = int32(a.dur("rebalance", "60s").Milliseconds())
		if req.SubscribedTopicNames == nil && req.SubscribedTopicRegex == nil {
			req.SubscribedTopicNames = []string{}
		}
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	if a.has("owned") {
		req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	}
	for _, tp := range a.list("owned") {
		t, p, any := strings.Cut(tp, "/")
		if !any {
			continue // ()
		}
		n, _ := strconv.Atoi(p)
		req.Topics = append(req.Topics, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: b.image().TopicByName(t).ID, Partitions: []int32{int32(n)}})
	}
	hidden := a.list("hidden")
	visible := func(topic string) bool { return !slices.Contains(hidden, topic) }
	b.c.ConsumerHeartbeat(Client{a.str("client", "c"), "/127.0.0.1"}, visible, req, func(r *kmsg.ConsumerGroupHeartbeatResponse) {
		roundTrip(r)
		if r.ErrorCode != 0 {
			line := fmt.Sprintf("beat %s: %s", req.MemberID, name(r.ErrorCode))
			if r.ErrorMessage != nil {
				line += " " + *r.ErrorMessage
			}
			b.say("%s", line)
			return
		}
		line := fmt.Sprintf("beat %s: epoch %d", *r.MemberID, r.MemberEpoch)
		if r.Assignment != nil {
			line += " has"
			for _, t := range r.Assignment.Topics {
				line += b.partitionsLine(t.TopicID, t.Partitions)
			}
		}
		b.say("%s", line)
	})
}

func (b *bench) partitionsLine(id wire.TopicID, ps []int32) (s string) {
	name := "?"
	if t := b.image().TopicByID(id); t != nil {
		name = t.Name
	}
	for _, p := range ps {
		s += fmt.Sprintf(" %s/%d", name, p)
	}
	return s
}

func (b *bench) describeConsumer(a args) {
	b.c.DescribeConsumerGroups([]string{a.str("group", "g")}, func(ds []ConsumerDescription) {
		d := ds[0]
		if d.Err != nil {
			b.say("%s: %s %s", d.Group, wire.CodeOf(d.Err).Name(), d.Err.Error())
			return
		}
		b.say("%s: %s epoch %d assignment epoch %d assignor %s", d.Group, d.State, d.Epoch, d.TargetEpoch, d.Assignor)
		for _, m := range d.Members {
			line := fmt.Sprintf("  %s epoch %d", m.ID, m.Member.Epoch)
			if m.InstanceID != nil {
				line += " instance " + *m.InstanceID
			}
			if m.Classic != nil {
				line += " classic"
			}
			line += fmt.Sprintf(" wants %v %q has", m.Topics, m.Regex)
			for _, t := range m.Owned.Topics() {
				line += b.partitionsLine(t, m.Owned[t])
			}
			line += " target"
			for _, t := range m.Target.Topics() {
				line += b.partitionsLine(t, m.Target[t])
			}
			b.say("%s", line)
		}
	})
}
