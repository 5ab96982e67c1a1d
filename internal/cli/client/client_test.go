package client

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestParseJAAS(t *testing.T) {
	for _, c := range []struct{ line, module, user, pass string }{
		{`org.apache.kafka.common.security.plain.PlainLoginModule required username="alice" password="secret";`, "org.apache.kafka.common.security.plain.PlainLoginModule", "alice", "secret"},
		{`m required username=alice password='it''s';`, "m", "", ""},
		{"  m\trequired\n username = alice\n password=\"a\\\"b\\\\c;d=e\" ; ", "m", "alice", `a"b\c;d=e`},
		{`m REQUIRED username='bob' password='x y';`, "m", "bob", "x y"},
		{`m sufficient username="" password=p;`, "m", "", "p"},
	} {
		j, err := ParseJAAS(c.line)
		if c.user == "" && c.pass == "" {
			if err == nil {
				t.Errorf("%s: no error, got %v", c.line, j)
			}
			continue
		}
		if err != nil || j.Module != c.module || j.Options["username"] != c.user || j.Options["password"] != c.pass {
			t.Errorf("%s: %+v, %v", c.line, j, err)
		}
	}
}

func TestParseJAASRefuses(t *testing.T) {
	for _, line := range []string{
		"", ";", "m", "m;", "m maybe a=b;", "m required", "m required a=b", "m required a;", "m required a=;", `m required a="b;`,
		"m required a=b; n required c=d;", "m required =b;",
	} {
		if j, err := ParseJAAS(line); err == nil {
			t.Errorf("%q: %+v", line, j)
		}
	}
}

