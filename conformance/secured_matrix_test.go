//go:build conform

package conformance

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/weir-stream/weir/internal/kafkadist"
	"github.com/weir-stream/weir/internal/testkit/brokers"
	"github.com/weir-stream/weir/internal/testkit/certkit"
)

// The matrix: every TLS version, with and without a client's certificate, every mechanism, four families of clients.
// One broker of each side has a listener for each of the four ways of TLS, and all mechanisms on each.
var (
	tlsWays    = []string{"T12NONE", "T12MUTUAL", "T13NONE", "T13MUTUAL"}
	mechanisms = []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"}
)

const (
	matrixUser     = "matrix"
	matrixPassword = "matrix-pw-8124"
)

// cell is one try of one client. The fields after want are the columns that clients get.
type cell struct {
	want                                            string // ok, authentication, tls
	name, way, ca, cert, key, keystore              string
	mechanism, user, secret, tokenFile, topic, addr string
}

func (c cell) line() string {
	return strings.Join([]string{c.name, c.addr, c.ca, c.cert, c.key, c.keystore, c.mechanism, c.user, c.secret, c.tokenFile, c.topic}, "\t")
}

// matrix is what all cells share: files in dir.
type matrix struct {
	dir, ca, otherCA, cert, key, keystore, server string
	token, badToken                               string // files
	jwks                                          string
	trusted                                       *x509.CertPool
}

func newMatrix(t *testing.T) *matrix {
	t.Helper()
	m := &matrix{dir: t.TempDir()}
	ca, stranger := certkit.New(t), certkit.New(t)
	m.trusted = ca.Pool()
	file := func(name, text string) string { return certkit.File(t, m.dir, name, text) }
	pair := ca.Issue(t, "client")
	m.ca, m.otherCA = file("ca.pem", ca.PEM), file("other-ca.pem", stranger.PEM)
	m.cert, m.key, m.keystore = file("client.crt", pair.Chain), file("client.key", pair.Key), file("client.pem", pair.Key+pair.Chain)
	m.server = ca.Issue(t, "broker").Keystore(t, m.dir, "broker.pem")
	good, bad := rsaKey(t), rsaKey(t)
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: good.Public(), KeyID: "1", Algorithm: "RS256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	m.jwks = file("jwks.json", string(keys))
	m.token, m.badToken = file("token", token(t, good)), file("bad-token", token(t, bad))
	return m
}

