package node

import (
	"context"
	"crypto/tls"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/weir-stream/weir/internal/testkit/certkit"
)

// guarded makes the settings of a node with listeners PLAINTEXT, SSL with client certificates, and SASL_SSL.
func guarded(t *testing.T, ca *certkit.Authority, lines ...string) []string {
	t.Helper()
	dir := t.TempDir()
	store := ca.Issue(t, "broker").Keystore(t, dir, "broker.pem")
	trust := certkit.File(t, dir, "ca.pem", ca.PEM)
	return append([]string{
		"listeners=PLAINTEXT://127.0.0.1:0,SSL://127.0.0.1:0,SASL_SSL://127.0.0.1:0,SASL_PLAINTEXT://127.0.0.1:0",
		"ssl.keystore.type=PEM", "ssl.keystore.location=" + store, "ssl.truststore.type=PEM", "ssl.truststore.location=" + trust,
		"listener.name.ssl.ssl.client.auth=required", "ssl.principal.mapping.rules=RULE:^CN=(.*)$/$1/L",
		"sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		`listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_alice="wonder-s3cret";`,
		`listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_bob="builder-s3cret";`,
		"connection.failed.authentication.delay.ms=1",
	}, lines...)
}

func (n *Node) seed(listener string) kgo.Opt { return kgo.SeedBrokers(n.Addr(listener)) }

func trusting(ca *certkit.Authority, certs ...tls.Certificate) kgo.Opt {
	return kgo.DialTLSConfig(&tls.Config{RootCAs: ca.Pool(), Certificates: certs, MinVersion: tls.VersionTLS12})
}

func ping(t *testing.T, n *Node, opts ...kgo.Opt) error {
	t.Helper()
	c := client(t, n, append(opts, kgo.RetryTimeout(time.Second), kgo.RequestRetries(0))...)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	_, err := kadm.NewClient(c).ListBrokers(ctx)
	return err
}

func TestGuardedNode(t *testing.T) {
	ca := certkit.New(t)
	n := start(t, settings(t, filepath.Join(t.TempDir(), "data"), guarded(t, ca)...))
	defer n.Stop()
	pair := ca.Issue(t, "Carol")
	cert, err := tls.X509KeyPair([]byte(pair.Chain), []byte(pair.Key))
	if err != nil {
		t.Fatal(err)
	}
	alice := kgo.SASL(plain.Auth{User: "alice", Pass: "wonder-s3cret"}.AsMechanism())
	bob := kgo.SASL(plain.Auth{User: "bob", Pass: "builder-s3cret"}.AsMechanism())
	for _, c := range []struct {
		name string
		ok   bool
		opts []kgo.Opt
	}{
		{"certificate", true, []kgo.Opt{n.seed("SSL"), trusting(ca, cert)}},
		{"no certificate", false, []kgo.Opt{n.seed("SSL"), trusting(ca)}},
		{"no TLS", false, []kgo.Opt{n.seed("SSL")}},
		{"PLAIN over TLS", true, []kgo.Opt{n.seed("SASL_SSL"), trusting(ca), alice}},
		{"a user of another listener", false, []kgo.Opt{n.seed("SASL_SSL"), trusting(ca), bob}},
		{"no login", false, []kgo.Opt{n.seed("SASL_SSL"), trusting(ca)}},
		{"PLAIN", true, []kgo.Opt{n.seed("SASL_PLAINTEXT"), bob}},
		{"a wrong password", false, []kgo.Opt{n.seed("SASL_PLAINTEXT"), kgo.SASL(plain.Auth{User: "bob", Pass: "x"}.AsMechanism())}},
		{"an unknown SCRAM user", false, []kgo.Opt{n.seed("SASL_PLAINTEXT"), kgo.SASL(scram.Auth{User: "bob", Pass: "builder-s3cret"}.AsSha256Mechanism())}},
	} {
		if err := ping(t, n, c.opts...); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	err = ping(t, n, n.seed("SASL_PLAINTEXT"), kgo.SASL(plain.Auth{User: "bob", Pass: "x"}.AsMechanism()))
	if !errors.Is(err, kerr.SaslAuthenticationFailed) {
		t.Errorf("a wrong password: %v", err)
	}
	produce(t, client(t, n, n.seed("SASL_SSL"), trusting(ca), alice, kgo.AllowAutoTopicCreation()), "orders", 0, 500)
	got := consume(t, client(t, n, n.seed("SSL"), trusting(ca, cert), kgo.ConsumeTopics("orders"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart())), 500)
	if len(got) != 500 {
		t.Errorf("%d records", len(got))
	}
}

// A certificate is replaced by kafka-configs, and one that does not fit is refused with the reason.
func TestCertificateIsReplaced(t *testing.T) {
	ca := certkit.New(t)
	n := start(t, settings(t, filepath.Join(t.TempDir(), "data"), guarded(t, ca)...))
	defer n.Stop()
	const key = "listener.name.sasl_ssl.ssl.keystore.location"
	before := n.channels.Expiry()["SASL_SSL"]
	alter := func(path string) error {
		rs, err := kadm.NewClient(client(t, n)).AlterBrokerConfigs(t.Context(), []kadm.AlterConfig{{Name: key, Value: &path}}, 1)
		if err != nil {
			t.Fatal(err)
		}
		return rs[0].Err
	}
	dir := t.TempDir()
	if err := alter(ca.Issue(t, "stranger").Keystore(t, dir, "stranger.pem")); !errors.Is(err, kerr.InvalidRequest) {
		t.Errorf("a certificate of another name: %v", err)
	}
	if err := alter(filepath.Join(dir, "none.pem")); !errors.Is(err, kerr.InvalidRequest) {
		t.Errorf("a file that is not there: %v", err)
	}
	if err := alter(ca.Issue(t, "broker").Keystore(t, dir, "next.pem")); err != nil {
		t.Fatal(err)
	}
	if after := n.channels.Expiry(); after["SASL_SSL"].Equal(before) || !after["SSL"].Equal(before) {
		t.Errorf("it ended %v, now %v", before, after)
	}
}

// Settings that cannot be used end the start before anything is written, and no error shows a secret.
func TestUnusableSecurity(t *testing.T) {
	ca := certkit.New(t)
	for name, c := range map[string]struct{ line, want string }{
		"module":      {`listener.name.sasl_ssl.plain.sasl.jaas.config=com.sun.security.auth.module.JndiLoginModule required password="s3cret";`, "JndiLoginModule"},
		"users":       {"listener.name.sasl_ssl.plain.sasl.jaas.config=", "SASL_SSL (SASL_SSL): SASL mechanism PLAIN"},
		"store":       {"listener.name.sasl_ssl.ssl.keystore.location=/does/not/exist", "/does/not/exist"},
		"password":    {"listener.name.sasl_ssl.ssl.keystore.password=s3cret", "password cannot be specified with PEM"},
		"mechanism":   {"listener.name.sasl_ssl.sasl.enabled.mechanisms=GSSAPI", "GSSAPI"},
		"endpoint":    {"listener.name.sasl_ssl.sasl.enabled.mechanisms=OAUTHBEARER", "sasl.oauthbearer.jwks.endpoint.url"},
		"rules":       {"listener.name.ssl.ssl.principal.mapping.rules=x", "Invalid rule"},
		"interbroker": {"inter.broker.listener.name=SASL_SSL", "sasl.mechanism.inter.broker.protocol"},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		n, err := Start(t.Context(), Options{Config: settings(t, dir, guarded(t, ca, c.line)...)})
		if err == nil {
			_ = n.Stop()
			t.Errorf("%s: it starts", name)
			continue
		}
		if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", name, err)
		}
		if found, _ := filepath.Glob(dir + "/*"); len(found) > 0 {
			t.Errorf("%s: the start wrote %v", name, found)
		}
	}
}

