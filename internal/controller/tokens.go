package controller

import (
	"crypto/subtle"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/security/principal"
	"github.com/weir-stream/weir/internal/security/sasl"
	"github.com/weir-stream/weir/internal/wire"
)

// maxTokens bounds the delegation tokens that there are at a time.
const maxTokens = 100000

// tokensOff tells why there are no delegation tokens in this cluster, 0 if there are.
func (c *Controller) tokensOff() wire.Code {
	switch {
	case c.settings().String("delegation.token.secret.key") == "":
		return wire.DelegationTokenAuthDisabled
	case !c.state.MetadataVersion().DelegationTokens():
		return wire.UnsupportedVersion
	}
	return wire.None
}

// createDelegationToken answers CreateDelegationToken v1 to v3 (KIP-48, KIP-373). Its rights were asked for before.
func (c *Controller) createDelegationToken(rc RequestContext, req *kmsg.CreateDelegationTokenRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.CreateDelegationTokenResponse)
	requester, err := principal.Parse(rc.Principal)
	if err != nil {
		return decision{}, wire.InvalidRequest
	}
	owner := requester
	if req.OwnerPrincipalName != nil && *req.OwnerPrincipalName != "" {
		owner = principal.Principal{Name: *req.OwnerPrincipalName}
		if req.OwnerPrincipalType != nil {
			owner.Type = *req.OwnerPrincipalType
		}
	}
	resp.PrincipalType, resp.PrincipalName = owner.Type, owner.Name
	resp.TokenRequesterPrincipalType, resp.TokenRequesterPrincipalName = requester.Type, requester.Name
	resp.HMAC = []byte{}
	fail := func(code wire.Code) (decision, error) {
		resp.ErrorCode = int16(code)
		return decision{answer: resp}, nil
	}
	if code := c.tokensOff(); code != wire.None {
		return fail(code)
	}
	var renewers []string
	for _, r := range req.Renewers {
		if r.PrincipalType != principal.UserType {
			return fail(wire.InvalidPrincipalType)
		}
		renewers = append(renewers, r.PrincipalType+":"+r.PrincipalName)
	}
	if c.state.DelegationTokenCount() >= maxTokens {
		return fail(wire.PolicyViolation)
	}
	now := c.cfg.Now().UnixMilli()
	life := c.settings().Millis("delegation.token.max.lifetime.ms").Milliseconds()
	if req.MaxLifetimeMillis > 0 {
		life = min(life, req.MaxLifetimeMillis)
	}
	t := image.DelegationToken{TokenID: mr.FormatUUID(newID()), Owner: owner.String(), Requester: requester.String(), Renewers: renewers,
		IssueMs: now, MaxMs: now + life}
	t.ExpirationMs = min(t.MaxMs, now+c.settings().Millis("delegation.token.expiry.time.ms").Milliseconds())
	resp.IssueTimestamp, resp.ExpiryTimestamp, resp.MaxTimestamp = t.IssueMs, t.ExpirationMs, t.MaxMs
	resp.TokenID, resp.HMAC = t.TokenID, c.hmacOf(t.TokenID)
	return decision{answer: resp, records: []mr.Versioned{tokenRecord(&t)}}, nil
}

func (c *Controller) hmacOf(id string) []byte {
	return sasl.TokenHMAC(c.settings().String("delegation.token.secret.key"), id)
}

func tokenRecord(t *image.DelegationToken) mr.Versioned {
	return mr.V0(&mr.DelegationTokenRecord{Owner: t.Owner, Requester: t.Requester, Renewers: t.Renewers, IssueTimestamp: t.IssueMs,
		MaxTimestamp: t.MaxMs, ExpirationTimestamp: t.ExpirationMs, TokenID: t.TokenID})
}

// tokenOf finds the token with a secret.
func (c *Controller) tokenOf(hmac []byte) *image.DelegationToken {
	if _, known := c.secrets.ids[string(hmac)]; !known {
		c.secrets.learn(c)
	}
	t := c.state.DelegationToken(c.secrets.ids[string(hmac)])
	if t == nil || subtle.ConstantTimeCompare(c.hmacOf(t.TokenID), hmac) != 1 {
		return nil
	}
	return t
}

// tokenSecrets finds tokens by their secrets, each of which is computed once. The loop's.
type tokenSecrets struct {
	ids   map[string]string // token ids by secret
	known map[string]struct{}
}