func rsaKey(t *testing.T) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func token(t *testing.T, key *rsa.PrivateKey) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: jose.JSONWebKey{Key: key, KeyID: "1"}}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := jwt.Signed(signer).Claims(map[string]any{"sub": matrixUser, "iat": time.Now().Unix() - 10, "exp": time.Now().Add(time.Hour).Unix(), "scope": "all"}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func fileURL(path string) string { return (&url.URL{Scheme: "file", Path: path}).String() }

// props are the settings of the broker of either side.
func (m *matrix) props() map[string]string {
	const modules = "org.apache.kafka.common.security."
	p := map[string]string{
		"ssl.keystore.type": "PEM", "ssl.keystore.location": m.server, "ssl.truststore.type": "PEM", "ssl.truststore.location": m.ca,
		"sasl.enabled.mechanisms": strings.Join(mechanisms, ","), "sasl.oauthbearer.jwks.endpoint.url": fileURL(m.jwks),
		// Whoever has logged in, and nobody else but the harness, may do anything: the names have to be right.
		"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users": "User:ANONYMOUS;User:" + matrixUser,
	}
	for _, way := range tlsWays {
		prefix := "listener.name." + strings.ToLower(way) + "."
		p[prefix+"ssl.enabled.protocols"] = map[bool]string{true: "TLSv1.2", false: "TLSv1.3"}[strings.HasPrefix(way, "T12")]
		p[prefix+"ssl.client.auth"] = map[bool]string{true: "required", false: "none"}[strings.HasSuffix(way, "MUTUAL")]
		p[prefix+"plain.sasl.jaas.config"] = modules + `plain.PlainLoginModule required user_` + matrixUser + `="` + matrixPassword + `";`
		for _, scram := range []string{"scram-sha-256", "scram-sha-512"} {
			p[prefix+scram+".sasl.jaas.config"] = modules + "scram.ScramLoginModule required;"
		}
		p[prefix+"oauthbearer.sasl.jaas.config"] = modules + "oauthbearer.OAuthBearerLoginModule required;"
		p[prefix+"oauthbearer.sasl.server.callback.handler.class"] = modules + "oauthbearer.OAuthBearerValidatorCallbackHandler"
	}
	return p
}

// allowedURLs is what a JVM of Apache Kafka must be told before it reads keys or tokens from files.
func (m *matrix) allowedURLs() string {
	return "-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=" + strings.Join([]string{fileURL(m.jwks), fileURL(m.token), fileURL(m.badToken)}, ",")
}

// cells are all tries of one client: the whole matrix, and what must be refused.
func (m *matrix) cells(topic string) (out []cell) {
	add := func(want, what, way, mechanism string, change func(*cell)) {
		c := cell{want: want, name: strings.TrimSuffix(way+"/"+mechanism+"/"+what, "/"), way: way, ca: m.ca, mechanism: mechanism, user: matrixUser, secret: matrixPassword, tokenFile: m.token, topic: topic}
		if strings.HasSuffix(way, "MUTUAL") {
			c.cert, c.key, c.keystore = m.cert, m.key, m.keystore
		}
		change(&c)
		if mechanism == "OAUTHBEARER" {
			text, _ := os.ReadFile(c.tokenFile)
			c.secret = string(text)
		}
		out = append(out, c)
	}
	for _, way := range tlsWays {
		for _, mechanism := range mechanisms {
			add("ok", "", way, mechanism, func(*cell) {})
		}
	}
	for _, mechanism := range mechanisms {
		add("authentication", "wrong-password", "T13NONE", mechanism, func(c *cell) { c.secret, c.tokenFile = "wrong", m.badToken })
	}
	for _, way := range []string{"T12NONE", "T13NONE"} {
		add("tls", "wrong-authority", way, "PLAIN", func(c *cell) { c.ca = m.otherCA })
	}
	for _, way := range []string{"T12MUTUAL", "T13MUTUAL"} {
		add("tls", "no-certificate", way, "PLAIN", func(c *cell) { c.cert, c.key, c.keystore = "", "", "" })
	}
	return out
}

// securedClients are the clients, each a function that tries cells and returns the outcomes by name.
var securedClients = []struct {
	name string
	run  func(*testing.T, *matrix, []cell) map[string]string
}{{"franz-go", franzGoSecured}, {"java", javaSecured}, {"librdkafka", pythonSecured}, {"KafkaJS", kafkaJSSecured}}

// TestSecuredMatrix: every client gets in by every way on either side, and is refused with the same kind of error.
func TestSecuredMatrix(t *testing.T) {
	m := newMatrix(t)
	extra := map[string]string{}
	for _, way := range tlsWays {
		extra[way] = "SASL_SSL"
	}
	sides := map[string]func(t *testing.T) brokers.Config{
		"weir": func(t *testing.T) brokers.Config { return brokers.Config{Binary: binary(t)} },
		"apache": func(t *testing.T) brokers.Config {
			return brokers.Config{Dist: dist(t, kafkadist.Current), Heap: heap, Env: []string{"KAFKA_OPTS=" + m.allowedURLs()}}
		},
	}
	for side, config := range sides {
		t.Run(side, func(t *testing.T) {
			c := config(t)
			c.Props, c.Extra = m.props(), extra
			b := start(t, c)
			m.prepare(t, b)
			for _, client := range securedClients {
				t.Run(client.name, func(t *testing.T) {
					cells := m.cells("secured-" + client.name)
					for i := range cells {
						cells[i].addr = b.At[cells[i].way]
					}
					got := client.run(t, m, cells)
					for _, c := range cells {
						if o := c.kind(client.name, got[c.name]); o != c.want {
							t.Errorf("%s: %q, want %s", c.name, got[c.name], c.want)
						}
					}
				})
			}
		})
	}
}

// kind is the outcome of a cell without two things that are the client's: in TLS 1.3 one that shows no certificate is
// refused after its own side of the handshake is over, so that it sees the alert or the closed connection, whichever is
// first; and KafkaJS takes the answer to a bad token for a success, sends a request and is cut off, or told that it is in the wrong state.
func (c cell) kind(client, outcome string) string {
	cutOff := strings.HasPrefix(outcome, "closed")
	if cutOff && strings.HasSuffix(c.name, "T13MUTUAL/PLAIN/no-certificate") {
		return c.want
	}
	if (cutOff || strings.Contains(outcome, "current SASL state")) && client == "KafkaJS" && strings.HasSuffix(c.name, "OAUTHBEARER/wrong-password") {
		return c.want
	}
	return outcome
}

// prepare makes the SCRAM users and topics, and sees that each listener speaks its version of TLS and no other.
func (m *matrix) prepare(t *testing.T, b *brokers.Broker) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	for _, mechanism := range []kadm.ScramMechanism{kadm.ScramSha256, kadm.ScramSha512} {
		altered, err := adm.AlterUserSCRAMs(ctx, nil, []kadm.UpsertSCRAM{{User: matrixUser, Mechanism: mechanism, Iterations: 4096, Password: matrixPassword}})
		if err == nil {
			err = altered.Error()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := adm.CreateTopics(ctx, 1, 1, nil, "secured-franz-go", "secured-java", "secured-librdkafka", "secured-KafkaJS"); err != nil {
		t.Fatal(err)
	}
	for _, way := range tlsWays {
		want, other := uint16(tls.VersionTLS12), uint16(tls.VersionTLS13)
		if strings.HasPrefix(way, "T13") {
			want, other = other, want
		}
		pair, err := tls.LoadX509KeyPair(m.cert, m.key)
		if err != nil {
			t.Fatal(err)
		}
		for version, ok := range map[uint16]bool{want: true, other: false} {
			nc, err := tls.Dial("tcp", b.At[way], &tls.Config{RootCAs: m.trusted, Certificates: []tls.Certificate{pair}, MinVersion: version, MaxVersion: version})
			if (err == nil) != ok {
				t.Errorf("%s: %s with %s: %v", b.Name(), way, tls.VersionName(version), err)
			}
			if err == nil {
				nc.Close()
			}
		}
	}
}

func mechanismOf(c cell) sasl.Mechanism {
	switch c.mechanism {
	case "PLAIN":
		return plain.Auth{User: c.user, Pass: c.secret}.AsMechanism()
	case "SCRAM-SHA-256":
		return scram.Auth{User: c.user, Pass: c.secret}.AsSha256Mechanism()
	case "SCRAM-SHA-512":
		return scram.Auth{User: c.user, Pass: c.secret}.AsSha512Mechanism()
	}
	return oauth.Auth{Token: c.secret}.AsMechanism()
}

func franzGoSecured(t *testing.T, _ *matrix, cells []cell) map[string]string {
	out := map[string]string{}
	var mu sync.Mutex
	var group sync.WaitGroup
	slots := make(chan struct{}, 4)
	for _, c := range cells {
		group.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			o := franzGoCell(t.Context(), c)
			mu.Lock()
			defer mu.Unlock()
			out[c.name] = o
		})
	}
	group.Wait()
	return out
}

