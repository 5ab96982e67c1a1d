package group

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/coordinator/group/assign"
	"github.com/weir-stream/weir/internal/coordinator/group/consumer"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/wire"
)

// ConsumerHeartbeat handles a ConsumerGroupHeartbeat of any version. visible says whether the client may describe a topic; it
// is asked later too, from any goroutine. The request may be reused once it is answered.
func (c *Coordinator) ConsumerHeartbeat(client Client, visible func(topic string) bool, req *kmsg.ConsumerGroupHeartbeatRequest, reply func(*kmsg.ConsumerGroupHeartbeatResponse)) {
	resp := req.ResponseKind().(*kmsg.ConsumerGroupHeartbeatResponse)
	answer := func(a *consumer.Answer, heartbeatMs int32, err error) {
		reply(intoHeartbeat(resp, a, heartbeatMs, err))
	}
	r := newHeartbeat(client, req)
	r.visible = visible
	if err := r.Validate(r.group, req.Version >= 1, c.cfg.Consumer.Assignors); err != nil {
		answer(nil, 0, err)
		return
	}
	if !r.fits() {
		answer(nil, 0, wire.InvalidRequest)
		return
	}
	c.run(r.group, func(tx *coordinator.Tx, m *machine) { m.consumerHeartbeat(tx, r, answer) },
		func(err error) { answer(nil, 0, errorCode(err)) })
}

func intoHeartbeat(resp *kmsg.ConsumerGroupHeartbeatResponse, a *consumer.Answer, heartbeatMs int32, err error) *kmsg.ConsumerGroupHeartbeatResponse {
	if err != nil {
		code := wire.CodeOf(err)
		resp.ErrorCode = int16(code)
		if _, bare := err.(wire.Code); !bare {
			message := err.Error()
			resp.ErrorMessage = &message
		}
		return resp
	}
	resp.MemberID, resp.MemberEpoch, resp.HeartbeatIntervalMillis = &a.MemberID, a.Epoch, heartbeatMs
	if a.Assignment != nil {
		resp.Assignment = &kmsg.ConsumerGroupHeartbeatResponseAssignment{}
		for _, t := range a.Assignment.Topics() {
			resp.Assignment.Topics = append(resp.Assignment.Topics, kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{TopicID: t, Partitions: (*a.Assignment)[t]})
		}
	}
	return resp
}

// heartbeatRequest is a ConsumerGroupHeartbeat that owns its memory.
type heartbeatRequest struct {
	consumer.Heartbeat
	group   string
	visible func(topic string) bool
}

func newHeartbeat(c Client, r *kmsg.ConsumerGroupHeartbeatRequest) *heartbeatRequest {
	h := &heartbeatRequest{group: strings.Clone(r.Group)}
	h.MemberID, h.Epoch, h.InstanceID, h.RackID = strings.Clone(r.MemberID), r.MemberEpoch, cloneString(r.InstanceID), cloneString(r.RackID)
	h.RebalanceMs, h.Regex, h.Assignor = r.RebalanceTimeoutMillis, cloneString(r.SubscribedTopicRegex), cloneString(r.ServerAssignor)
	h.ClientID, h.ClientHost = strings.Clone(c.ID), strings.Clone(c.Host)
	if r.SubscribedTopicNames != nil {
		h.Topics = make([]string, 0, len(r.SubscribedTopicNames))
		for _, t := range r.SubscribedTopicNames {
			h.Topics = append(h.Topics, strings.Clone(t))
		}
	}
	if r.Topics != nil {
		owned := make(assign.Partitions, len(r.Topics))
		for _, t := range r.Topics {
			owned[t.TopicID] = append(owned[t.TopicID], t.Partitions...)
		}
		h.Owned = &owned
	}
	return h
}

// fits reports whether all strings can be written, and named in requests of others.
func (h *heartbeatRequest) fits() bool {
	for _, s := range []*string{&h.group, &h.MemberID, &h.ClientID, h.InstanceID, h.RackID, h.Regex} {
		if s != nil && len(*s) > maxStringBytes {
			return false
		}
	}
	return !slices.ContainsFunc(h.Topics, func(t string) bool { return len(t) > maxStringBytes })
}