// learn adds the tokens that it does not have yet, and forgets those that are gone when they are many.
func (s *tokenSecrets) learn(c *Controller) {
	if n := c.state.DelegationTokenCount(); s.ids == nil || len(s.known) > 2*n+1000 {
		s.ids, s.known = make(map[string]string, n), make(map[string]struct{}, n)
	}
	for _, t := range c.state.DelegationTokens() {
		if _, there := s.known[t.TokenID]; !there {
			s.known[t.TokenID] = struct{}{}
			s.ids[string(c.hmacOf(t.TokenID))] = t.TokenID
		}
	}
}

// knownToken is the token with a secret.
func (c *Controller) knownToken(hmac []byte) (*image.DelegationToken, wire.Code) {
	if code := c.tokensOff(); code != wire.None {
		return nil, code
	}
	t := c.tokenOf(hmac)
	if t == nil {
		return nil, wire.DelegationTokenNotFound
	}
	return t, wire.None
}

// renewDelegationToken answers RenewDelegationToken v1 and v2.
func (c *Controller) renewDelegationToken(rc RequestContext, req *kmsg.RenewDelegationTokenRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.RenewDelegationTokenResponse)
	now := c.cfg.Now().UnixMilli()
	t, code := c.knownToken(req.HMAC)
	switch {
	case code != wire.None:
	case t.ExpiredAt(now):
		code = wire.DelegationTokenExpired
	case !t.RenewableBy(rc.Principal):
		code = wire.DelegationTokenOwnerMismatch
	}
	if code != wire.None {
		resp.ErrorCode = int16(code)
		return decision{answer: resp}, nil
	}
	period := c.settings().Millis("delegation.token.expiry.time.ms").Milliseconds()
	if req.RenewTimeMillis > 0 {
		period = min(period, req.RenewTimeMillis)
	}
	next := *t
	next.ExpirationMs = min(t.MaxMs, now+period)
	resp.ExpiryTimestamp = next.ExpirationMs
	return decision{answer: resp, records: []mr.Versioned{tokenRecord(&next)}}, nil
}

// expireDelegationToken answers ExpireDelegationToken v1 and v2: a negative period ends the token at once.
func (c *Controller) expireDelegationToken(rc RequestContext, req *kmsg.ExpireDelegationTokenRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.ExpireDelegationTokenResponse)
	now := c.cfg.Now().UnixMilli()
	t, code := c.knownToken(req.HMAC)
	switch {
	case code != wire.None:
	case !t.RenewableBy(rc.Principal):
		code = wire.DelegationTokenOwnerMismatch
	case req.ExpiryPeriodMillis < 0:
		resp.ExpiryTimestamp = now
		return decision{answer: resp, records: []mr.Versioned{mr.V0(&mr.RemoveDelegationTokenRecord{TokenID: t.TokenID})}}, nil
	case t.ExpiredAt(now):
		code = wire.DelegationTokenExpired
	}
	if code != wire.None {
		resp.ErrorCode = int16(code)
		return decision{answer: resp}, nil
	}
	next := *t
	next.ExpirationMs = min(t.MaxMs, now+min(req.ExpiryPeriodMillis, t.MaxMs)) // the sum stays in range
	resp.ExpiryTimestamp = next.ExpirationMs
	return decision{answer: resp, records: []mr.Versioned{tokenRecord(&next)}}, nil
}

// sweepTokens removes the tokens that have expired, and says when it is to run again.
func (c *Controller) sweepTokens() time.Duration {
	every := c.settings().Millis("delegation.token.expiry.check.interval.ms")
	if !c.active || c.tokensOff() != wire.None {
		return every
	}
	now := c.cfg.Now().UnixMilli()
	var records []mr.Versioned
	var ids []string
	for _, t := range c.state.DelegationTokens() {
		if t.ExpiredAt(now) {
			ids = append(ids, t.TokenID)
			records = append(records, mr.V0(&mr.RemoveDelegationTokenRecord{TokenID: t.TokenID}))
		}
	}
	if err := c.propose(records, true); err != nil {
		c.log.Error("controller: could not remove expired delegation tokens", "error", err)
	} else if len(ids) > 0 {
		c.log.Info("controller: delegation tokens have expired", "ids", strings.Join(ids, ","))
	}
	return every
}
