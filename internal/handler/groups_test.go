package handler

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/controller"
	"github.com/weir-stream/weir/internal/coordinator/group"
	"github.com/weir-stream/weir/internal/coordinator/memlog"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/lifecycle"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// only refuses one kind of resource, by name if that is not empty.
type only struct {
	authz.AllowAll
	kind authz.ResourceType
	name string
}

func (o only) Authorize(_ authz.Caller, _ authz.Operation, t authz.ResourceType, name string) bool {
	return t != o.kind || o.name != "" && name != o.name
}
func (only) Enabled() bool { return true }

// topicMaker is a controller that remembers which topics it was asked to create.
type topicMaker struct {
	mu    sync.Mutex
	asked []kmsg.CreateTopicsRequestTopic
	gate  chan struct{}
}

func (c *topicMaker) Handle(_ context.Context, _ controller.RequestContext, req kmsg.Request) (kmsg.Response, error) {
	c.mu.Lock()
	c.asked = append(c.asked, req.(*kmsg.CreateTopicsRequest).Topics...)
	c.mu.Unlock()
	<-c.gate
	return nil, errors.New("no")
}

var topicT, topicU = wire.TopicID{1}, wire.TopicID{2}

// groupBroker is a broker that coordinates groups, with topics t and u of two partitions each.
func groupBroker(t *testing.T, a authz.Authorizer, offsetsTopics ...string) *Broker {
	t.Helper()
	cfg, _, err := config.Load(nil, []string{"node.id=1"})
	if err != nil {
		t.Fatal(err)
	}
	records := []mr.Versioned{
		{Record: &mr.RegisterBrokerRecord{BrokerID: 1, EndPoints: []mr.RegisterBrokerRecordBrokerEndpoint{{Name: "P", Host: "h", Port: 9}}}},
		{Record: &mr.FeatureLevelRecord{Name: image.FeatureGroup, FeatureLevel: 1}}, {Record: &mr.TopicRecord{Name: "t", TopicID: topicT}}, {Record: &mr.TopicRecord{Name: "u", TopicID: topicU}},
	}
	for _, name := range offsetsTopics {
		records = append(records, mr.Versioned{Record: &mr.TopicRecord{Name: name, TopicID: wire.TopicID{3}}},
			mr.Versioned{Record: &mr.PartitionRecord{TopicID: wire.TopicID{3}, Replicas: []int32{1}, ISR: []int32{1}, Leader: 1}})
	}
	for _, id := range []wire.TopicID{topicT, topicU} {
		for p := range int32(2) {
			records = append(records, mr.Versioned{Record: &mr.PartitionRecord{PartitionID: p, TopicID: id, Replicas: []int32{1}, ISR: []int32{1}, Leader: 1}})
		}
	}
	img, _, err := image.Empty().Apply(image.Provenance{Offset: 9}, records...)
	if err != nil {
		t.Fatal(err)
	}
	quiet := slog.New(slog.DiscardHandler)
	g := lifecycle.New("test", quiet)
	c := group.New(group.Config{}, group.Deps{Partitions: &memlog.Logs{}, PartitionCount: func() int32 { return 1 }, Group: g, Logger: quiet,
		Image: func() *image.Image { return img }})
	t.Cleanup(func() {
		c.Close()
		g.Stop()
	})
	c.Elected(0, 0)
	b := &Broker{Deps: Deps{NodeID: 1, Config: func() *config.Set { return cfg }, Image: func() *image.Image { return img },
		Authorizer: a, Group: g, Groups: c, Logger: quiet, Now: time.Now}, consumerProtocol: true}
	for deadline := time.Now().Add(10 * time.Second); ; {
		if at[*kmsg.ListGroupsResponse](t, b.handleListGroups, kmsg.NewPtrListGroupsRequest(), 5).ErrorCode == 0 {
			return b
		}
		if time.Now().After(deadline) {
			t.Fatal("the coordinator is not loaded")
		}
	}
}

