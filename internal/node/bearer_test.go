package node

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/weir-stream/weir/internal/security/sasl"
	"github.com/weir-stream/weir/internal/testkit/certkit"
)

// issuer signs tokens; its public key lies in a file.
type issuer struct {
	signer jose.Signer
	keys   string // file
}

func newIssuer(t *testing.T) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{}
	if i.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, nil); err != nil {
		t.Fatal(err)
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "1", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	i.keys = certkit.File(t, t.TempDir(), "jwks.json", string(keys))
	return i
}

// write puts a token for a user into a file; it is replaced whole.
func (i *issuer) write(t *testing.T, file, user string, life time.Duration) {
	t.Helper()
	now := time.Now()
	text, err := jwt.Signed(i.signer).Claims(map[string]any{"sub": user, "iss": "https://idp", "aud": "kafka", "iat": now.Unix() - 5, "exp": now.Add(life).Unix()}).Serialize()
	if err != nil {
		t.Error(err)
		return
	}
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Error(err)
		return
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Error(err)
		return
	}
}

// life is how long the tokens of nodes are good.
const life = 4 * time.Second

// keep renews a token well before it ends, until stop is called.
func (i *issuer) keep(t *testing.T, file, user string) (stop func()) {
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(life / 8)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				i.write(t, file, user, life)
			case <-done:
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// TestOAuthBearerBetweenNodes: nodes sign in to each other with tokens from a file, which is replaced while they run and bounds
// their sessions; who has a token of another issuer is no node.
func TestOAuthBearerBetweenNodes(t *testing.T) {
	t.Parallel()
	idp := newIssuer(t)
	file := filepath.Join(t.TempDir(), "token")
	jaas := func(listener string) string {
		return "listener.name." + listener + ".oauthbearer.sasl.jaas.config=" + sasl.OAuthLoginModule + " required;"
	}
	k := between(t, certkit.New(t), []string{"broker,controller", "broker,controller", "broker,controller", "broker"}, "SASL_SSL", "SASL_SSL", "sasl.enabled.mechanisms=OAUTHBEARER", "sasl.mechanism.inter.broker.protocol=OAUTHBEARER",
		"sasl.mechanism.controller.protocol=OAUTHBEARER", jaas("internal"), jaas("controller"), "sasl.oauthbearer.jwks.endpoint.url=file://"+idp.keys,
		"sasl.oauthbearer.token.endpoint.url=file://"+file, "sasl.oauthbearer.expected.audience=kafka", "sasl.oauthbearer.expected.issuer=https://idp",
		"sasl.login.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler",
		"sasl.oauthbearer.clock.skew.seconds=1", standardAuthorizer, "super.users=User:node;User:ANONYMOUS")
	idp.write(t, file, "node", life)
	defer idp.keep(t, file, "node")()
	k.formatAll()
	k.start(k.members[:3]...)
	cl := k.client()
	k.create(cl, "copied", 3, 3)
	begin := time.Now()
	for time.Since(begin) < life+2*time.Second { // past the end of the first tokens
		k.produce(cl, "copied", 20)
	}
	k.untilInSync("copied", 3)
	active := k.active()
	active.kill()
	k.create(cl, "without", 2, 2)
	k.start(active)
	k.untilInSync("copied", 3)
	k.consume("copied", 20)

	last := k.members[3]
	said := new(lines)
	last.logs = said
	foreign := filepath.Join(t.TempDir(), "token")
	newIssuer(t).write(t, foreign, "node", time.Hour)
	last.own = append(last.own, "sasl.oauthbearer.token.endpoint.url=file://"+foreign)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		n, err := Start(ctx, last.options())
		if n != nil && err == nil {
			_ = n.Stop()
		}
		ended <- err
	}()
	k.eventually("the log says why", func() bool { return said.with("SASL mechanism OAUTHBEARER", "invalid_token") > 0 })
	cancel()
	if err := <-ended; err == nil {
		t.Error("a node with a token of another issuer is let in")
	}
}
