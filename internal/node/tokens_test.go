package node

import (
	"encoding/base64"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/weir-stream/weir/internal/security/sasl"
	"github.com/weir-stream/weir/internal/testkit/certkit"
)

// TestDelegationTokensInACluster: a token that is made at one of three secured nodes lets its bearer in at each as its owner, who
// has the owner's rights; it ends at all of them when it is expired or its time is over, and outlives a change of the active controller.
func TestDelegationTokensInACluster(t *testing.T) {
	t.Parallel()
	users := "listener.name.clients.plain.sasl.jaas.config=" + sasl.PlainLoginModule + ` required user_root="root-s3cret" user_alice="alice-s3cret";`
	k := between(t, certkit.New(t), threeCombined, "SASL_SSL", "SSL", "sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256", "sasl.mechanism.inter.broker.protocol=PLAIN", plainJAAS("internal"), users,
		"listener.name.controller.ssl.client.auth=required", standardAuthorizer, "super.users=User:node;User:root", "auto.create.topics.enable=false",
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CLIENTS:SASL_PLAINTEXT,INTERNAL:SASL_SSL,CONTROLLER:SSL",
		"delegation.token.secret.key=the-same-on-all", "delegation.token.expiry.check.interval.ms=200")
	var seeds []string
	for _, m := range k.members {
		seeds = append(seeds, fmt.Sprint("127.0.0.1:", freePort(t)))
		m.own = append(m.own, "listeners=CLIENTS://"+seeds[m.id-1])
	}
	k.formatAll()
	k.start(k.members...)
	as := func(user string) *kgo.Client {
		return k.client(kgo.SeedBrokers(seeds...), kgo.SASL(plain.Auth{User: user, Pass: user + "-s3cret"}.AsMechanism()))
	}
	root, alice := kadm.NewClient(as("root")), kadm.NewClient(as("alice"))
	k.create(as("root"), "hers", 1, 3)
	if rs, err := root.CreateACLs(k.ctx(), kadm.NewACLs().Allow("User:alice").AllowHosts("*").Topics("hers").ResourcePatternType(kadm.ACLPatternLiteral).Operations(kadm.OpDescribe)); err != nil || rs[0].Err != nil {
		t.Fatal(err, rs)
	}
	token := func(life time.Duration) kadm.DelegationToken {
		t.Helper()
		made, err := alice.CreateDelegationToken(k.ctx(), kadm.CreateDelegationToken{MaxLifetime: life})
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	// at logs in at one node with a token and tells what its bearer sees there.
	at := func(node int, tok kadm.DelegationToken) error {
		auth := scram.Auth{User: tok.TokenID, Pass: base64.StdEncoding.EncodeToString(tok.HMAC), IsToken: true}
		c, err := kgo.NewClient(kgo.SeedBrokers(seeds[node]), kgo.SASL(auth.AsSha256Mechanism()), kgo.RequestRetries(0), kgo.RetryTimeout(5*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		topics, err := kadm.NewClient(c).ListTopics(k.ctx())
		if err == nil && (len(topics) != 1 || !topics.Has("hers")) {
			t.Errorf("who has alice's token sees %v", topics.Names())
		}
		return err
	}
	everywhere := func(what string, tok kadm.DelegationToken, good func(error) bool) {
		t.Helper()
		for i := range seeds {
			if k.members[i].n == nil {
				continue
			}
			var err error
			k.eventually(fmt.Sprintf("%s at node %d", what, i+1), func() bool {
				err = at(i, tok)
				return good(err)
			})
		}
	}
	in := func(err error) bool { return err == nil }
	out := func(err error) bool { return errors.Is(err, kerr.SaslAuthenticationFailed) }
	first := token(time.Hour)
	everywhere("the token is good", first, in)
	wrong := first
	wrong.HMAC = append([]byte{first.HMAC[0] ^ 1}, first.HMAC[1:]...)
	everywhere("another secret is refused", wrong, out)

	active := k.active()
	active.kill()
	k.active()
	everywhere("the token is good without the controller that made it", first, in)
	k.start(active)
	if _, err := alice.RenewDelegationToken(k.ctx(), first.HMAC, 30*time.Minute); err != nil {
		t.Errorf("renewed by its owner: %v", err)
	}
	if _, err := root.ExpireDelegationToken(k.ctx(), first.HMAC, -1); err == nil {
		t.Error("who neither owns nor renews a token ends it")
	}
	if _, err := alice.ExpireDelegationToken(k.ctx(), first.HMAC, -1); err != nil {
		t.Errorf("ended by its owner: %v", err)
	}
	everywhere("the token has ended", first, out)
	short := token(3 * time.Second)
	everywhere("its time is over", short, out)
	k.eventually("the controller has taken it away", func() bool { return k.active().n.image.Load().DelegationToken(short.TokenID) == nil })
}