// at runs a handler with a request of that version. The answer takes the way over the wire, so that what a version
// has no room for is gone.
func at[T kmsg.Response](t *testing.T, handle func(*wire.Request), body kmsg.Request, version int16) T {
	t.Helper()
	body.SetVersion(version)
	answers := make(chan wire.Response, 2)
	handle(&wire.Request{Key: body.Key(), Version: version, ClientID: "c", Body: body,
		Conn:      &wire.ConnInfo{Principal: "User:ANONYMOUS", Listener: "P", Remote: netip.MustParseAddrPort("127.0.0.1:1")},
		ReplyFunc: func(_ *wire.Request, resp wire.Response) { answers <- resp }})
	select {
	case resp := <-answers:
		read := body.ResponseKind()
		read.SetVersion(version)
		if err := read.ReadFrom(resp.AppendTo(nil)); err != nil {
			t.Fatalf("answer of version %d: %v", version, err)
		}
		return read.(T)
	case <-time.After(10 * time.Second):
		t.Fatal("no answer")
		panic("unreachable")
	}
}

func commitRequest(version int16) *kmsg.OffsetCommitRequest {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group = "g"
	for i, name := range []string{"t", "u", "none"} {
		topic := kmsg.NewOffsetCommitRequestTopic()
		topic.Topic, topic.TopicID = name, wire.TopicID{byte(i + 1)}
		if name == "none" {
			topic.TopicID = wire.TopicID{9}
		}
		for _, p := range []int32{0, 7} {
			part := kmsg.NewOffsetCommitRequestTopicPartition()
			part.Partition, part.Offset, part.LeaderEpoch = p, 10*int64(i+1)+int64(version), 4
			topic.Partitions = append(topic.Partitions, part)
		}
		req.Topics = append(req.Topics, topic)
	}
	return req
}

func commitCodes(resp *kmsg.OffsetCommitResponse) (out [3][2]wire.Code) {
	for i, topic := range resp.Topics {
		for j, p := range topic.Partitions {
			out[i][j] = wire.Code(p.ErrorCode)
		}
	}
	return out
}

func TestOffsetCommitAndFetchInEveryVersion(t *testing.T) {
	b := groupBroker(t, authz.AllowAll{}, offsetsTopic)
	for version := int16(2); version <= 10; version++ {
		unknown := wire.UnknownTopicOrPartition
		if version >= 10 {
			unknown = wire.UnknownTopicId
		}
		want := [3][2]wire.Code{{0, wire.UnknownTopicOrPartition}, {0, wire.UnknownTopicOrPartition}, {unknown, unknown}}
		if got := commitCodes(at[*kmsg.OffsetCommitResponse](t, b.handleOffsetCommit, commitRequest(version), version)); got != want {
			t.Fatalf("commit of version %d: %v, want %v", version, got, want)
		}
		for fetch := int16(1); fetch <= 10; fetch++ {
			checkFetched(t, b, fetch, 10+int64(version))
		}
	}
}

// checkFetched asks for t/0 and t/1, and from version 2 on for all.
func checkFetched(t *testing.T, b *Broker, version int16, want int64) {
	t.Helper()
	req := kmsg.NewPtrOffsetFetchRequest()
	old, many := kmsg.NewOffsetFetchRequestTopic(), kmsg.NewOffsetFetchRequestGroupTopic()
	old.Topic, old.Partitions = "t", []int32{0, 1}
	many.Topic, many.TopicID, many.Partitions = "t", topicT, old.Partitions
	req.Group, req.Topics = "g", []kmsg.OffsetFetchRequestTopic{old}
	g, all := kmsg.NewOffsetFetchRequestGroup(), kmsg.NewOffsetFetchRequestGroup()
	g.Group, g.Topics = "g", []kmsg.OffsetFetchRequestGroupTopic{many}
	all.Group = "g"
	req.Groups = []kmsg.OffsetFetchRequestGroup{g, all}
	resp := at[*kmsg.OffsetFetchResponse](t, b.handleOffsetFetch, req, version)
	if version < 8 {
		p := resp.Topics[0].Partitions
		if len(p) != 2 || p[0].Offset != want || p[1].Offset != -1 || version >= 5 && p[0].LeaderEpoch != 4 || *p[1].Metadata != "" {
			t.Fatalf("fetch of version %d: %+v", version, resp.Topics)
		}
		if version >= 2 {
			req.Topics = nil
			if resp := at[*kmsg.OffsetFetchResponse](t, b.handleOffsetFetch, req, version); len(resp.Topics) != 2 || resp.Topics[0].Partitions[0].Offset != want {
				t.Fatalf("fetch of all, version %d: %+v", version, resp.Topics)
			}
		}
		return
	}
	p := resp.Groups[0].Topics[0].Partitions
	if len(p) != 2 || p[0].Offset != want || p[1].Offset != -1 {
		t.Fatalf("fetch of version %d: %+v", version, resp.Groups[0])
	}
	if a := resp.Groups[1].Topics; len(a) != 2 || a[0].Partitions[0].Offset != want || version >= 10 && a[0].TopicID != topicT {
		t.Fatalf("fetch of all, version %d: %+v", version, a)
	}
}

