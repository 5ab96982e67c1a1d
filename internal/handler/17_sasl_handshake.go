package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/wire"
)

// SaslHandshake, versions 0 and 1: after 0 the messages of the mechanism follow bare, after 1 in SaslAuthenticate
// (KIP-152). The server runs logins itself; what arrives here comes from a client that is in already, or on a
// listener without SASL.
func (b *Broker) handleSaslHandshake(r *wire.Request) {
	resp := r.Body.ResponseKind().(*kmsg.SASLHandshakeResponse)
	resp.ErrorCode = int16(wire.IllegalSaslState)
	resp.SupportedMechanisms = []string{}
	r.Reply(resp)
}

// SaslAuthenticate, versions 0 to 2: 1 tells how long the session may last (KIP-368), 2 is flexible.
func (b *Broker) handleSaslAuthenticate(r *wire.Request) {
	resp := r.Body.ResponseKind().(*kmsg.SASLAuthenticateResponse)
	text := "SaslAuthenticate request received after successful authentication"
	resp.ErrorCode, resp.ErrorMessage, resp.SASLAuthBytes = int16(wire.IllegalSaslState), &text, []byte{}
	r.Reply(resp)
}
