package scenarios

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

func commitReq(group, memberID string, generation int32, t target, p int32, offset int64, note *string) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.MemberID, req.Generation = group, memberID, generation
	ct := kmsg.NewOffsetCommitRequestTopic()
	ct.Topic, ct.TopicID = t.name, t.id
	cp := kmsg.NewOffsetCommitRequestTopicPartition()
	cp.Partition, cp.Offset, cp.Metadata, cp.LeaderEpoch = p, offset, note, 3
	ct.Partitions = append(ct.Partitions, cp)
	req.Topics = append(req.Topics, ct)
	return req
}

// fetchOffsets asks for partitions of a topic in the form of the version; a
// nil list of partitions asks for everything.
func fetchOffsets(s *script.Session, label string, v int16, group string, t target, partitions ...int32) {
	req := kmsg.NewPtrOffsetFetchRequest()
	if v < 8 {
		req.Group = group
		if partitions != nil {
			ft := kmsg.NewOffsetFetchRequestTopic()
			ft.Topic, ft.Partitions = t.name, partitions
			req.Topics = append(req.Topics, ft)
		}
		s.Ask(label, v, req)
		return
	}
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.MemberEpoch = group, -1
	if partitions != nil {
		ft := kmsg.NewOffsetFetchRequestGroupTopic()
		ft.Topic, ft.TopicID, ft.Partitions = t.name, t.id, partitions
		g.Topics = append(g.Topics, ft)
	}
	req.Groups = append(req.Groups, g)
	s.Ask(label, v, req)
}

func offsets(s *script.Session) {
	t := createTarget(s, "offsets", 3)
	each(s, kmsg.OffsetCommit, func(v int16) {
		group := "offsets-v" + string(rune('0'+v%10)) + strings.Repeat("0", int(v/10))
		s.Ask("outside a generation", v, commitReq(group, "", -1, t, 0, 5, ptr("note")))
		s.Ask("without a note", v, commitReq(group, "", -1, t, 1, 6, nil))
		s.Ask("missing partition", v, commitReq(group, "", -1, t, 9, 6, nil))
		s.Ask("missing topic", v, commitReq(group, "", -1, target{"offsets-missing", [16]byte{6}}, 0, 6, nil))
		s.Ask("long note", v, commitReq(group, "", -1, t, 0, 7, ptr(strings.Repeat("n", 5000))))
		s.Ask("negative offset", v, commitReq(group, "", -1, t, 2, -7, nil))
		s.Ask("stranger", v, commitReq(group, "stranger", 1, t, 0, 5, nil))
		s.Ask("generation only", v, commitReq(group, "", 3, t, 0, 5, nil))
		s.Ask("empty group", v, commitReq("", "", -1, t, 0, 5, nil))
		s.Ask("no topics", v, &kmsg.OffsetCommitRequest{Group: group, Generation: -1})
	})
	each(s, kmsg.OffsetFetch, func(v int16) {
		fetchOffsets(s, "some", v, "offsets-v5", t, 0, 1, 2, 7)
		fetchOffsets(s, "missing topic", v, "offsets-v5", target{"offsets-missing", [16]byte{6}}, 0)
		fetchOffsets(s, "missing group", v, "offsets-none", t, 0)
		fetchOffsets(s, "empty group", v, "", t, 0)
		if v >= 2 {
			fetchOffsets(s, "all", v, "offsets-v5", t)
			fetchOffsets(s, "all of a missing group", v, "offsets-none", t)
		}
	})
	offsetsInGroup(s, t)
}

func offsetsInGroup(s *script.Session, t target) {
	m := newMember(s, "offsets-member")
	m.join("join", "range")
	s.Ask("before sync", 8, commitReq(m.group, m.id, m.generation, t, 0, 1, nil))
	m.sync("sync", 5, map[string]string{m.id: "x"})
	s.Ask("member", 8, commitReq(m.group, m.id, m.generation, t, 0, 10, nil))
	s.Ask("old generation", 8, commitReq(m.group, m.id, m.generation-1, t, 0, 11, nil))
	s.Ask("new generation", 8, commitReq(m.group, m.id, m.generation+1, t, 0, 11, nil))
	s.Ask("another member", 8, commitReq(m.group, "stranger", m.generation, t, 0, 11, nil))
	s.Ask("outside, while members are there", 8, commitReq(m.group, "", -1, t, 0, 11, nil))
	static := commitReq(m.group, m.id, m.generation, t, 0, 11, nil)
	static.InstanceID = ptr("nobody")
	s.Ask("unknown instance", 8, static)
	fetchOffsets(s, "member's", 7, m.group, t, 0)

	deleteOffsets := func(label, group, topic string, p int32) {
		req := kmsg.NewPtrOffsetDeleteRequest()
		req.Group = group
		dt := kmsg.NewOffsetDeleteRequestTopic()
		dt.Topic = topic
		dp := kmsg.NewOffsetDeleteRequestTopicPartition()
		dp.Partition = p
		dt.Partitions = append(dt.Partitions, dp)
		req.Topics = append(req.Topics, dt)
		s.Ask("delete "+label, 0, req)
	}
	deleteOffsets("of a live group", m.group, t.name, 0)
	m.leave("leave", 5)
	deleteOffsets("one", m.group, t.name, 0)
	fetchOffsets(s, "deleted", 7, m.group, t, 0)
	deleteOffsets("again", m.group, t.name, 0)
	deleteOffsets("missing partition", m.group, t.name, 9)
	deleteOffsets("missing topic", m.group, "offsets-missing", 0)
	deleteOffsets("missing group", "offsets-none", t.name, 0)
	deleteOffsets("empty group", "", t.name, 0)
}

func groupsAdmin(s *script.Session) {
	t := createTarget(s, "groups-admin", 1)
	m := newMember(s, "groups-admin-live")
	m.join("live", "range")
	m.sync("live", 5, map[string]string{m.id: "x"})
	s.Quiet(8, commitReq("groups-admin-offsets", "", -1, t, 0, 1, nil))
	each(s, kmsg.DescribeGroups, func(v int16) {
		describeGroup(s, "three", v, "groups-admin-live", "groups-admin-offsets", "groups-admin-none")
		describeGroup(s, "empty name", v, "")
	})
	each(s, kmsg.ListGroups, func(v int16) {
		list := func(label string, states, types []string) {
			req := kmsg.NewPtrListGroupsRequest()
			req.StatesFilter, req.TypesFilter = states, types
			s.Ask(label, v, req)
		}
		list("all", nil, nil)
		if v >= 4 {
			list("stable", []string{"Stable"}, nil)
			list("STABLE", []string{"STABLE"}, nil)
			list("empty", []string{"Empty"}, nil)
			list("odd state", []string{"Odd"}, nil)
		}
		if v >= 5 {
			list("classic", nil, []string{"classic"})
			list("consumer", nil, []string{"Consumer"})
			list("odd type", nil, []string{"odd"})
		}
	})
	each(s, kmsg.DeleteGroups, func(v int16) {
		name := "groups-admin-delete-v" + string(rune('0'+v))
		s.Quiet(8, commitReq(name, "", -1, t, 0, 1, nil))
		req := kmsg.NewPtrDeleteGroupsRequest()
		req.Groups = []string{name, "groups-admin-live", "groups-admin-none", ""}
		s.Ask("delete", v, req)
		fetchOffsets(s, "deleted", 7, name, t, 0)
		describeGroup(s, "deleted", 5, name)
	})
	m.leave("live", 5)
}