func TestOffsetsNeedRights(t *testing.T) {
	b := groupBroker(t, only{kind: authz.Topic, name: "u"}, offsetsTopic)
	got := commitCodes(at[*kmsg.OffsetCommitResponse](t, b.handleOffsetCommit, commitRequest(9), 9))
	if got[0][0] != wire.None || got[1] != [2]wire.Code{wire.TopicAuthorizationFailed, wire.TopicAuthorizationFailed} {
		t.Fatalf("commit: %v", got)
	}
	// What may not be described is not there when all is asked for.
	b.Groups.CommitOffsets(&group.Commit{Group: "g", Generation: -1, RetentionMs: -1, APIVersion: 9,
		Topics: []group.CommitTopic{{Name: "u", ID: topicU, Partitions: []group.CommitPartition{{Offset: 1}}}}}, func([]wire.Code) {})
	req := kmsg.NewPtrOffsetFetchRequest()
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = "g"
	req.Groups = append(req.Groups, g)
	if all := at[*kmsg.OffsetFetchResponse](t, b.handleOffsetFetch, req, 9).Groups[0].Topics; len(all) != 1 || all[0].Topic != "t" {
		t.Fatalf("fetch of all: %+v", all)
	}
	topic := kmsg.NewOffsetFetchRequestGroupTopic()
	topic.TopicID, topic.Partitions = topicU, []int32{0}
	req.Groups[0].Topics = append(req.Groups[0].Topics, topic)
	p := at[*kmsg.OffsetFetchResponse](t, b.handleOffsetFetch, req, 10).Groups[0].Topics[0].Partitions[0]
	if wire.Code(p.ErrorCode) != wire.TopicAuthorizationFailed || p.Offset != -1 {
		t.Fatalf("fetch: %+v", p)
	}
}

func TestGroupsNeedRights(t *testing.T) {
	b := groupBroker(t, only{kind: authz.Group}, offsetsTopic)
	denied := int16(wire.GroupAuthorizationFailed)
	join, sync, beat, leave := kmsg.NewPtrJoinGroupRequest(), kmsg.NewPtrSyncGroupRequest(), kmsg.NewPtrHeartbeatRequest(), kmsg.NewPtrLeaveGroupRequest()
	desc, del, fetch, odel := kmsg.NewPtrDescribeGroupsRequest(), kmsg.NewPtrDeleteGroupsRequest(), kmsg.NewPtrOffsetFetchRequest(), kmsg.NewPtrOffsetDeleteRequest()
	desc.Groups, del.Groups = []string{"g"}, []string{"g"}
	fetch.Groups = append(fetch.Groups, kmsg.NewOffsetFetchRequestGroup())
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorKeys = []string{"g"}
	sync.ProtocolType, sync.Protocol = ptr("consumer"), ptr("range") // without them it is refused before its rights are asked for
	for name, code := range map[string]int16{
		"join":          at[*kmsg.JoinGroupResponse](t, b.handleJoinGroup, join, 9).ErrorCode,
		"sync":          at[*kmsg.SyncGroupResponse](t, b.handleSyncGroup, sync, 5).ErrorCode,
		"heartbeat":     at[*kmsg.HeartbeatResponse](t, b.handleHeartbeat, beat, 4).ErrorCode,
		"leave":         at[*kmsg.LeaveGroupResponse](t, b.handleLeaveGroup, leave, 5).ErrorCode,
		"describe":      at[*kmsg.DescribeGroupsResponse](t, b.handleDescribeGroups, desc, 6).Groups[0].ErrorCode,
		"delete":        at[*kmsg.DeleteGroupsResponse](t, b.handleDeleteGroups, del, 2).Groups[0].ErrorCode,
		"fetch":         at[*kmsg.OffsetFetchResponse](t, b.handleOffsetFetch, fetch, 9).Groups[0].ErrorCode,
		"commit":        int16(commitCodes(at[*kmsg.OffsetCommitResponse](t, b.handleOffsetCommit, commitRequest(9), 9))[0][0]),
		"delete offset": at[*kmsg.OffsetDeleteResponse](t, b.handleOffsetDelete, odel, 0).ErrorCode,
		"find":          at[*kmsg.FindCoordinatorResponse](t, b.handleFindCoordinator, find, 6).Coordinators[0].ErrorCode,
	} {
		if code != denied {
			t.Errorf("%s answers %v", name, wire.Code(code))
		}
	}
}

