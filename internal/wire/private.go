package wire

import (
	"encoding/binary"
	"errors"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// FirstPrivateKey is the first of the keys that only Weir's own nodes use among themselves, far above Kafka's. They are
// served on controllers' listeners, are not told in ApiVersions, and are asked without negotiation.
const FirstPrivateKey int16 = 1000

// KeyRaftMessages is the API by which the voters of the metadata quorum exchange Raft's messages.
const KeyRaftMessages int16 = 1000

// RaftMessagesRequest carries messages of etcd's Raft from one voter to another, in order.
type RaftMessagesRequest struct {
	Version int16
	// ClusterID is the sender's; a node of another cluster takes no message.
	ClusterID string
	// NodeID is the sender's.
	NodeID int32
	// To is the receiver's id in Raft; a receiver that has another one takes no message.
	To uint64
	// EndOffset is the end of the sender's metadata log, for those who describe the quorum.
	EndOffset int64
	// Messages are raftpb.Message, encoded. They alias the frame. A request without any asks which log the receiver has.
	Messages [][]byte
	// Tag says which logs the sender and the receiver have; all zero from a build that does not say. It stands behind the
	// rest, where such a build does not look.
	Tag RaftTag
}

// RaftTag names both ends of a request by the logs that they have: who lost its log is another than it was.
type RaftTag struct {
	// From is the sender's id in Raft, FromLog names its log, ToLog the one that the receiver is believed to have (0: not known).
	From, FromLog, ToLog uint64
	// FromDirectory and ToDirectory are the directory ids of both, zero where they are not known.
	FromDirectory, ToDirectory [16]byte
}

// raftTagBytes is the size of a tag; what a later build may put behind it is passed over.
const raftTagBytes = 56

// RaftMessagesResponse says whether the messages were taken: handed to Raft, which may still ignore them.
type RaftMessagesResponse struct {
	Version   int16
	ErrorCode int16
	// Log names the receiver's log, for a sender that tags its requests; 0: not told.
	Log uint64
}

var (
	_ kmsg.Request  = (*RaftMessagesRequest)(nil)
	_ kmsg.Response = (*RaftMessagesResponse)(nil)
)

var raftMessages = &schema{name: "RaftMessages", flexible: 32767, fields: []field{
	{max: 32767, kind: kindString, nullMin: 32767, nullMax: -1, tagMin: 32767},
	{max: 32767, kind: kindFixed, width: 4, nullMin: 32767, nullMax: -1, tagMin: 32767},
	{max: 32767, kind: kindFixed, width: 16, nullMin: 32767, nullMax: -1, tagMin: 32767},
	{max: 32767, kind: kindBytes, array: true, nullMin: 32767, nullMax: -1, tagMin: 32767},
}}

// schemaOf is what is known of an API's requests, nil if nothing.
func schemaOf(key int16) *schema {
	switch {
	case key == KeyRaftMessages:
		return raftMessages
	case key >= 0 && int(key) < len(schemas):
		return schemas[key]
	}
	return nil
}

// newRequest returns an empty request, nil if the key is not known.
func newRequest(key int16) kmsg.Request {
	if key == KeyRaftMessages {
		return new(RaftMessagesRequest)
	}
	return kmsg.RequestForKey(key)
}

var errPrivate = errors.New("a private message is not valid")

// Key implements kmsg.Request.
func (*RaftMessagesRequest) Key() int16 { return KeyRaftMessages }

// MaxVersion implements kmsg.Request.
func (*RaftMessagesRequest) MaxVersion() int16 { return 0 }

// SetVersion implements kmsg.Request.
func (r *RaftMessagesRequest) SetVersion(v int16) { r.Version = v }

// GetVersion implements kmsg.Request.
func (r *RaftMessagesRequest) GetVersion() int16 { return r.Version }

// IsFlexible implements kmsg.Request.
func (*RaftMessagesRequest) IsFlexible() bool { return false }

// ResponseKind implements kmsg.Request.
func (r *RaftMessagesRequest) ResponseKind() kmsg.Response {
	return &RaftMessagesResponse{Version: r.Version}
}

// AppendTo implements kmsg.Request.
func (r *RaftMessagesRequest) AppendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(r.ClusterID)))
	dst = append(dst, r.ClusterID...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(r.NodeID))
	dst = binary.BigEndian.AppendUint64(dst, r.To)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.EndOffset))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(r.Messages)))
	for _, m := range r.Messages {
		dst = binary.BigEndian.AppendUint32(dst, uint32(len(m)))
		dst = append(dst, m...)
	}
	if t := &r.Tag; t.FromLog != 0 {
		dst = binary.BigEndian.AppendUint64(dst, t.From)
		dst = binary.BigEndian.AppendUint64(dst, t.FromLog)
		dst = binary.BigEndian.AppendUint64(dst, t.ToLog)
		dst = append(dst, t.FromDirectory[:]...)
		dst = append(dst, t.ToDirectory[:]...)
	}
	return dst
}

