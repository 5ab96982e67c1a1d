package handler

import (
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/security/sasl"
	"github.com/weir-stream/weir/internal/wire"
)

// DescribeDelegationToken, versions 1 to 3 (KIP-48): 2 flexible, 3 names the requester (KIP-373). Answered with the
// tokens' secrets, to whom a token concerns and to who may describe it, or the tokens of its owner.
func (b *Broker) handleDescribeDelegationToken(r *wire.Request) {
	req := r.Body.(*kmsg.DescribeDelegationTokenRequest)
	resp := req.ResponseKind().(*kmsg.DescribeDelegationTokenResponse)
	resp.TokenDetails = []kmsg.DescribeDelegationTokenResponseTokenDetail{}
	key := b.Config().String("delegation.token.secret.key")
	switch code := tokenRequests(r); {
	case code != wire.None:
		resp.ErrorCode = int16(code)
	case key == "":
		resp.ErrorCode = int16(wire.DelegationTokenAuthDisabled)
	case req.Owners != nil && len(req.Owners) == 0: // of nobody
	default:
		var owners []string // nil: of all
		for _, o := range req.Owners {
			owners = append(owners, o.PrincipalType+":"+o.PrincipalName)
		}
		for _, t := range b.Image().DelegationTokens() {
			if b.maySeeToken(r, t, owners) {
				resp.TokenDetails = append(resp.TokenDetails, tokenDetail(t, key))
			}
		}
	}
	r.Reply(resp)
}

func (b *Broker) maySeeToken(r *wire.Request, t *image.DelegationToken, owners []string) bool {
	if owners != nil && !slices.ContainsFunc(owners, t.Concerns) {
		return false
	}
	return t.Concerns(r.Conn.Principal) || b.visible(r, authz.Describe, authz.DelegationToken, t.TokenID) ||
		b.visible(r, authz.DescribeTokens, authz.User, t.Owner)
}

func tokenDetail(t *image.DelegationToken, key string) kmsg.DescribeDelegationTokenResponseTokenDetail {
	d := kmsg.NewDescribeDelegationTokenResponseTokenDetail()
	d.PrincipalType, d.PrincipalName, _ = strings.Cut(t.Owner, ":")
	d.TokenRequesterPrincipalType, d.TokenRequesterPrincipalName, _ = strings.Cut(t.Requester, ":")
	d.IssueTimestamp, d.ExpiryTimestamp, d.MaxTimestamp = t.IssueMs, t.ExpirationMs, t.MaxMs
	d.TokenID, d.HMAC = t.TokenID, sasl.TokenHMAC(key, t.TokenID)
	d.Renewers = []kmsg.DescribeDelegationTokenResponseTokenDetailRenewer{}
	for _, name := range t.Renewers {
		n := kmsg.NewDescribeDelegationTokenResponseTokenDetailRenewer()
		n.PrincipalType, n.PrincipalName, _ = strings.Cut(name, ":")
		d.Renewers = append(d.Renewers, n)
	}
	return d
}