func TestListGroupsShowsWhatMayBeDescribed(t *testing.T) {
	b := groupBroker(t, only{kind: authz.Group, name: "secret"}, offsetsTopic)
	for _, g := range []string{"open", "secret"} {
		b.Groups.CommitOffsets(&group.Commit{Group: g, Generation: -1, RetentionMs: -1, APIVersion: 9,
			Topics: []group.CommitTopic{{Name: "t", Partitions: []group.CommitPartition{{Offset: 1}}}}}, func([]wire.Code) {})
	}
	list := func() int {
		return len(at[*kmsg.ListGroupsResponse](t, b.handleListGroups, kmsg.NewPtrListGroupsRequest(), 5).Groups)
	}
	if n := list(); n != 2 {
		t.Fatalf("who may describe the cluster sees %d groups of 2", n)
	}
	b.Authorizer = denyBoth{only{kind: authz.Group, name: "secret"}, only{kind: authz.Cluster}}
	if n := list(); n != 1 {
		t.Fatalf("%d groups are shown, want 1", n)
	}
}

// denyBoth allows what both allow.
type denyBoth struct{ a, b only }

func (d denyBoth) Authorize(c authz.Caller, op authz.Operation, t authz.ResourceType, name string) bool {
	return d.a.Authorize(c, op, t, name) && d.b.Authorize(c, op, t, name)
}
func (d denyBoth) AuthorizeByType(authz.Caller, authz.Operation, authz.ResourceType) bool {
	return true
}
func (denyBoth) Enabled() bool { return true }

func TestFindCoordinator(t *testing.T) {
	b := groupBroker(t, authz.AllowAll{}, offsetsTopic)
	for version := int16(0); version <= 6; version++ {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKey, req.CoordinatorKeys = "g", []string{"g", "h"}
		resp := at[*kmsg.FindCoordinatorResponse](t, b.handleFindCoordinator, req, version)
		if version < 4 {
			if resp.ErrorCode != 0 || resp.NodeID != 1 || resp.Host != "h" || resp.Port != 9 {
				t.Errorf("version %d: %+v", version, resp)
			}
		} else if len(resp.Coordinators) != 2 || resp.Coordinators[1].Key != "h" || resp.Coordinators[1].NodeID != 1 {
			t.Errorf("version %d: %+v", version, resp)
		}
	}
}

func TestFindCoordinatorCreatesTheOffsetsTopicOnce(t *testing.T) {
	b := groupBroker(t, authz.AllowAll{})
	ctl := &topicMaker{gate: make(chan struct{})}
	b.Controller = ctl
	for range 3 {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorKey = "g"
		resp := at[*kmsg.FindCoordinatorResponse](t, b.handleFindCoordinator, req, 3)
		if wire.Code(resp.ErrorCode) != wire.CoordinatorNotAvailable || resp.NodeID != -1 {
			t.Fatalf("%+v", resp)
		}
	}
	close(ctl.gate)
	for deadline := time.Now().Add(10 * time.Second); b.creatingOffsets.Load(); {
		if time.Now().After(deadline) {
			t.Fatal("the creation does not end")
		}
	}
	ctl.mu.Lock()
	defer ctl.mu.Unlock()
	if len(ctl.asked) != 1 || ctl.asked[0].Topic != offsetsTopic || ctl.asked[0].NumPartitions != 50 || ctl.asked[0].ReplicationFactor != 3 {
		t.Fatalf("asked for %+v", ctl.asked)
	}
}

