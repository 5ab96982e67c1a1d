package scenarios

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
	"github.com/weir-stream/weir/internal/testkit/kwire"
)

func coordinators(s *script.Session) {
	// The first question creates the internal topic; it is asked until it is there.
	warm := kmsg.NewPtrFindCoordinatorRequest()
	warm.CoordinatorKey = "warm"
	s.Until("a coordinator", func() bool {
		resp, ok := s.Quiet(2, warm).(*kmsg.FindCoordinatorResponse)
		return ok && resp.ErrorCode == 0
	})
	awaitTopic(s, "__consumer_offsets", 4)
	each(s, kmsg.FindCoordinator, func(v int16) {
		ask := func(label string, kind int8, keys ...string) {
			req := kmsg.NewPtrFindCoordinatorRequest()
			req.CoordinatorType = kind
			if v >= 4 {
				req.CoordinatorKeys = keys
			} else {
				req.CoordinatorKey = keys[0]
			}
			s.Ask(label, v, req)
		}
		ask("group", 0, "coordinators-group")
		ask("empty group", 0, "")
		if v >= 1 {
			ask("type 9", 9, "x")
		}
		if v >= 4 {
			ask("several", 0, "a", "b", "c")
		}
	})
}

// member is one client of a group on a connection of its own.
type member struct {
	s          *script.Session
	conn       *kwire.Conn
	group      string
	id         string
	instance   *string
	generation int32
	version    int16 // of JoinGroup; the others follow
}

func newMember(s *script.Session, group string) *member {
	return &member{s: s, conn: s.NewConn(), group: group, generation: -1, version: 9}
}

func (m *member) joinReq(protocols ...string) *kmsg.JoinGroupRequest {
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.MemberID, req.InstanceID = m.group, m.id, m.instance
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis, req.ProtocolType = 10000, 10000, "consumer"
	for _, name := range protocols {
		p := kmsg.NewJoinGroupRequestProtocol()
		// A valid subscription: Apache Kafka reads it to know which topics a group has, and stumbles over others.
		sub := kmsg.NewConsumerMemberMetadata()
		sub.Topics, sub.UserData = []string{"groups-life"}, []byte(name)
		p.Name, p.Metadata = name, sub.AppendTo(nil)
		req.Protocols = append(req.Protocols, p)
	}
	return req
}

// join joins, and again with the id it is given where the version wants that.
func (m *member) join(label string, protocols ...string) *kmsg.JoinGroupResponse {
	resp, ok := m.s.AskOn(m.conn, label, m.version, m.joinReq(protocols...)).(*kmsg.JoinGroupResponse)
	if ok && resp.ErrorCode == 79 {
		m.id = resp.MemberID
		resp, ok = m.s.AskOn(m.conn, label+", with the id", m.version, m.joinReq(protocols...)).(*kmsg.JoinGroupResponse)
	}
	if !ok {
		return kmsg.NewPtrJoinGroupResponse()
	}
	m.id, m.generation = resp.MemberID, resp.Generation
	return resp
}

func (m *member) sync(label string, version int16, assign map[string]string) {
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.MemberID, req.InstanceID, req.Generation = m.group, m.id, m.instance, m.generation
	if version >= 5 {
		req.ProtocolType, req.Protocol = ptr("consumer"), ptr("range")
	}
	for id, text := range inOrder(assign) {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = id, []byte(text)
		req.GroupAssignment = append(req.GroupAssignment, a)
	}
	m.s.AskOn(m.conn, label, version, req)
}

func (m *member) beat(label string, version int16) {
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group, req.MemberID, req.InstanceID, req.Generation = m.group, m.id, m.instance, m.generation
	m.s.AskOn(m.conn, label, version, req)
}

func (m *member) leave(label string, version int16) {
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group, req.MemberID = m.group, m.id
	if version >= 3 {
		lm := kmsg.NewLeaveGroupRequestMember()
		lm.MemberID, lm.InstanceID = m.id, m.instance
		if version >= 5 {
			lm.Reason = ptr("because")
		}
		req.Members = append(req.Members, lm)
	}
	m.s.AskOn(m.conn, label, version, req)
}

func describeGroup(s *script.Session, label string, version int16, groups ...string) {
	req := kmsg.NewPtrDescribeGroupsRequest()
	req.Groups, req.IncludeAuthorizedOperations = groups, version >= 3
	s.Ask(label, version, req)
}

func groupsLife(s *script.Session) {
	create(s, "groups-life", 2)
	each(s, kmsg.JoinGroup, func(v int16) {
		m := newMember(s, "groups-life-v"+string(rune('0'+v)))
		m.version = v
		other := min(v, 5)
		m.join("join", "range", "roundrobin")
		describeGroup(s, "joined", other, m.group)
		m.sync("sync", other, map[string]string{m.id: "everything"})
		m.beat("heartbeat", min(v, 4))
		describeGroup(s, "stable", latest(s, kmsg.DescribeGroups), m.group)
		m.sync("sync again", other, nil)
		m.join("join again", "range", "roundrobin")
		m.beat("heartbeat while it is made", min(v, 4))
		m.sync("sync the second", other, map[string]string{m.id: "all"})
		m.generation--
		m.beat("heartbeat of before", min(v, 4))
		m.sync("sync of before", other, nil)
		m.generation++
		m.leave("leave", other)
		m.beat("heartbeat of one who left", min(v, 4))
		m.leave("leave again", other)
		describeGroup(s, "empty", other, m.group)
	})
}

