package group

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/wire"
)

// Client is who sent a request.
type Client struct {
	ID   string // the header's client id
	Host string // as Java prints an address: "/127.0.0.1"
}

// maxStringBytes bounds the strings that go into records, whose lengths are int16 there.
const maxStringBytes = 1<<15 - 1 - 64

// joinRequest is a JoinGroup that owns its memory.
type joinRequest struct {
	version      int16
	group        string
	memberID     string
	instanceID   *string
	client       Client
	protocolType string
	protocols    []protocol
	rebalanceMs  int32
	sessionMs    int32
	reason       string
}

// newJoinRequest copies what the group keeps out of the request, whose memory is the connection's.
func newJoinRequest(c Client, r *kmsg.JoinGroupRequest) *joinRequest {
	j := &joinRequest{
		version: r.Version, group: strings.Clone(r.Group), memberID: strings.Clone(r.MemberID),
		instanceID: cloneString(r.InstanceID), client: Client{ID: strings.Clone(c.ID), Host: strings.Clone(c.Host)},
		protocolType: strings.Clone(r.ProtocolType), rebalanceMs: r.RebalanceTimeoutMillis,
		sessionMs: r.SessionTimeoutMillis, reason: "not provided",
	}
	if r.Version == 0 {
		j.rebalanceMs = j.sessionMs // the field came with version 1
	}
	if r.Reason != nil && *r.Reason != "" {
		j.reason = strings.Clone(*r.Reason)
	}
	for _, p := range r.Protocols {
		if !slices.ContainsFunc(j.protocols, func(o protocol) bool { return o.name == p.Name }) {
			j.protocols = append(j.protocols, protocol{strings.Clone(p.Name), slices.Clone(p.Metadata)})
		}
	}
	return j
}

// fits reports whether all strings can be written.
func (j *joinRequest) fits() bool {
	ok := len(j.group) <= maxStringBytes && len(j.memberID) <= maxStringBytes && len(j.client.ID) <= maxStringBytes &&
		len(j.protocolType) <= maxStringBytes && (j.instanceID == nil || len(*j.instanceID) <= maxStringBytes)
	for _, p := range j.protocols {
		ok = ok && len(p.name) <= maxStringBytes
	}
	return ok
}

func cloneString(s *string) *string {
	if s == nil {
		return nil
	}
	c := strings.Clone(*s)
	return &c
}

// joinResult answers a JoinGroup.
type joinResult struct {
	code         wire.Code
	generation   int32 // -1 with an error
	protocolType *string
	protocol     *string
	leader       string
	skip         bool // KIP-814: the leader need not assign
	memberID     string
	members      []joinedMember // for the leader only
}

type joinedMember struct {
	id         string
	instanceID *string
	metadata   []byte
}

func (r joinResult) into(resp *kmsg.JoinGroupResponse) *kmsg.JoinGroupResponse {
	resp.ErrorCode = int16(r.code)
	resp.Generation = r.generation
	if r.code != wire.None {
		resp.Generation = -1
	}
	resp.ProtocolType, resp.Protocol = r.protocolType, r.protocol
	resp.LeaderID, resp.SkipAssignment, resp.MemberID = r.leader, r.skip, r.memberID
	resp.Members = make([]kmsg.JoinGroupResponseMember, 0, len(r.members))
	for _, m := range r.members {
		rm := kmsg.NewJoinGroupResponseMember()
		rm.MemberID, rm.InstanceID, rm.ProtocolMetadata = m.id, m.instanceID, m.metadata
		resp.Members = append(resp.Members, rm)
	}
	return resp
}

// syncRequest is a SyncGroup that owns its memory.
type syncRequest struct {
	group        string
	memberID     string
	instanceID   *string
	generation   int32
	protocolType *string
	protocol     *string
	assignments  map[string][]byte
}

func newSyncRequest(r *kmsg.SyncGroupRequest) *syncRequest {
	s := &syncRequest{
		group: strings.Clone(r.Group), memberID: strings.Clone(r.MemberID), instanceID: cloneString(r.InstanceID),
		generation: r.Generation, protocolType: cloneString(r.ProtocolType), protocol: cloneString(r.Protocol),
		assignments: make(map[string][]byte, len(r.GroupAssignment)),
	}
	for _, a := range r.GroupAssignment {
		s.assignments[strings.Clone(a.MemberID)] = append([]byte{}, a.MemberAssignment...)
	}
	return s
}

// syncResult answers a SyncGroup.
type syncResult struct {
	code         wire.Code
	protocolType *string
	protocol     *string
	assignment   []byte
}

func (r syncResult) into(resp *kmsg.SyncGroupResponse) *kmsg.SyncGroupResponse {
	resp.ErrorCode = int16(r.code)
	resp.ProtocolType, resp.Protocol = r.protocolType, r.protocol
	resp.MemberAssignment = r.assignment
	if resp.MemberAssignment == nil {
		resp.MemberAssignment = []byte{}
	}
	return resp
}