// Users of SCRAM are made while the node runs, stay over a restart, and are gone when they are deleted.
func TestScramUsers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	cfg := settings(t, dir, "listeners=PLAINTEXT://127.0.0.1:0,SASL_PLAINTEXT://127.0.0.1:0", "sasl.enabled.mechanisms=SCRAM-SHA-256,SCRAM-SHA-512",
		"connection.failed.authentication.delay.ms=1", "connections.max.reauth.ms=60000")
	n := start(t, cfg)
	admin := kadm.NewClient(client(t, n))
	login := func(password string) error {
		return ping(t, n, n.seed("SASL_PLAINTEXT"), kgo.SASL(scram.Auth{User: "ali,ce=", Pass: password}.AsSha512Mechanism()))
	}
	if err := login("wonder"); !errors.Is(err, kerr.SaslAuthenticationFailed) {
		t.Errorf("before there is a user: %v", err)
	}
	rs, err := admin.AlterUserSCRAMs(t.Context(), nil, []kadm.UpsertSCRAM{{User: "ali,ce=", Mechanism: kadm.ScramSha512, Iterations: 8192, Password: "wonder"}})
	if err != nil || rs.Error() != nil {
		t.Fatal(err, rs.Error())
	}
	if err := login("wonder"); err != nil {
		t.Error(err)
	}
	if err := login("blunder"); !errors.Is(err, kerr.SaslAuthenticationFailed) {
		t.Errorf("with a wrong password: %v", err)
	}
	if err := n.Stop(); err != nil {
		t.Fatal(err)
	}
	n = start(t, cfg)
	defer n.Stop()
	if err := login("wonder"); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	admin = kadm.NewClient(client(t, n))
	described, err := admin.DescribeUserSCRAMs(t.Context())
	if d := described["ali,ce="]; err != nil || len(d.CredInfos) != 1 || d.CredInfos[0].Iterations != 8192 {
		t.Errorf("described: %+v %v", described, err)
	}
	if rs, err := admin.AlterUserSCRAMs(t.Context(), []kadm.DeleteSCRAM{{User: "ali,ce=", Mechanism: kadm.ScramSha512}}, nil); err != nil || rs.Error() != nil {
		t.Fatal(err, rs.Error())
	}
	if err := login("wonder"); !errors.Is(err, kerr.SaslAuthenticationFailed) {
		t.Errorf("after it was deleted: %v", err)
	}
}
