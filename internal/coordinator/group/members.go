package group

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/wire"
)

// JoinGroup handles a JoinGroup of any version. The request may be reused once it is answered.
func (c *Coordinator) JoinGroup(client Client, req *kmsg.JoinGroupRequest, reply func(*kmsg.JoinGroupResponse)) {
	resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
	answer := func(r joinResult) { reply(r.into(resp)) }
	r := newJoinRequest(client, req)
	switch {
	case r.group == "" || len(r.group) > maxStringBytes:
		answer(joinResult{code: wire.InvalidGroupId, memberID: r.memberID})
		return
	case r.sessionMs < int32(c.cfg.MinSessionTimeout.Milliseconds()) || int64(r.sessionMs) > c.cfg.MaxSessionTimeout.Milliseconds():
		answer(joinResult{code: wire.InvalidSessionTimeout, memberID: r.memberID})
		return
	case !r.fits():
		answer(joinResult{code: wire.InvalidRequest, memberID: r.memberID})
		return
	}
	c.run(r.group, func(tx *coordinator.Tx, m *machine) { m.join(tx, r, answer) },
		func(err error) { answer(joinResult{code: errorCode(err), memberID: r.memberID}) })
}

// SyncGroup handles a SyncGroup of any version. The request may be reused once it is answered.
func (c *Coordinator) SyncGroup(req *kmsg.SyncGroupRequest, reply func(*kmsg.SyncGroupResponse)) {
	resp := req.ResponseKind().(*kmsg.SyncGroupResponse)
	answer := func(r syncResult) { reply(r.into(resp)) }
	switch {
	case req.Group == "":
		answer(syncResult{code: wire.InvalidGroupId})
		return
	case req.Version >= 5 && (req.ProtocolType == nil || req.Protocol == nil):
		answer(syncResult{code: wire.InconsistentGroupProtocol})
		return
	}
	r := newSyncRequest(req)
	c.run(r.group, func(tx *coordinator.Tx, m *machine) { m.sync(tx, r, answer) },
		func(err error) { answer(syncResult{code: errorCode(err)}) })
}

// Heartbeat handles a Heartbeat of any version.
func (c *Coordinator) Heartbeat(req *kmsg.HeartbeatRequest, reply func(*kmsg.HeartbeatResponse)) {
	resp := req.ResponseKind().(*kmsg.HeartbeatResponse)
	answer := func(code wire.Code) {
		resp.ErrorCode = int16(code)
		reply(resp)
	}
	if req.Group == "" {
		answer(wire.InvalidGroupId)
		return
	}
	c.run(req.Group, func(_ *coordinator.Tx, m *machine) {
		answer(m.heartbeat(req.Group, req.MemberID, req.InstanceID, req.Generation))
	}, func(err error) {
		code := errorCode(err)
		if code == wire.CoordinatorLoadInProgress {
			code = wire.None // sessions start anew after loading, so the member has nothing to worry about
		}
		answer(code)
	})
}

// LeaveGroup handles a LeaveGroup of any version.
func (c *Coordinator) LeaveGroup(req *kmsg.LeaveGroupRequest, reply func(*kmsg.LeaveGroupResponse)) {
	resp := req.ResponseKind().(*kmsg.LeaveGroupResponse)
	leavers := newLeavers(req)
	answer := func(code wire.Code, codes []wire.Code) {
		resp.ErrorCode = int16(code)
		switch {
		case req.Version < 3 && code == wire.None && len(codes) > 0:
			resp.ErrorCode = int16(codes[0])
		case req.Version >= 3 && code == wire.None:
			for i, l := range leavers {
				rm := kmsg.NewLeaveGroupResponseMember()
				rm.MemberID, rm.InstanceID, rm.ErrorCode = l.memberID, l.instanceID, int16(codes[i])
				resp.Members = append(resp.Members, rm)
			}
		}
		reply(resp)
	}
	if req.Group == "" {
		answer(wire.InvalidGroupId, nil)
		return
	}
	c.run(req.Group, func(tx *coordinator.Tx, m *machine) { m.leave(tx, req.Group, leavers, answer) },
		func(err error) { answer(errorCode(err), nil) })
}

func newLeavers(req *kmsg.LeaveGroupRequest) []leaver {
	if req.Version < 3 {
		return []leaver{{memberID: req.MemberID, reason: "not provided"}}
	}
	out := make([]leaver, 0, len(req.Members))
	for _, m := range req.Members {
		l := leaver{memberID: m.MemberID, instanceID: m.InstanceID, reason: "not provided"}
		if m.Reason != nil {
			l.reason = *m.Reason
		}
		out = append(out, l)
	}
	return slices.Clip(out)
}
