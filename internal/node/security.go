package node

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/peer"
	"github.com/weir-stream/weir/internal/security/channel"
	"github.com/weir-stream/weir/internal/security/principal"
	"github.com/weir-stream/weir/internal/security/sasl"
	"github.com/weir-stream/weir/internal/telemetry"
)

// security is the part of a node that protects its listeners.
type security struct {
	channels *channel.Listeners
	// patterns has, by mechanism, a credential that shows a stranger what one looks like; see sasl.NewScram.
	patterns [3]atomic.Pointer[sasl.Credential]
}

// openSecurity reads what the listeners need. Nothing is written before it has worked.
func (n *Node) openSecurity(cfg *config.Set) (err error) {
	var tokens channel.Tokens
	if key := cfg.String("delegation.token.secret.key"); key != "" {
		tokens = func(id string) (sasl.Token, bool) { return n.token(key, id) }
	}
	n.channels, err = channel.New(cfg, n.scramUser, tokens, n.opts.Net.Dial, n.room("security"))
	return err
}

// token finds a delegation token that is alive in the metadata.
func (n *Node) token(key, id string) (sasl.Token, bool) {
	t := n.image.Load().DelegationToken(id)
	if t == nil || t.ExpiredAt(n.opts.Now().UnixMilli()) {
		return sasl.Token{}, false
	}
	owner, err := principal.Parse(t.Owner)
	if err != nil {
		return sasl.Token{}, false
	}
	return sasl.Token{Owner: owner.Name, HMAC: sasl.TokenHMAC(key, id), Expires: time.UnixMilli(min(t.ExpirationMs, t.MaxMs))}, true
}

// secured adds to a client of other nodes what their listener asks for: TLS and a login.
func (n *Node) secured(listener string, cfg peer.Config) peer.Config {
	cfg.Dial = n.opts.Net.Dial
	d := n.channels.Dialer(listener)
	if d == nil {
		return cfg
	}
	cfg.Dial = d.Dial
	cfg.Login = func(ctx context.Context, ask peer.Exchange) (time.Time, error) {
		return d.Login(ctx, func(_ context.Context, req kmsg.Request) (kmsg.Response, error) { return ask(req) })
	}
	return cfg
}

// scramUser finds a user in the metadata.
func (n *Node) scramUser(mechanism, user string) (sasl.Credential, bool) {
	number := sasl.ScramNumbers[mechanism]
	if c := n.image.Load().Scram(user, number); c != nil {
		return credentialOf(c), true
	}
	if p := n.patterns[number].Load(); p != nil {
		return *p, false
	}
	return sasl.Credential{}, false
}

func credentialOf(c *image.ScramCredential) sasl.Credential {
	return sasl.Credential{Salt: c.Salt, StoredKey: c.StoredKey, ServerKey: c.ServerKey, Iterations: int(c.Iterations)}
}

// publishUsers keeps a pattern of each mechanism's credentials.
func (n *Node) publishUsers(img *image.Image, d *image.Delta) {
	if len(d.Scram) == 0 {
		return
	}
	for k := range d.Scram {
		if c := img.Scram(k.User, k.Mechanism); c != nil && int(k.Mechanism) < len(n.patterns) && k.Mechanism > 0 {
			p := credentialOf(c)
			n.patterns[k.Mechanism].Store(&p)
		}
	}
}

// registerSecurity declares when certificates end.
func (n *Node) registerSecurity(r *telemetry.Registry) {
	for listener := range n.channels.Expiry() {
		r.GaugeFunc(telemetry.CertificateDays, func() float64 {
			return time.Until(n.channels.Expiry()[listener]).Hours() / 24
		}, "listener", listener)
	}
}

// watchSecurity follows the files of certificates.
func (n *Node) watchSecurity() {
	n.metaGroup.Go("certificates", func(ctx context.Context) { n.channels.Run(ctx) })
}