func FuzzParseJAAS(f *testing.F) {
	f.Add(`org.apache.kafka.common.security.scram.ScramLoginModule required username="a" password='b\'c';`)
	f.Add(`m required a="\`)
	f.Fuzz(func(t *testing.T, line string) {
		j, err := ParseJAAS(line)
		if err != nil {
			return
		}
		again := j.Module + " " + j.Control
		for k, v := range j.Options {
			again += " " + k + `="` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
		}
		k, err := ParseJAAS(again + ";")
		if err != nil || k.Module != j.Module || len(k.Options) != len(j.Options) {
			t.Fatalf("%q -> %q: %+v, %v", line, again, k, err)
		}
		for name, v := range j.Options {
			if k.Options[name] != v {
				t.Fatalf("%q: %q became %q", line, v, k.Options[name])
			}
		}
	})
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"PT1H": time.Hour, "P1D": 24 * time.Hour, "P2DT3H4M5.5S": 51*time.Hour + 4*time.Minute + 5500*time.Millisecond, "PT-1.5S": -1500 * time.Millisecond,
		"-PT1M": -time.Minute, "pt0s": 0, "PT0.000000001S": 1, "P-1DT24H": 0,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "P", "PT", "1H", "P1W", "PT1", "P1DT", "PT99999999999999999999S", "PT300000000000H", "yesterday"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestLoadProperties(t *testing.T) {
	file := filepath.Join(t.TempDir(), "client.properties")
	if err := os.WriteFile(file, []byte("# comment\nclient.id = me\nsasl.jaas.config=m required \\\n  a=b;\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p, err := LoadProperties(file)
	if err != nil || p["client.id"] != "me" || p["sasl.jaas.config"] != "m required a=b;" {
		t.Errorf("%v, %v", p, err)
	}
	if _, err := LoadProperties(file + ".not"); err == nil || Java(err) != "java.nio.file.NoSuchFileException: "+file+".not" {
		t.Errorf("missing file: %v", err)
	}
}

func TestWrongSettingsAreNamed(t *testing.T) {
	const server = "127.0.0.1:9092"
	for _, c := range []struct {
		props Properties
		make  func(Properties, io.Writer) ([]kgo.Opt, error)
		want  string
	}{
		{Properties{"linger.ms": "soon"}, ProducerOptions, "Invalid value soon for configuration linger.ms: Not a number of type LONG"},
		{Properties{"acks": "7"}, ProducerOptions, "configuration acks"},
		{Properties{"acks": "1", "enable.idempotence": "true"}, ProducerOptions, "Must set acks to all"},
		{Properties{"compression.type": "bogus"}, ProducerOptions, "String must be one of: none, gzip, snappy, lz4, zstd"},
		{Properties{"enable.idempotence": "maybe"}, ProducerOptions, "Expected value to be either true or false"},
		{Properties{"isolation.level": "x"}, ConsumerOptions, "configuration isolation.level"},
		{Properties{"auto.offset.reset": "x"}, ConsumerOptions, "configuration auto.offset.reset"},
		{Properties{"auto.offset.reset": "by_duration:1"}, ConsumerOptions, "configuration auto.offset.reset"},
		{Properties{"group.id": "g", "group.protocol": "x"}, ConsumerOptions, "CONSUMER, CLASSIC"},
		{Properties{"group.id": "g", "partition.assignment.strategy": "no.Such"}, ConsumerOptions, "RangeAssignor"},
		{Properties{"security.protocol": "TLS"}, ConsumerOptions, "SASL_SSL, PLAINTEXT, SSL, SASL_PLAINTEXT"},
		{Properties{"security.protocol": "SASL_PLAINTEXT"}, ConsumerOptions, "sasl.mechanism is not set"},
		{Properties{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "GSSAPI"}, ConsumerOptions, "GSSAPI is not supported"},
		{Properties{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN"}, ConsumerOptions, "sasl.jaas.config is not set"},
		{Properties{"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.jaas.config": "m required a=b;"}, ConsumerOptions, "no username"},
		{Properties{"security.protocol": "SSL", "ssl.truststore.location": "/no/such"}, ConsumerOptions, "ssl.truststore.location /no/such"},
		{Properties{"security.protocol": "SSL", "ssl.truststore.location": "client_test.go"}, ConsumerOptions, "is not PEM"},
		{Properties{"bootstrap.servers": "here"}, ConsumerOptions, "Invalid url in bootstrap.servers: here"},
		{Properties{"bootstrap.servers": "here:x"}, ConsumerOptions, "Invalid port in bootstrap.servers: here:x"},
		{Properties{"bootstrap.servers": ","}, ConsumerOptions, "No resolvable bootstrap urls given in bootstrap.servers"},
	} {
		if c.props["bootstrap.servers"] == "" {
			c.props["bootstrap.servers"] = server
		}
		if _, err := c.make(c.props, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v: %v, want %s", c.props, err, c.want)
		}
	}
}

func TestGoodSettingsMakeClients(t *testing.T) {
	base := Properties{"bootstrap.servers": "127.0.0.1:9092"}
	for _, p := range []Properties{
		{}, {"acks": "0"}, {"acks": "all", "compression.type": "zstd", "linger.ms": "0"}, {"transactional.id": "t"},
		{"security.protocol": "sasl_plaintext", "sasl.mechanism": "SCRAM-SHA-512", "sasl.jaas.config": `m required username="a" password="b";`},
	} {
		opts, err := ProducerOptions(p.Clone().With(base), io.Discard)
		newClient(t, p, opts, err)
	}
	for _, p := range []Properties{
		{}, {"group.id": "g"}, {"group.id": "g", "group.protocol": "consumer", "enable.auto.commit": "false"},
		{"group.id": "g", "partition.assignment.strategy": "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"},
		{"auto.offset.reset": "earliest", "isolation.level": "read_committed", "client.rack": "r"}, {"auto.offset.reset": "by_duration:P1D"}, {"auto.offset.reset": "none"},
	} {
		opts, err := ConsumerOptions(p.Clone().With(base), io.Discard)
		newClient(t, p, opts, err)
	}
}

func newClient(t *testing.T, p Properties, opts []kgo.Opt, err error) {
	t.Helper()
	if err == nil {
		var cl *kgo.Client
		if cl, err = kgo.NewClient(opts...); err == nil {
			cl.Close()
		}
	}
	if err != nil {
		t.Errorf("%v: %v", p, err)
	}
}

// closedPort is an address where nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestNobodyThere(t *testing.T) {
	address := closedPort(t)
	var warnings bytes.Buffer
	a, err := NewAdmin(Properties{"bootstrap.servers": address, "default.api.timeout.ms": "300", "request.timeout.ms": "300"}, &warnings)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	_, err = a.Call(context.Background(), "listTopics", kmsg.NewPtrMetadataRequest())
	if err == nil || Java(err) != "org.apache.kafka.common.errors.TimeoutException: Timed out waiting for a node assignment. Call: listTopics" {
		t.Errorf("error %v", err)
	}
	want := "WARN [AdminClient clientId=adminclient-1] Connection to node -1 (/" + address + ") could not be established. Node may not be available. (org.apache.kafka.clients.NetworkClient)\n"
	if n := strings.Count(warnings.String(), want); n < 2 {
		t.Errorf("%d warnings, want several of %q in\n%s", n, want, warnings.String())
	}
}

func TestErrorsHaveJavasNames(t *testing.T) {
	message := "The topic 'x' does not exist."
	for _, c := range []struct {
		err  error
		want string
	}{
		{Coded(3, &message), "org.apache.kafka.common.errors.UnknownTopicOrPartitionException: The topic 'x' does not exist."},
		{Coded(68, nil), "org.apache.kafka.common.errors.GroupNotEmptyException: The group is not empty."},
		{Coded(87, &message), "org.apache.kafka.common.InvalidRecordException: The topic 'x' does not exist."},
		{Coded(9999, &message), "org.apache.kafka.common.errors.UnknownServerException: The topic 'x' does not exist."},
		{Timeout(""), "org.apache.kafka.common.errors.TimeoutException"},
		{errors.New("boom"), "org.apache.kafka.common.KafkaException: boom"},
		{translate(kerr.GroupIDNotFound), "org.apache.kafka.common.errors.GroupIdNotFoundException: The group id does not exist."},
	} {
		if got := Java(c.err); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	if Coded(0, &message) != nil || !HasCode(Coded(3, nil), kerr.UnknownTopicOrPartition) || HasCode(Coded(3, nil), kerr.GroupIDNotFound) {
		t.Error("codes")
	}
}

// pemIdentity is a self-signed certificate of localhost with its key.
func pemIdentity(t *testing.T, names ...string) (certPEM, keyPEM []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, DNSNames: names, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// tlsServer shakes hands with everybody, at the address that it returns.
func tlsServer(t *testing.T, cfg *tls.Config) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.(*tls.Conn).Handshake()
			conn.Close()
		}
	}()
	return l.Addr().String()
}

func TestTLSConfig(t *testing.T) {
	cert, key := pemIdentity(t, "broker.test")
	identity, err := tls.X509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	other, _ := pemIdentity(t, "broker.test")
	server := tlsServer(t, &tls.Config{Certificates: []tls.Certificate{identity}, ClientAuth: tls.RequestClientCert})
	for name, c := range map[string]struct {
		props Properties
		host  string
		ok    bool
	}{
		"trusted":               {Properties{"ssl.truststore.certificates": string(cert)}, "broker.test", true},
		"client certificate":    {Properties{"ssl.truststore.certificates": string(cert), "ssl.keystore.certificate.chain": string(cert), "ssl.keystore.key": string(key)}, "broker.test", true},
		"another name":          {Properties{"ssl.truststore.certificates": string(cert)}, "other.test", false},
		"another name, allowed": {Properties{"ssl.truststore.certificates": string(cert), "ssl.endpoint.identification.algorithm": ""}, "other.test", true},
		"not trusted":           {Properties{"ssl.truststore.certificates": string(other), "ssl.endpoint.identification.algorithm": ""}, "broker.test", false},
		"system's roots":        {Properties{}, "broker.test", false},
	} {
		cfg, err := TLSConfig(c.props)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		cfg.ServerName = c.host
		conn, err := tls.Dial("tcp", server, cfg)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if err == nil {
			conn.Close()
		}
	}
}

func TestKeyStoresOfJavaAreRefusedWithAdvice(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keystore.p12")
	if err := os.WriteFile(file, []byte{0x30, 0x82}, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := TLSConfig(Properties{"ssl.keystore.location": file, "ssl.keystore.type": "PKCS12"})
	if err == nil || !strings.Contains(err.Error(), "openssl pkcs12") {
		t.Errorf("error %v", err)
	}
	_, err = TLSConfig(Properties{"ssl.keystore.key": "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n"})
	if err == nil || !strings.Contains(err.Error(), "openssl pkey") {
		t.Errorf("error %v", err)
	}
}