// consumerHeartbeat handles a heartbeat. It is answered when what follows from it is written.
func (m *machine) consumerHeartbeat(tx *coordinator.Tx, r *heartbeatRequest, reply func(*consumer.Answer, int32, error)) {
	refuse := func(err error) { reply(nil, 0, err) }
	if r.Epoch == consumer.LeaveEpoch || r.Epoch == consumer.StaticLeaveEpoch {
		m.consumerLeave(tx, r, reply)
		return
	}
	e, err := m.entrance(r.group, r.Epoch == 0, tx)
	if err != nil {
		refuse(err)
		return
	}
	a, err := e.g.Heartbeat(m.env(tx, e.g), &r.Heartbeat)
	if err != nil {
		if wire.CodeOf(err) == wire.UnknownServerError {
			m.sh.Logger().Error("a heartbeat failed", "group", r.group, "error", err)
		}
		refuse(err)
		return
	}
	m.enter(tx, e)
	if a.Revocation == consumer.RevocationEnds {
		tx.Undo(func() { // then it has not given back after all
			if mem := e.g.Member(a.MemberID); m.alive(e.g) && mem != nil && mem.State == consumer.Unrevoked {
				m.awaitRevocation(e.g, mem.ID, mem.Epoch, mem.RebalanceMs)
			}
		})
	}
	before := e.g.Epoch()
	m.writeConsumer(tx, e.g, a.Records)
	m.countRebalance(e.g, before)
	if mem := e.g.Member(a.MemberID); mem != nil {
		m.beatConsumer(e.g, mem)
	}
	switch a.Revocation {
	case consumer.RevocationBegins:
		m.awaitRevocation(e.g, a.MemberID, a.Epoch, a.RebalanceMs)
	case consumer.RevocationEnds:
		m.sh.Cancel(&e.g.timersOf(a.MemberID).revoke)
	}
	if a.Resolve != nil {
		m.resolve(e.g, a.Resolve, r.visible)
	}
	interval := int32(m.c.groupSettings(r.group).HeartbeatInterval.Milliseconds())
	tx.Then(func(_ *coordinator.Tx, err error) {
		if err != nil {
			refuse(errorCode(err))
			return
		}
		reply(a, interval, nil)
	})
}

// countRebalance counts a group epoch that is above what it was.
func (m *machine) countRebalance(g *consumerGroup, before int32) {
	if g.Epoch() > before {
		m.c.stats.consumerRebalances.Add(1)
	}
}

// entrance is the way into a consumer group: the group as it is, or as it will be when the member is in.
type entrance struct {
	g     *consumerGroup
	isNew bool
	// classic is the group that the new one takes the place of, nil if there is none; converted are the records that make
	// its members the new one's.
	classic   *classicGroup
	converted []consumer.Record
}

// entrance finds the consumer group of a heartbeat. If the member joins, a group is made, and a classic one becomes a consumer
// group if it may; nothing is changed yet.
func (m *machine) entrance(id string, joins bool, tx *coordinator.Tx) (entrance, error) {
	if g := m.consumers[id]; g != nil {
		return entrance{g: g}, nil
	}
	classic := m.groups[id]
	switch {
	case m.foreign[id] != nil, classic != nil && !joins:
		return entrance{}, notConsumer(id)
	case classic == nil && !joins:
		return entrance{}, &consumer.Refusal{Code: wire.GroupIdNotFound, Message: "Consumer group " + id + " not found."}
	}
	e := entrance{g: newConsumerGroup(consumer.New(id)), isNew: true, classic: classic}
	if classic != nil && !classic.is(stateEmpty) {
		converted, err := m.upgrade(tx, classic, e.g.Group)
		if err != nil {
			return entrance{}, err
		}
		e.converted = converted
	}
	return e, nil
}

func notConsumer(id string) error {
	return &consumer.Refusal{Code: wire.GroupIdNotFound, Message: "Group " + id + " is not a consumer group."}
}

// enter makes the group of an entrance the shard's.
func (m *machine) enter(tx *coordinator.Tx, e entrance) {
	if !e.isNew {
		return
	}
	if e.classic != nil {
		m.supersede(tx, e.classic)
	}
	m.addConsumer(tx, e.g)
	for _, r := range e.converted { // they count already
		tx.Append(r.Encode())
	}
	for _, mem := range e.g.Members() {
		m.beatConsumer(e.g, mem)
	}
}

// supersede puts a classic group out of the way of one of another kind with its name. Its deadlines then do nothing.
func (m *machine) supersede(tx *coordinator.Tx, g *classicGroup) {
	for _, mem := range slices.Clone(g.order) {
		g.answerJoin(mem, joinResult{code: wire.RebalanceInProgress, memberID: mem.id})
		g.answerSync(mem, syncResult{code: wire.RebalanceInProgress})
	}
	delete(m.groups, g.id)
	tx.Append(groupKey(g.id), nil)
	tx.Undo(func() { m.groups[g.id] = g })
}

