package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/security/principal"
	"github.com/weir-stream/weir/internal/wire"
)

// CreateDelegationToken, versions 1 to 3 (KIP-48): 2 flexible, 3 tokens for others (KIP-373), which needs the right to
// create tokens of that user. The controller makes the token.
func (b *Broker) handleCreateDelegationToken(r *wire.Request) { b.createToken(r, tokenRequests(r)) }

// createToken forwards the request if code and rights allow it.
func (b *Broker) createToken(r *wire.Request, code wire.Code) {
	req := r.Body.(*kmsg.CreateDelegationTokenRequest)
	requester := caller(r).Principal
	owner := requester
	if req.OwnerPrincipalName != nil && *req.OwnerPrincipalName != "" {
		owner = principal.Principal{Name: *req.OwnerPrincipalName}
		if req.OwnerPrincipalType != nil {
			owner.Type = *req.OwnerPrincipalType
		}
	}
	if code == wire.None && owner != requester && !b.allowed(r, authz.CreateTokens, authz.User, owner.String()) {
		code = wire.DelegationTokenAuthorizationFailed
	}
	if code == wire.None {
		b.forward(r, req, nil)
		return
	}
	resp := req.ResponseKind().(*kmsg.CreateDelegationTokenResponse)
	resp.ErrorCode, resp.HMAC = int16(code), []byte{}
	resp.PrincipalType, resp.PrincipalName = owner.Type, owner.Name
	resp.TokenRequesterPrincipalType, resp.TokenRequesterPrincipalName = requester.Type, requester.Name
	resp.IssueTimestamp, resp.ExpiryTimestamp, resp.MaxTimestamp = -1, -1, -1
	r.Reply(resp)
}

// tokenRoutes are the requests about tokens on a controller's listeners, which brokers forward after they have looked at
// the client's own connection.
func (b *Broker) tokenRoutes() []wire.Route {
	return []wire.Route{
		{Key: 38, MinVersion: 1, MaxVersion: 3, Handle: func(r *wire.Request) { b.createToken(r, wire.None) }},
		{Key: 39, MinVersion: 1, MaxVersion: 2, Handle: func(r *wire.Request) { b.forward(r, r.Body, nil) }},
		{Key: 40, MinVersion: 1, MaxVersion: 2, Handle: func(r *wire.Request) { b.forward(r, r.Body, nil) }},
	}
}

// tokenRequests tells why a connection may not ask about tokens at all: nobody has shown who it is, or it was by a token,
// from which no others may be made.
func tokenRequests(r *wire.Request) wire.Code {
	c := r.Conn
	if c.TokenAuthenticated || c.SecurityProtocol == "PLAINTEXT" || c.SecurityProtocol == "SSL" && c.Principal == principal.Anonymous.String() {
		return wire.DelegationTokenRequestNotAllowed
	}
	return wire.None
}
