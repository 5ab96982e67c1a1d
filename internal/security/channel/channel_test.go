package channel

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/security/sasl"
	"github.com/weir-stream/weir/internal/testkit/certkit"
)

func load(t *testing.T, lines ...string) *config.Set {
	t.Helper()
	props, err := config.ParseProperties([]byte(strings.Join(lines, "\n")))
	if err != nil {
		t.Fatal(err)
	}
	set, _, err := config.Load(props, nil)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// node is the settings of a node whose only listener is SASL_SSL with client certificates.
func node(t *testing.T, ca *certkit.Authority, lines ...string) *config.Set {
	t.Helper()
	dir := t.TempDir()
	return load(t, append([]string{
		"broker.id=1", "listeners=SASL_SSL://127.0.0.1:9092", "security.inter.broker.protocol=SASL_SSL",
		"ssl.keystore.type=PEM", "ssl.keystore.location=" + ca.Issue(t, "broker").Keystore(t, dir, "k.pem"),
		"ssl.truststore.type=PEM", "ssl.truststore.location=" + certkit.File(t, dir, "ca.pem", ca.PEM), "listener.name.sasl_ssl.ssl.client.auth=required",
	}, lines...)...)
}

// requests answers SaslHandshake and SaslAuthenticate with an authenticator, as a listener does.
func requests(auth *sasl.Authenticator) Request {
	var talk sasl.Conversation
	return func(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
		resp := req.ResponseKind()
		switch r := req.(type) {
		case *kmsg.SASLHandshakeRequest:
			var ok bool
			if talk, ok = auth.Begin(r.Mechanism); !ok {
				resp.(*kmsg.SASLHandshakeResponse).ErrorCode = 33
			}
		case *kmsg.SASLAuthenticateRequest:
			out, err := talk.Step(ctx, r.SASLAuthBytes)
			if err != nil {
				resp.(*kmsg.SASLAuthenticateResponse).ErrorCode = 58
			}
			resp.(*kmsg.SASLAuthenticateResponse).SASLAuthBytes = out
		}
		return resp, nil
	}
}

// Nodes reach each other over TLS on both sides and sign in, by what one file says for both.
func TestDialer(t *testing.T) {
	ca, stranger := certkit.New(t), certkit.New(t)
	users := func(mechanism, user string) (sasl.Credential, bool) {
		c, err := sasl.NewCredential(mechanism, "broker", "node-s3cret", []byte("salt"), sasl.MinIterations)
		return c, err == nil && user == "broker"
	}
	for mechanism, module := range map[string]string{
		sasl.Plain:       sasl.PlainLoginModule + ` required username="broker" password="node-s3cret" user_broker="node-s3cret";`,
		sasl.ScramSHA256: sasl.ScramLoginModule + ` required username="broker" password="node-s3cret";`,
		sasl.ScramSHA512: sasl.ScramLoginModule + ` required username="broker" password="node-s3cret";`,
	} {
		lines := []string{"sasl.enabled.mechanisms=" + mechanism, "sasl.mechanism.inter.broker.protocol=" + mechanism,
			"listener.name.sasl_ssl." + strings.ToLower(mechanism) + ".sasl.jaas.config=" + module}
		cfg := node(t, ca, lines...)
		ls, err := New(cfg, users, nil, nil, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer ln.Close()
		go func() {
			for {
				nc, err := ln.Accept()
				if err != nil {
					return
				}
				go func() {
					c, _, err := ls.Wrap("SASL_SSL")(context.Background(), nc)
					if err == nil {
						_, _ = c.Write([]byte{1})
					}
					_ = nc.Close() // its test is over
				}()
			}
		}()
		dial := func(cfg *config.Set) error {
			d, err := NewDialer(cfg, cfg.Node().Listeners[0], nil)
			if err != nil {
				t.Fatal(err)
			}
			nc, err := d.Dial(t.Context(), ln.Addr().String())
			if err != nil {
				return err
			}
			defer nc.Close()
			if _, err = nc.Read(make([]byte, 1)); err != nil {
				return err
			}
			if !d.NeedsLogin() {
				t.Error("no login is needed")
			}
			_, err = d.Login(t.Context(), requests(ls.SASL("SASL_SSL")()))
			return err
		}
		if err := dial(cfg); err != nil {
			t.Errorf("%s: %v", mechanism, err)
		}
		if err := dial(node(t, stranger, lines...)); err == nil {
			t.Errorf("%s: a node of another authority is let in", mechanism)
		}
		wrong := strings.ReplaceAll(lines[2], `password="node-s3cret"`, `password="other"`)
		if err := dial(node(t, ca, lines[0], lines[1], wrong)); err == nil {
			t.Errorf("%s: a wrong password is let in", mechanism)
		}
	}
}

// As in Apache Kafka ssl.client.auth of all listeners does not count for SASL_SSL, that of the listener does.
func TestClientAuthOfSASLSSL(t *testing.T) {
	ca := certkit.New(t)
	jaas := "listener.name.sasl_ssl.plain.sasl.jaas.config=" + sasl.PlainLoginModule + ` required user_a="b";`
	cfg := node(t, ca, "sasl.enabled.mechanisms=PLAIN", "sasl.mechanism.inter.broker.protocol=PLAIN", jaas, "ssl.client.auth=required", "listener.name.sasl_ssl.ssl.client.auth=none")
	ls, err := New(cfg, nil, nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	conf, err := ls.byName["SASL_SSL"].tls.Config().GetConfigForClient(&tls.ClientHelloInfo{})
	if err != nil || conf.ClientAuth != tls.NoClientCert {
		t.Errorf("client auth %v %v", conf.ClientAuth, err)
	}
}

func TestBearerNeedsKeys(t *testing.T) {
	ca := certkit.New(t)
	keys := certkit.File(t, t.TempDir(), "jwks.json", string(must(json.Marshal(map[string]any{"keys": []any{map[string]string{
		"kty": "EC", "crv": "P-256", "kid": "1", "use": "sig", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}}}))))
	base := []string{"sasl.enabled.mechanisms=OAUTHBEARER,PLAIN", "sasl.mechanism.inter.broker.protocol=PLAIN",
		"listener.name.sasl_ssl.plain.sasl.jaas.config=" + sasl.PlainLoginModule + ` required user_a="b";`}
	for url, want := range map[string]string{"": "is not set", "http://idp/keys": "https://", "file:///does/not/exist": "no such file", "file://" + keys: ""} {
		cfg := node(t, ca, append(base, "sasl.oauthbearer.jwks.endpoint.url="+url)...)
		_, err := New(cfg, nil, nil, nil, slog.New(slog.DiscardHandler))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", url, err)
		}
	}
}

func must(data []byte, err error) []byte {
	if err != nil {
		panic(err)
	}
	return data
}

// A node shows other nodes its new certificate, and trusts new authorities, when the files change.
func TestDialerFollowsFiles(t *testing.T) {
	old, next := certkit.New(t), certkit.New(t)
	dir := t.TempDir()
	lines := func(ca *certkit.Authority) []string {
		return []string{"ssl.keystore.location=" + ca.Issue(t, "node").Keystore(t, dir, "k.pem"), "ssl.truststore.location=" + certkit.File(t, dir, "ca.pem", ca.PEM)}
	}
	cfg := load(t, append(lines(old), "node.id=1", "process.roles=broker,controller", "controller.quorum.voters=1@localhost:9093,2@localhost:9095",
		"listeners=SSL://localhost:9092,CONTROLLER://localhost:9093", "controller.listener.names=CONTROLLER", "security.inter.broker.protocol=SSL",
		"listener.security.protocol.map=SSL:SSL,CONTROLLER:SSL", "ssl.keystore.type=PEM", "ssl.truststore.type=PEM", "ssl.client.auth=required")...)
	ls, err := New(cfg, nil, nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			if c, _, err := ls.Wrap("SSL")(context.Background(), nc); err == nil {
				_, _ = c.Write([]byte{1})
			}
			_ = nc.Close() // its dial is over
		}
	}()
	dial := func(name string) error {
		nc, err := ls.Dialer(name).Dial(t.Context(), ln.Addr().String())
		if err != nil {
			return err
		}
		defer nc.Close()
		_, err = nc.Read(make([]byte, 1))
		return err
	}
	for _, step := range []func(){func() {}, func() { lines(next); ls.Refresh() }} {
		step()
		for _, name := range []string{"SSL", "CONTROLLER"} {
			if err := dial(name); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if ls.Dialer("OTHER") != nil {
		t.Error("a way to a listener that no node has")
	}
}

// TestNoJavaLoginModuleWhileRunning: JAAS lines that load classes or look names up are refused at the start, and as a change of
// settings too (CVE-2023-25194, CVE-2025-27818, CVE-2025-27819).
func TestNoJavaLoginModuleWhileRunning(t *testing.T) {
	ca := certkit.New(t)
	good := "listener.name.sasl_ssl.plain.sasl.jaas.config=" + sasl.PlainLoginModule + ` required user_broker="x" username="broker" password="x";`
	lines := []string{"sasl.enabled.mechanisms=PLAIN", "sasl.mechanism.inter.broker.protocol=PLAIN"}
	ls, err := New(node(t, ca, append(lines, good)...), nil, nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, module := range []string{"com.sun.security.auth.module.JndiLoginModule", "com.sun.security.auth.module.LdapLoginModule", "com.sun.security.auth.module.Krb5LoginModule"} {
		bad := "listener.name.sasl_ssl.plain.sasl.jaas.config=" + module + ` required user.provider.url="ldap://127.0.0.1:1/x";`
		cfg := node(t, ca, append(lines, bad)...)
		if err := ls.Check(cfg); err == nil || !strings.Contains(err.Error(), module) {
			t.Errorf("a change to %s: %v", module, err)
		}
		if err := ls.Change(cfg); err == nil {
			t.Errorf("%s is taken on", module)
		}
		if _, err := New(cfg, nil, nil, nil, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s starts", module)
		}
	}
	if _, ok := ls.SASL("SASL_SSL")().Begin(sasl.Plain); !ok {
		t.Error("the mechanism that was there is gone")
	}
}

// TestKeysAreNotFetchedFromElsewhere: an endpoint of keys cannot send a broker to plain text or to hosts inside (CVE-2025-27817).
func TestKeysAreNotFetchedFromElsewhere(t *testing.T) {
	asked := make(chan string, 10)
	inside := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.Path }))
	defer inside.Close()
	idp := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		to := map[string]string{"/inside": inside.URL + "/metadata", "/file": "file:///etc/passwd"}[r.URL.Path]
		if to == "" {
			to = r.URL.Path // for ever
		}
		http.Redirect(w, r, to, http.StatusFound)
	}))
	defer idp.Close()
	trusted := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: idp.Certificate().Raw})
	ca := certkit.New(t)
	scope := node(t, ca, "sasl.enabled.mechanisms=PLAIN", "sasl.mechanism.inter.broker.protocol=PLAIN").ForListener("SASL_SSL").ForMechanism(sasl.OAuthBearer)
	client, err := httpClient(scope, &sasl.JAAS{Options: map[string]string{"ssl.truststore.type": "PEM", "ssl.truststore.certificates": string(trusted)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/inside", "/file", "/loop"} {
		resp, err := client.Get(idp.URL + path)
		if err == nil {
			resp.Body.Close()
			t.Errorf("%s is followed", path)
		} else if !strings.Contains(err.Error(), "redirects to where no keys are fetched from") {
			t.Errorf("%s: %v", path, err)
		}
	}
	select {
	case path := <-asked:
		t.Errorf("the host inside was asked for %s", path)
	default:
	}
}
