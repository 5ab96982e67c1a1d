package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/wire"
)

// RenewDelegationToken, versions 1 and 2 (KIP-48): 2 flexible. Whose token it is the controller looks at.
func (b *Broker) handleRenewDelegationToken(r *wire.Request) {
	if code := tokenRequests(r); code != wire.None {
		resp := r.Body.ResponseKind().(*kmsg.RenewDelegationTokenResponse)
		resp.ErrorCode, resp.ExpiryTimestamp = int16(code), -1
		r.Reply(resp)
		return
	}
	b.forward(r, r.Body, nil)
}

// ExpireDelegationToken, versions 1 and 2 (KIP-48): 2 flexible.
func (b *Broker) handleExpireDelegationToken(r *wire.Request) {
	if code := tokenRequests(r); code != wire.None {
		resp := r.Body.ResponseKind().(*kmsg.ExpireDelegationTokenResponse)
		resp.ErrorCode, resp.ExpiryTimestamp = int16(code), -1
		r.Reply(resp)
		return
	}
	b.forward(r, r.Body, nil)
}
