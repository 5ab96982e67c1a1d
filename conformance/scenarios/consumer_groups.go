package scenarios

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

// consumer is one member of a consumer group (KIP-848).
type consumer struct {
	s        *script.Session
	group    string
	id       string
	instance *string
	epoch    int32
	topics   []string
	regex    *string
	version  int16
	has      []kmsg.ConsumerGroupHeartbeatRequestTopic
}

func newConsumer(s *script.Session, group, id string, topics ...string) *consumer {
	return &consumer{s: s, group: group, id: id, topics: append([]string{}, topics...), version: 1}
}

func (c *consumer) request() *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.InstanceID, req.MemberEpoch, req.RebalanceTimeoutMillis = c.group, c.id, c.instance, c.epoch, -1
	return req
}

func (c *consumer) joining() *kmsg.ConsumerGroupHeartbeatRequest {
	req := c.request()
	req.MemberEpoch, req.RebalanceTimeoutMillis, req.SubscribedTopicNames, req.SubscribedTopicRegex = 0, 30000, c.topics, c.regex
	if c.regex != nil {
		req.SubscribedTopicNames = nil
	}
	req.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	return req
}

func (c *consumer) send(label string, req *kmsg.ConsumerGroupHeartbeatRequest) int16 {
	resp, ok := c.s.Ask(c.group+" "+label, c.version, req).(*kmsg.ConsumerGroupHeartbeatResponse)
	if !ok {
		return -1
	}
	if resp.ErrorCode == 0 {
		c.epoch = resp.MemberEpoch
		if resp.MemberID != nil {
			c.id = *resp.MemberID
		}
		if resp.Assignment != nil {
			c.has = nil
			for _, t := range resp.Assignment.Topics {
				c.has = append(c.has, kmsg.ConsumerGroupHeartbeatRequestTopic{TopicID: t.TopicID, Partitions: t.Partitions})
			}
		}
	}
	return resp.ErrorCode
}

func (c *consumer) join(label string) int16 { return c.send(label, c.joining()) }

// beat sends a heartbeat that says nothing of partitions.
func (c *consumer) beat(label string) int16 { return c.send(label, c.request()) }

// owns sends one that says what the member has.
func (c *consumer) owns(label string) int16 {
	req := c.request()
	req.Topics = append([]kmsg.ConsumerGroupHeartbeatRequestTopic{}, c.has...)
	return c.send(label, req)
}

func (c *consumer) leave(label string, epoch int32) int16 {
	req := c.request()
	req.MemberEpoch = epoch
	return c.send(label, req)
}

func (c *consumer) in(epoch int32) *consumer {
	other := *c
	other.epoch = epoch
	return &other
}

// atOnce lets a group have a new target assignment whenever there is cause.
func atOnce(s *script.Session, groups ...string) {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	for _, g := range groups {
		r := kmsg.NewIncrementalAlterConfigsRequestResource()
		r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeGroupConfig, g
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value = "consumer.assignment.interval.ms", ptr("0")
		r.Configs = append(r.Configs, c)
		req.Resources = append(req.Resources, r)
	}
	s.Quiet(1, req)
	coordinatorsReady(s, groups...)
}

// coordinatorsReady waits until the groups have a coordinator that answers.
func coordinatorsReady(s *script.Session, groups ...string) {
	for _, g := range groups {
		s.Until("the coordinator of "+g, func() bool {
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorKeys = []string{g}
			resp, ok := s.Quiet(4, req).(*kmsg.FindCoordinatorResponse)
			if !ok || len(resp.Coordinators) != 1 || resp.Coordinators[0].ErrorCode != 0 {
				return false
			}
			ask := kmsg.NewPtrDescribeGroupsRequest()
			ask.Groups = []string{g}
			d, ok := s.Quiet(5, ask).(*kmsg.DescribeGroupsResponse)
			return ok && d.Groups[0].ErrorCode == 0
		})
	}
}

func describeConsumers(s *script.Session, label string, groups ...string) {
	each(s, kmsg.ConsumerGroupDescribe, func(v int16) {
		req := kmsg.NewPtrConsumerGroupDescribeRequest()
		req.Groups, req.IncludeAuthorizedOperations = groups, v == 1
		s.Ask(groups[0]+" described: "+label, v, req)
	})
}

func listAs(s *script.Session, label string, states, types []string) {
	req := kmsg.NewPtrListGroupsRequest()
	req.StatesFilter, req.TypesFilter = states, types
	resp, ok := s.Quiet(5, req).(*kmsg.ListGroupsResponse)
	if !ok {
		return
	}
	resp.Groups = slices.DeleteFunc(resp.Groups, func(g kmsg.ListGroupsResponseGroup) bool { return len(g.Group) < 9 || g.Group[:9] != "consumers" })
	s.Record("listed: "+label, resp)
}