func groupsErrors(s *script.Session) {
	ask := func(label string, v int16, f func(*kmsg.JoinGroupRequest)) {
		m := newMember(s, "groups-errors")
		req := m.joinReq("range")
		f(req)
		s.AskOn(m.conn, label, v, req)
	}
	for label, f := range inOrder(map[string]func(*kmsg.JoinGroupRequest){
		"empty group":         func(r *kmsg.JoinGroupRequest) { r.Group = "" },
		"session too short":   func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 100 },
		"session too long":    func(r *kmsg.JoinGroupRequest) { r.SessionTimeoutMillis = 1 << 30 },
		"no protocols":        func(r *kmsg.JoinGroupRequest) { r.Protocols = nil },
		"empty protocol type": func(r *kmsg.JoinGroupRequest) { r.ProtocolType = "" },
		"unknown member":      func(r *kmsg.JoinGroupRequest) { r.MemberID = "stranger" },
		"static stranger":     func(r *kmsg.JoinGroupRequest) { r.MemberID, r.InstanceID = "stranger", ptr("i") },
	}) {
		for _, v := range []int16{3, 5, 9} {
			if v < 5 && label == "static stranger" {
				continue
			}
			ask(label, v, f)
		}
	}
	m := newMember(s, "groups-errors-full")
	m.join("first", "range")
	m.sync("first", 5, map[string]string{m.id: "x"})
	odd := newMember(s, m.group)
	odd.join("another protocol", "sticky")
	wrong := odd.joinReq("range")
	wrong.ProtocolType = "connect"
	s.AskOn(odd.conn, "another type", 9, wrong)
	stranger := newMember(s, m.group)
	stranger.id, stranger.generation = "stranger", 1
	stranger.sync("stranger", 5, nil)
	stranger.beat("stranger", 4)
	stranger.leave("stranger", 5)
	bad := kmsg.NewPtrSyncGroupRequest()
	bad.Group, bad.MemberID, bad.Generation = m.group, m.id, m.generation
	bad.ProtocolType, bad.Protocol = ptr("consumer"), ptr("sticky")
	s.AskOn(m.conn, "sync with another protocol", 5, bad)
	bad.ProtocolType, bad.Protocol = ptr("connect"), ptr("range")
	s.AskOn(m.conn, "sync with another type", 5, bad)
	bad.ProtocolType, bad.Protocol = nil, nil
	s.AskOn(m.conn, "sync without a protocol", 5, bad)
	nobody := newMember(s, "groups-errors-none")
	nobody.id, nobody.generation = "x", 1
	nobody.sync("no such group", 5, nil)
	nobody.beat("no such group", 4)
	nobody.leave("no such group", 5)
	nobody.group = ""
	nobody.sync("empty group", 5, nil)
	nobody.beat("empty group", 4)
	nobody.leave("empty group", 5)
	m.leave("first leaves", 4)
}

func groupsStatic(s *script.Session) {
	a := newMember(s, "groups-static")
	a.instance = ptr("one")
	a.join("static", "range")
	a.sync("static", 5, map[string]string{a.id: "mine"})
	describeGroup(s, "static", 5, a.group)
	again := newMember(s, a.group)
	again.instance = a.instance
	again.join("comes back", "range")
	again.sync("comes back", 5, nil)
	a.beat("the former", 4)
	a.sync("the former", 5, nil)
	a.leave("the former", 5)
	again.beat("the present", 4)
	req := kmsg.NewPtrLeaveGroupRequest()
	req.Group = a.group
	for _, id := range []string{"one", "two"} {
		lm := kmsg.NewLeaveGroupRequestMember()
		lm.InstanceID = ptr(id)
		req.Members = append(req.Members, lm)
	}
	s.Ask("removed by instance", 5, req)
	again.beat("the removed", 4)
	describeGroup(s, "nobody", 5, a.group)
}

// groupsTwo: two members, a rebalance, selection of the protocol.
func groupsTwo(s *script.Session) {
	a, b := newMember(s, "groups-two"), newMember(s, "groups-two")
	a.join("a alone", "sticky", "range")
	a.sync("a alone", 4, map[string]string{a.id: "all"})
	// b's join waits until a joins again.
	req := b.joinReq("range", "roundrobin")
	if resp, ok := s.AskOn(b.conn, "b", 9, req).(*kmsg.JoinGroupResponse); ok {
		b.id = resp.MemberID
	}
	req = b.joinReq("range", "roundrobin")
	req.SetVersion(9)
	id, err := b.conn.Send(req)
	if err != nil {
		s.Note("b's join", err.Error())
		return
	}
	s.Until("the rebalance", func() bool {
		beat := kmsg.NewPtrHeartbeatRequest()
		beat.Group, beat.MemberID, beat.Generation = a.group, a.id, a.generation
		resp, ok := s.Quiet(4, beat).(*kmsg.HeartbeatResponse)
		return !ok || resp.ErrorCode == 27
	})
	a.beat("a hears of it", 4)
	a.join("a joins again", "sticky", "range")
	resp, err := b.conn.Receive(id, req)
	if err != nil {
		s.Note("b's join", err.Error())
		return
	}
	joined := resp.(*kmsg.JoinGroupResponse)
	b.generation = joined.Generation
	s.Record("b joined", joined)
	describeGroup(s, "waiting for the leader", 5, a.group)
	a.sync("a", 5, map[string]string{a.id: "a's", b.id: "b's"})
	b.sync("b", 5, nil)
	describeGroup(s, "both", 5, a.group)
	b.leave("b", 5)
	a.beat("a after b left", 4)
	a.leave("a", 5)
}
