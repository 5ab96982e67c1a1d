package handler

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/uplink"
	"github.com/weir-stream/weir/internal/wire"
)

// handleEnvelope answers Envelope, version 0 (KIP-590): a client's request that a broker forwards, with the client's
// principal. It is answered as if the client had sent it to this controller's listener.
func (b *Broker) handleEnvelope(r *wire.Request) {
	req := r.Body.(*kmsg.EnvelopeRequest)
	resp := req.ResponseKind().(*kmsg.EnvelopeResponse)
	fail := func(code wire.Code) {
		resp.ErrorCode = int16(code)
		r.Reply(resp)
	}
	switch {
	case !b.ofNode(r):
		fail(wire.ClusterAuthorizationFailed)
		return
	case !b.Quorum.Active():
		fail(wire.NotController)
		return
	}
	var principal kmsg.DefaultPrincipalData
	if err := principal.ReadFrom(req.RequestPrincipal); err != nil || len(req.RequestPrincipal) == 0 || principal.Version != 0 || principal.Type == "" || principal.Name == "" {
		fail(wire.PrincipalDeserializationFailure)
		return
	}
	host, ok := netip.AddrFromSlice(req.ClientHostAddress)
	if !ok {
		fail(wire.InvalidRequest)
		return
	}
	inner, handle, code := b.unwrap(r, req.RequestData)
	if code != wire.None {
		fail(code)
		return
	}
	info := *r.Conn
	info.Principal, info.Remote, info.Privileged = principal.Type+":"+principal.Name, netip.AddrPortFrom(host.Unmap(), 0), false
	info.TokenAuthenticated, info.Rights = principal.TokenAuthenticated, nil
	inner.Conn = &info
	inner.ReplyFunc = func(_ *wire.Request, answer wire.Response) {
		if b.Measured() { // the broker that forwards holds the client back for what the answer says
			b.Answered(inner, answer, time.Since(r.Received))
		}
		if v, ok := answer.(kmsg.Response); ok {
			v.SetVersion(inner.Version)
		}
		resp.UnknownTags.Set(uplink.OffsetTag, binary.BigEndian.AppendUint64(nil, uint64(b.Image().Offset())))
		resp.ResponseData = answer.AppendTo(wire.AppendResponseHeader(nil, inner.Key, inner.Version, inner.CorrelationID))
		r.Reply(resp)
	}
	inner.MovedFunc = func() { fail(wire.NotController) }
	inner.HangupFunc = func(*wire.Request, string) { fail(wire.InvalidRequest) }
	handle(inner)
}

// unwrap decodes the request in an Envelope and finds who answers it: one of the APIs that may be forwarded.
func (b *Broker) unwrap(r *wire.Request, data []byte) (*wire.Request, func(*wire.Request), wire.Code) {
	h, err := wire.ParseHeader(data)
	if err != nil || !forwardable(h.Key) {
		return nil, nil, wire.InvalidRequest
	}
	for _, route := range b.controllerRoutes {
		if route.Key != h.Key {
			continue
		}
		if h.Version < route.MinVersion || h.Version > route.MaxVersion {
			return nil, nil, wire.UnsupportedVersion
		}
		body, err := wire.DecodeBody(h.Key, h.Version, h.Body, wire.DefaultMaxDecode)
		if err != nil {
			return nil, nil, wire.InvalidRequest
		}
		return &wire.Request{Key: h.Key, Version: h.Version, CorrelationID: h.CorrelationID, ClientID: string(h.ClientID), Body: body,
			Received: r.Received, Done: r.Done}, route.Handle, wire.None
	}
	return nil, nil, wire.InvalidRequest
}

// forwardable are the APIs of a controller that clients may ask of any broker.
func forwardable(key int16) bool {
	switch key {
	case 1, 18, 56, 58, 59, 60, 62, 63, 67, 70, 73, 82, wire.KeyRaftMessages:
		return false
	}
	return true
}