// ReadFrom implements kmsg.Request. The body was checked (CheckBody) or is refused where it is short.
func (r *RaftMessagesRequest) ReadFrom(b []byte) error {
	if len(b) < 2 {
		return errPrivate
	}
	n := int(binary.BigEndian.Uint16(b))
	if b = b[2:]; len(b) < n+24 {
		return errPrivate
	}
	r.ClusterID, b = string(b[:n]), b[n:]
	r.NodeID, r.To = int32(binary.BigEndian.Uint32(b)), binary.BigEndian.Uint64(b[4:])
	r.EndOffset = int64(binary.BigEndian.Uint64(b[12:]))
	count := int(int32(binary.BigEndian.Uint32(b[20:])))
	if b = b[24:]; count < 0 || count > len(b)/4 {
		return errPrivate
	}
	r.Messages = make([][]byte, 0, count)
	for range count {
		if len(b) < 4 {
			return errPrivate
		}
		size := int(int32(binary.BigEndian.Uint32(b)))
		if b = b[4:]; size < 0 || size > len(b) {
			return errPrivate
		}
		r.Messages = append(r.Messages, b[:size:size])
		b = b[size:]
	}
	switch {
	case len(b) == 0:
	case len(b) < raftTagBytes:
		return errPrivate
	default:
		t := &r.Tag
		t.From, t.FromLog, t.ToLog = binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])
		copy(t.FromDirectory[:], b[24:40])
		copy(t.ToDirectory[:], b[40:56])
	}
	return nil
}

// Key implements kmsg.Response.
func (*RaftMessagesResponse) Key() int16 { return KeyRaftMessages }

// MaxVersion implements kmsg.Response.
func (*RaftMessagesResponse) MaxVersion() int16 { return 0 }

// SetVersion implements kmsg.Response.
func (r *RaftMessagesResponse) SetVersion(v int16) { r.Version = v }

// GetVersion implements kmsg.Response.
func (r *RaftMessagesResponse) GetVersion() int16 { return r.Version }

// IsFlexible implements kmsg.Response.
func (*RaftMessagesResponse) IsFlexible() bool { return false }

// RequestKind implements kmsg.Response.
func (r *RaftMessagesResponse) RequestKind() kmsg.Request {
	return &RaftMessagesRequest{Version: r.Version}
}

// AppendTo implements kmsg.Response.
func (r *RaftMessagesResponse) AppendTo(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint16(dst, uint16(r.ErrorCode))
	if r.Log != 0 {
		dst = binary.BigEndian.AppendUint64(dst, r.Log)
	}
	return dst
}

// ReadFrom implements kmsg.Response.
func (r *RaftMessagesResponse) ReadFrom(b []byte) error {
	if len(b) != 2 && len(b) != 10 {
		return errPrivate
	}
	r.ErrorCode = int16(binary.BigEndian.Uint16(b))
	if b = b[2:]; len(b) > 0 {
		r.Log = binary.BigEndian.Uint64(b)
	}
	return nil
}