// consumersErrors: what is wrong with a heartbeat by itself, and with who sends it.
func consumersErrors(s *script.Session) {
	create(s, "consumers-errors", 2)
	atOnce(s, "consumers-errors")
	each(s, kmsg.ConsumerGroupHeartbeat, func(v int16) {
		for label, f := range inOrder(map[string]func(*kmsg.ConsumerGroupHeartbeatRequest){
			"no group":              func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Group = "" },
			"blank group":           func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Group = " " },
			"no member, epoch 1":    func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberID, r.MemberEpoch = "", 1 },
			"no member, epoch -1":   func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberID, r.MemberEpoch = "", -1 },
			"empty instance":        func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.InstanceID = ptr("") },
			"empty rack":            func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RackID = ptr("") },
			"no rebalance time-out": func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.RebalanceTimeoutMillis = -1 },
			"no partitions":         func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Topics = nil },
			"no subscription":       func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicNames = nil },
			"epoch -2, no instance": func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -2 },
			"epoch -3":              func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.MemberEpoch = -3 },
			"assignor":              func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.ServerAssignor = ptr("sticky") },
			"no such group":         func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Group, r.MemberEpoch = "consumers-errors-none", 1 },
			"leaves no such group":  func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.Group, r.MemberEpoch = "consumers-errors-none", -1 },
			"regular expression":    func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicRegex = ptr("[a") },
			"regular expression 2":  func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicRegex = ptr("a(b") },
			"regular expression 3":  func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicRegex = ptr("(?=x)") },
			"regular expression 4":  func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicRegex = ptr("*x") },
			"regular expression 5":  func(r *kmsg.ConsumerGroupHeartbeatRequest) { r.SubscribedTopicRegex = ptr("x{9999}") },
			"a partition when joining": func(r *kmsg.ConsumerGroupHeartbeatRequest) {
				r.Topics = []kmsg.ConsumerGroupHeartbeatRequestTopic{{Partitions: []int32{0}}}
			},
		}) {
			if v == 0 && label[0] == 'r' {
				continue // version 0 has none
			}
			c := newConsumer(s, "consumers-errors", "someone", "consumers-errors")
			req := c.joining()
			f(req)
			s.Ask(label, v, req)
		}
	})
	old := newConsumer(s, "consumers-errors", "", "consumers-errors")
	old.version = 0
	if old.join("version 0 makes an id") == 0 {
		old.in(old.epoch + 1).beat("epoch ahead")
		old.in(1).beat("epoch behind")
		stranger := newConsumer(s, old.group, "stranger")
		stranger.in(old.epoch).beat("stranger")
		stranger.leave("stranger leaves", -1)
		stranger.instance = ptr("i")
		stranger.in(old.epoch).beat("static stranger")
		stranger.leave("static stranger leaves", -2)
		old.leave("leaves", -1)
	}
	req := kmsg.NewPtrConsumerGroupDescribeRequest()
	req.Groups = []string{"", "consumers-errors-none", "consumers-errors"}
	s.Ask("described", 1, req)
}