func franzGoCell(ctx context.Context, c cell) string {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	text, err := os.ReadFile(c.ca)
	if err != nil {
		return err.Error()
	}
	conf := &tls.Config{RootCAs: x509.NewCertPool()}
	conf.RootCAs.AppendCertsFromPEM(text)
	if c.cert != "" {
		pair, err := tls.LoadX509KeyPair(c.cert, c.key)
		if err != nil {
			return err.Error()
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.addr), kgo.DialTLSConfig(conf), kgo.SASL(mechanismOf(c)), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableIdempotentWrite(), kgo.RequestRetries(0), kgo.RecordRetries(0))
	if err != nil {
		return err.Error()
	}
	defer cl.Close()
	if err := cl.Ping(ctx); err != nil { // produce would try again for long
		return franzGoRefusal(err)
	}
	record, err := cl.ProduceSync(ctx, &kgo.Record{Topic: c.topic, Value: []byte(c.name)}).First()
	if err != nil {
		return franzGoRefusal(err)
	}
	cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{c.topic: {0: kgo.NewOffset().At(record.Offset)}})
	fetches := cl.PollRecords(ctx, 1)
	if err := fetches.Err(); err != nil {
		return franzGoRefusal(err)
	}
	if got := string(fetches.Records()[0].Value); got != c.name {
		return "read " + got
	}
	return "ok"
}

func franzGoRefusal(err error) string {
	var alert tls.AlertError
	var invalid *tls.CertificateVerificationError
	text := err.Error()
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed) || strings.Contains(text, "SASL") || strings.Contains(text, "oauth response"): // franz-go has no better word for a refused token
		return "authentication"
	case errors.As(err, &alert), errors.As(err, &invalid), strings.Contains(text, "tls:"):
		return "tls"
	case strings.Contains(text, "EOF"), strings.Contains(text, "reset"), strings.Contains(text, "closed"), strings.Contains(text, "broken pipe"):
		return "closed: " + text
	}
	return text
}

// cellsFile writes the cells for a client of another language.
func cellsFile(t *testing.T, cells []cell) string {
	t.Helper()
	var b strings.Builder
	for _, c := range cells {
		fmt.Fprintln(&b, c.line())
	}
	path := filepath.Join(t.TempDir(), "cells.tsv")
	if err := os.WriteFile(path, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// readOutcomes reads lines of a name and an outcome.
func readOutcomes(text string) map[string]string {
	out := map[string]string{}
	for s := bufio.NewScanner(strings.NewReader(text)); s.Scan(); {
		if name, outcome, ok := strings.Cut(s.Text(), "\t"); ok {
			out[name] = outcome
		}
	}
	return out
}

func javaSecured(t *testing.T, m *matrix, cells []cell) map[string]string {
	d := dist(t, kafkadist.Current)
	return readOutcomes(command(t, "", installed(t, "java"), "-Xmx256M", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", m.allowedURLs(), "-Dlog4j2.level=OFF",
		"-cp", filepath.Join(d.Dir, "libs")+"/*", "clients/java/Secured.java", cellsFile(t, cells)))
}

func pythonSecured(t *testing.T, _ *matrix, cells []cell) map[string]string {
	return readOutcomes(command(t, "", pythonClient(t), "clients/python/secured.py", cellsFile(t, cells)))
}

func kafkaJSSecured(t *testing.T, _ *matrix, cells []cell) map[string]string {
	node, modules := kafkaJSClient(t)
	return readOutcomes(command(t, "", "env", "NODE_PATH="+modules, "KAFKAJS_NO_PARTITIONER_WARNING=1", node, "clients/kafkajs/secured.js", cellsFile(t, cells)))
}