// consumerLeave is the heartbeat of a member that leaves.
func (m *machine) consumerLeave(tx *coordinator.Tx, r *heartbeatRequest, reply func(*consumer.Answer, int32, error)) {
	g := m.consumers[r.group]
	if g == nil {
		err := notConsumer(r.group)
		if !m.known(r.group) {
			err = &consumer.Refusal{Code: wire.GroupIdNotFound, Message: "Group " + r.group + " not found."}
		}
		reply(nil, 0, err)
		return
	}
	records, gone, err := g.Leave(consumer.Leaving{MemberID: r.MemberID, Epoch: r.Epoch, InstanceID: r.InstanceID})
	if err != nil {
		reply(nil, 0, err)
		return
	}
	m.sh.Logger().Info("member leaves the group", "group", g.ID, "member", r.MemberID, "epoch", r.Epoch)
	if gone != nil {
		m.fence(tx, g, []*consumer.Member{gone})
	} else {
		m.writeConsumer(tx, g, records)
	}
	tx.Then(func(_ *coordinator.Tx, err error) {
		if err != nil {
			reply(nil, 0, errorCode(err))
			return
		}
		reply(&consumer.Answer{MemberID: r.MemberID, Epoch: r.Epoch}, 0, nil)
	})
}

// resolve finds out which topics regular expressions match, of those that the member may describe, away from the shard's loop:
// there may be very many topics. The result is the group's next change.
func (m *machine) resolve(g *consumerGroup, regexes []string, visible func(string) bool) {
	g.resolving = true
	c, img, nowMs := m.c, m.c.deps.Image(), m.nowMs()
	done := func(found map[string]consumer.Resolved) {
		c.run(g.ID, func(tx *coordinator.Tx, now *machine) {
			if now != m || !m.alive(g) {
				return
			}
			g.resolving = false
			before := g.Epoch()
			m.writeConsumer(tx, g, g.Resolved(m.env(tx, g), found))
			m.countRebalance(g, before)
		}, func(error) {})
	}
	if !c.deps.Group.Go("resolve regular expressions", func(context.Context) { done(resolved(img, regexes, visible, nowMs)) }) {
		g.resolving = false
	}
}

func (m *machine) nowMs() int64 {
	if m.c.deps.Now == nil {
		return time.Now().UnixMilli()
	}
	return m.c.deps.Now().UnixMilli()
}

func resolved(img *image.Image, regexes []string, visible func(string) bool, nowMs int64) map[string]consumer.Resolved {
	compiled := make(map[string]*regexp.Regexp, len(regexes))
	topics := make(map[string][]string, len(regexes))
	for _, regex := range regexes {
		topics[regex] = nil
		if re, err := consumer.Compile(regex); err == nil { // else it was let in by another build: it matches nothing
			compiled[regex] = re
		}
	}
	for t := range img.Topics() {
		asked, may := false, false
		for regex, re := range compiled {
			if !re.MatchString(t.Name) {
				continue
			}
			if !asked {
				asked, may = true, visible(t.Name)
			}
			if may {
				topics[regex] = append(topics[regex], t.Name)
			}
		}
	}
	out := make(map[string]consumer.Resolved, len(topics))
	for _, regex := range slices.Sorted(maps.Keys(topics)) {
		slices.Sort(topics[regex])
		out[regex] = consumer.Resolved{Topics: topics[regex], Version: img.Offset(), TimestampMs: nowMs}
	}
	return out
}

// ConsumerDescription is a group as ConsumerGroupDescribe shows it.
type ConsumerDescription struct {
	Group string
	Err   error // its code, and a message for the client if there is one
	consumer.Description
	// Names are those of the topics that the description has, as far as they exist.
	Names map[wire.TopicID]string
}

// DescribeConsumerGroups handles a ConsumerGroupDescribe; the answer is in the order of the ids.
func (c *Coordinator) DescribeConsumerGroups(ids []string, reply func([]ConsumerDescription)) {
	out := make([]ConsumerDescription, len(ids))
	g := coordinator.NewGather(len(ids), func() { reply(out) })
	for i, id := range ids {
		id = strings.Clone(id)
		if id == "" {
			out[i].Err = wire.InvalidGroupId
			g.Done()
			continue
		}
		c.run(id, func(_ *coordinator.Tx, m *machine) {
			out[i] = m.describeConsumer(id)
			g.Done()
		}, func(err error) {
			out[i] = ConsumerDescription{Group: id, Err: errorCode(err)}
			g.Done()
		})
	}
	g.Done()
}

func (m *machine) describeConsumer(id string) ConsumerDescription {
	g := m.consumers[id]
	switch {
	case g == nil && m.known(id):
		return ConsumerDescription{Group: id, Err: notConsumer(id)}
	case g == nil:
		return ConsumerDescription{Group: id, Err: &consumer.Refusal{Code: wire.GroupIdNotFound, Message: fmt.Sprintf("Group %s not found.", id)}}
	}
	d := ConsumerDescription{Group: id, Description: g.Describe(m.c.cfg.Consumer.Assignors[0]), Names: map[wire.TopicID]string{}}
	img := m.c.deps.Image()
	for _, mem := range d.Members {
		for _, ps := range []assign.Partitions{mem.Owned, mem.Target} {
			for t := range ps {
				if topic := img.TopicByID(t); topic != nil {
					d.Names[t] = topic.Name
				}
			}
		}
	}
	return d
}