// consumersLife: two members, partitions that change hands, offsets in epochs, the end.
func consumersLife(s *script.Session) {
	const g = "consumers-life"
	create(s, g, 4)
	atOnce(s, g)
	a, b := newConsumer(s, g, "a", g), newConsumer(s, g, "b", g)
	a.join("a joins")
	a.beat("a is there")
	a.owns("a has all")
	describeConsumers(s, "one member", g, "consumers-none")
	describeGroup(s, "classic question", 6, g)
	describeGroup(s, "classic question", 5, g)
	listAs(s, "all", nil, nil)
	listAs(s, "consumer", nil, []string{"consumer"})
	listAs(s, "classic", nil, []string{"classic"})
	listAs(s, "reconciling", []string{"Reconciling"}, nil)
	commitAs(s, "a commits", g, "a", a.epoch)
	first := a.epoch
	b.join("b joins")
	b.beat("b waits")
	describeConsumers(s, "b waits", g)
	all := a.has
	a.beat("a has to give back")
	describeConsumers(s, "a has to give back", g)
	commitAs(s, "a commits while it gives back", g, "a", a.epoch)
	a.has, all = all, a.has
	a.owns("a has not yet")
	a.has = all
	a.owns("a has given back")
	a.in(first).owns("a's answer got lost")
	b.beat("b gets them")
	b.owns("b has them")
	describeConsumers(s, "both", g)
	commitAs(s, "a commits in its first epoch", g, "a", first)
	commitAs(s, "a commits in epoch 1", g, "a", 1)
	commitAs(s, "a commits ahead", g, "a", a.epoch+1)
	commitAs(s, "a stranger commits", g, "c", a.epoch)
	commitAs(s, "a tool commits", g, "", -1)
	fetchAs(s, "a", g, ptr("a"), a.epoch)
	fetchAs(s, "a behind", g, ptr("a"), first)
	fetchAs(s, "a stranger", g, ptr("c"), a.epoch)
	fetchAs(s, "a tool", g, nil, -1)
	m := newMember(s, g)
	m.id, m.generation = "a", a.epoch
	m.sync("a syncs", 5, nil)
	m.beat("a beats as a classic one", 4)
	deleteGroups(s, "with members", g)
	deleteOffset(s, "of what it wants", g, g)
	addPartitions(s, g, 6)
	s.Until("more partitions", func() bool {
		req := a.request()
		resp, ok := s.Quiet(1, req).(*kmsg.ConsumerGroupHeartbeatResponse)
		if ok && resp.ErrorCode == 0 {
			a.epoch = resp.MemberEpoch
		}
		return !ok || resp.Assignment != nil || resp.ErrorCode != 0
	})
	b.beat("b after more partitions")
	describeConsumers(s, "more partitions", g)
	left := kmsg.NewPtrLeaveGroupRequest()
	left.Group = g
	for _, id := range []string{"b", "c"} {
		lm := kmsg.NewLeaveGroupRequestMember()
		lm.MemberID = id
		left.Members = append(left.Members, lm)
	}
	s.Ask("b is removed", 5, left)
	b.beat("b was removed")
	a.join("a joins again")
	a.leave("a leaves", -1)
	describeConsumers(s, "empty", g)
	deleteOffset(s, "of an empty group", g, g)
	commitAs(s, "a tool commits to an empty group", g, "", -1)
	deleteGroups(s, "empty", g)
	describeConsumers(s, "gone", g)
	fetchAs(s, "of a group that is gone", g, nil, -1)
	fetchAs(s, "as a member of a group that is gone", g, ptr("a"), 3)
}

// consumersStatic: instance ids, members that leave for a while.
func consumersStatic(s *script.Session) {
	const g = "consumers-static"
	create(s, g, 2)
	atOnce(s, g)
	a, b := newConsumer(s, g, "a", g), newConsumer(s, g, "b", g)
	a.instance, b.instance = ptr("one"), ptr("one")
	a.join("a joins")
	b.join("b cannot")
	b.in(a.epoch).beat("b is fenced")
	a.leave("a leaves for a while", -2)
	describeConsumers(s, "a is away", g)
	a.beat("a after it left")
	b.join("b takes its place")
	describeConsumers(s, "b is there", g)
	a.beat("a is fenced")
	a.leave("a leaves", -1)
	commitAs(s, "b commits", g, "b", b.epoch)
	commitAs(s, "b commits in epoch 1", g, "b", 1)
	b.topics = []string{}
	req := b.joining()
	req.MemberEpoch, req.Topics = b.epoch, b.has
	b.send("b wants nothing", req)
	b.has = nil
	b.owns("b has nothing")
	b.leave("b leaves", -1)
	describeConsumers(s, "empty", g)
}

// consumersRegex: subscriptions by regular expression.
func consumersRegex(s *script.Session) {
	const g = "consumers-regex"
	// One topic that matches: Apache Kafka takes several in the order of a hash of their ids, which are random.
	create(s, g+"-b", 2)
	create(s, g+"-other", 1)
	atOnce(s, g)
	a := newConsumer(s, g, "a")
	a.regex = ptr(g + "-.")
	a.join("a joins")
	awaitEpoch(s, a, 2)
	describeConsumers(s, "resolved", g)
	b := newConsumer(s, g, "b")
	b.regex = ptr(g + "-.")
	b.join("b joins, the same")
	a.has = nil
	a.owns("a gives all back")
	describeConsumers(s, "both", g)
	req := b.request()
	req.SubscribedTopicRegex = ptr("")
	b.send("b wants nothing", req)
	b.owns("b has nothing")
	a.beat("a gets it")
	describeConsumers(s, "a alone", g)
	a.leave("a leaves", -1)
	b.leave("b leaves", -1)
	describeConsumers(s, "empty", g)
}

// awaitEpoch sends heartbeats until the member is in an epoch.
func awaitEpoch(s *script.Session, c *consumer, epoch int32) {
	s.Until(c.id+" to be in its epoch", func() bool {
		resp, ok := s.Quiet(1, c.request()).(*kmsg.ConsumerGroupHeartbeatResponse)
		if !ok || resp.ErrorCode != 0 {
			return true
		}
		c.epoch = resp.MemberEpoch
		return c.epoch >= epoch
	})
}