// TestGroupLifeInEveryVersion takes one member through all group requests, with each version of each.
func TestGroupLifeInEveryVersion(t *testing.T) {
	b := groupBroker(t, authz.AllowAll{}, offsetsTopic)
	for v := int16(0); v <= 9; v++ {
		join := kmsg.NewPtrJoinGroupRequest()
		join.Group, join.ProtocolType, join.SessionTimeoutMillis, join.RebalanceTimeoutMillis = "g", "consumer", 30_000, 30_000
		p := kmsg.NewJoinGroupRequestProtocol()
		p.Name = "range"
		join.Protocols = append(join.Protocols, p)
		j := at[*kmsg.JoinGroupResponse](t, b.handleJoinGroup, join, v)
		if v >= 4 {
			if wire.Code(j.ErrorCode) != wire.MemberIdRequired {
				t.Fatalf("join %d: %+v", v, j)
			}
			join.MemberID = j.MemberID
			j = at[*kmsg.JoinGroupResponse](t, b.handleJoinGroup, join, v)
		}
		if j.ErrorCode != 0 || len(j.Members) != 1 || j.LeaderID != j.MemberID || *j.Protocol != "range" {
			t.Fatalf("join %d: %+v", v, j)
		}
		sync := kmsg.NewPtrSyncGroupRequest()
		sync.Group, sync.MemberID, sync.Generation, sync.ProtocolType, sync.Protocol = "g", j.MemberID, j.Generation, &join.ProtocolType, &p.Name
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = j.MemberID, []byte{1}
		sync.GroupAssignment = append(sync.GroupAssignment, a)
		if s := at[*kmsg.SyncGroupResponse](t, b.handleSyncGroup, sync, min(v, 5)); s.ErrorCode != 0 || string(s.MemberAssignment) != "\x01" {
			t.Fatalf("sync %d: %+v", v, s)
		}
		beat := kmsg.NewPtrHeartbeatRequest()
		beat.Group, beat.MemberID, beat.Generation = "g", j.MemberID, j.Generation
		if h := at[*kmsg.HeartbeatResponse](t, b.handleHeartbeat, beat, min(v, 4)); h.ErrorCode != 0 {
			t.Fatalf("heartbeat %d: %+v", v, h)
		}
		desc := kmsg.NewPtrDescribeGroupsRequest()
		desc.Groups, desc.IncludeAuthorizedOperations = []string{"g", "none"}, true
		d := at[*kmsg.DescribeGroupsResponse](t, b.handleDescribeGroups, desc, min(v, 6)).Groups
		if d[0].State != "Stable" || len(d[0].Members) != 1 || d[0].Members[0].ClientHost != "/127.0.0.1" || d[1].State != "Dead" ||
			(d[1].ErrorCode != 0) != (v >= 6) {
			t.Fatalf("describe %d: %+v", v, d)
		}
		leave := kmsg.NewPtrLeaveGroupRequest()
		m := kmsg.NewLeaveGroupRequestMember()
		leave.Group, leave.MemberID, m.MemberID = "g", j.MemberID, j.MemberID
		leave.Members = append(leave.Members, m)
		if l := at[*kmsg.LeaveGroupResponse](t, b.handleLeaveGroup, leave, min(v, 5)); l.ErrorCode != 0 {
			t.Fatalf("leave %d: %+v", v, l)
		}
		del := kmsg.NewPtrDeleteGroupsRequest()
		del.Groups = []string{"g", "g", "none"}
		x := at[*kmsg.DeleteGroupsResponse](t, b.handleDeleteGroups, del, min(v, 3)).Groups
		if len(x) != 2 || x[0].ErrorCode != 0 || wire.Code(x[1].ErrorCode) != wire.GroupIdNotFound {
			t.Fatalf("delete %d: %+v", v, x)
		}
	}
}