// consumersMigration: classic and consumer members in one group, both ways.
func consumersMigration(s *script.Session) {
	const g = "groups-life" // which classic members here are subscribed to
	group := "consumers-migration"
	create(s, g, 2)
	atOnce(s, group)
	m := newMember(s, group)
	m.join("classic", "range")
	a := kmsg.NewConsumerMemberAssignment()
	a.Topics = []kmsg.ConsumerMemberAssignmentTopic{{Topic: g, Partitions: []int32{0, 1}}}
	m.sync("classic", 5, map[string]string{m.id: string(a.AppendTo(nil))})
	c := newConsumer(s, group, "c", g)
	c.in(3).beat("no member of a classic group")
	c.join("c joins")
	describeConsumers(s, "mixed", group)
	describeGroup(s, "mixed", 6, group)
	m.beat("classic hears of it", 4)
	m.join("classic joins", "range")
	m.sync("classic syncs", 5, nil)
	m.beat("classic beats", 4)
	c.beat("c waits, or gets")
	describeConsumers(s, "mixed, later", group)
	m.join("classic joins again", "range")
	m.sync("classic syncs again", 5, nil)
	m.beat("classic beats again", 4)
	m.generation--
	m.beat("classic beats in the generation before", 4)
	m.sync("classic syncs in the generation before", 5, nil)
	m.generation++
	c.beat("c gets")
	describeConsumers(s, "reconciled", group)
	commitAs(s, "classic commits", group, m.id, m.generation)
	commitAs(s, "classic commits ahead", group, m.id, m.generation+1)
	odd := newMember(s, group)
	odd.join("another protocol", "sticky")
	c.leave("c leaves", -1)
	describeConsumers(s, "after c has left", group)
	describeGroup(s, "after c has left", 6, group)
	m.beat("classic after c has left", 4)
	m.join("classic joins the classic group", "range")
	m.sync("classic syncs in the classic group", 5, map[string]string{m.id: string(a.AppendTo(nil))})
	m.leave("classic leaves", 5)
	c.join("c joins the empty group")
	describeConsumers(s, "c alone", group)
	c.leave("c leaves at last", -1)
	m.id = ""
	m.join("a classic member joins the empty group", "range")
	describeConsumers(s, "classic again", group)
	m.leave("classic leaves at last", 5)
}

func commitAs(s *script.Session, label, group, member string, epoch int32) {
	topic := group
	if group == "consumers-migration" {
		topic = "groups-life"
	}
	for _, v := range []int16{8, 9} {
		req := kmsg.NewPtrOffsetCommitRequest()
		req.Group, req.MemberID, req.Generation = group, member, epoch
		t := kmsg.NewOffsetCommitRequestTopic()
		t.Topic = topic
		for _, i := range []int32{0, 1} {
			p := kmsg.NewOffsetCommitRequestTopicPartition()
			p.Partition, p.Offset = i, int64(epoch)
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
		s.Ask(label, v, req)
	}
}

func fetchAs(s *script.Session, label, group string, member *string, epoch int32) {
	req := kmsg.NewPtrOffsetFetchRequest()
	for _, all := range []bool{false, true} {
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group, g.MemberID, g.MemberEpoch = group, member, epoch
		if !all {
			t := kmsg.NewOffsetFetchRequestGroupTopic()
			t.Topic, t.Partitions = group, []int32{0, 1}
			g.Topics = append(g.Topics, t)
		}
		req.Groups = []kmsg.OffsetFetchRequestGroup{g}
		what := "some"
		if all {
			what = "all"
		}
		s.Ask("offsets as "+label+", "+what, 9, req)
	}
}

func deleteGroups(s *script.Session, label string, groups ...string) {
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = groups
	s.Ask("delete "+label, 2, req)
}

func deleteOffset(s *script.Session, label, group, topic string) {
	req := kmsg.NewPtrOffsetDeleteRequest()
	req.Group = group
	t := kmsg.NewOffsetDeleteRequestTopic()
	t.Topic, t.Partitions = topic, []kmsg.OffsetDeleteRequestTopicPartition{{Partition: 0}}
	req.Topics = append(req.Topics, t)
	s.Ask("delete offset "+label, 0, req)
}

func addPartitions(s *script.Session, topic string, n int32) {
	req := kmsg.NewPtrCreatePartitionsRequest()
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = topic, n
	req.Topics, req.TimeoutMillis = append(req.Topics, t), 10000
	s.Quiet(3, req)
}
