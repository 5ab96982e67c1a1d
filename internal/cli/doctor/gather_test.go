package doctor

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/cli/kafkaflag"
	"github.com/weir-stream/weir/internal/testkit/certkit"
)

// run runs weir doctor.
func run(t *testing.T, args ...string) (out string, code int) {
	t.Helper()
	var text bytes.Buffer
	c := Command(Env{Stdout: &text, Stderr: &text, Now: time.Now}, &code)
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetArgs(args)
	c.SetOut(&text)
	if err := c.ExecuteContext(t.Context()); err != nil {
		code = kafkaflag.Report(&text, &text, err)
	}
	return text.String(), code
}

func report(t *testing.T, args ...string) (Report, int) {
	t.Helper()
	out, code := run(t, append(args, "-o", "json")...)
	var r Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return r, code
}

// names are the checks that found something, each once.
func names(r Report) []string {
	var out []string
	for _, f := range r.Findings {
		out = append(out, f.Check)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func write(t *testing.T, path, text string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

// A file in which much is wrong, and one in which nothing is, but for what the machine of the test brings along.
func TestFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	ca := certkit.New(t)
	keystore := write(t, filepath.Join(dir, "node.pem"), ca.Issue(t, "node").Key+ca.Issue(t, "node").Chain, 0o644)
	bad := write(t, filepath.Join(dir, "bad.properties"), strings.Join([]string{
		"process.roles=broker,controller", "node.id=1", "controller.quorum.voters=1@a.invalid:9093,2@b.invalid:9093,3@c.invalid:9093",
		"listeners=PLAINTEXT://:9092,TLS://:9094,CONTROLLER://127.0.0.1:9093", "advertised.listeners=PLAINTEXT://localhost:9092,TLS://b.invalid:9094", "controller.listener.names=CONTROLLER",
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,TLS:SASL_SSL,CONTROLLER:PLAINTEXT", "log.dirs=" + dir, "zookeeper.connect=z:2181",
		"ssl.keystore.type=PEM", "ssl.keystore.location=" + keystore, "ssl.enabled.protocols=TLSv1,TLSv1.2", "ssl.endpoint.identification.algorithm=",
		"sasl.enabled.mechanisms=PLAIN", `listener.name.tls.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_admin="admin";`,
		"authorizer.class.name=" + authorizerClass, "allow.everyone.if.no.acl.found=true", "super.users=User:ANONYMOUS", "unclean.leader.election.enable=true", "min.insync.replicas=2",
	}, "\n"), 0o644)
	r, code := report(t, bad)
	got := slices.DeleteFunc(names(r), machineOnly)
	want := []string{"advertised-address", "auto-create-topics", "certificate-end", "certificate-name", "known-password", "min-insync-replicas", "old-version", "open-by-default", "peer-names",
		"plaintext-listener", "replication-factor", "secrets-readable", "settings", "super-users", "unclean-election", "volatile-data", "weak-tls"}
	// A store whose key does not belong to its certificate is not read.
	want = slices.DeleteFunc(want, func(s string) bool { return s == "certificate-end" || s == "certificate-name" })
	want = append(want, "certificate-unusable")
	slices.Sort(want)
	if code != exitErrors || !slices.Equal(got, want) {
		t.Errorf("code %d\ngot  %v\nwant %v", code, got, want)
	}
	write(t, keystore, ca.Issue(t, "node").Key, 0o600)
	pair := ca.Issue(t, "node")
	write(t, keystore, pair.Key+pair.Chain, 0o600)
	if r, _ := report(t, bad); !slices.Contains(names(r), "certificate-name") || !slices.Contains(names(r), "certificate-end") || slices.Contains(names(r), "certificate-unusable") {
		t.Errorf("with a good store: %v", names(r))
	}
	good := write(t, filepath.Join(dir, "good.properties"), strings.Join([]string{
		"process.roles=broker,controller", "node.id=1", "controller.quorum.voters=1@127.0.0.1:9093", "listeners=CLIENTS://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093",
		"controller.listener.names=CONTROLLER", "listener.security.protocol.map=CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT", "inter.broker.listener.name=CLIENTS", "log.dirs=/var/lib/no-such-kafka",
		"authorizer.class.name=" + authorizerClass, "super.users=User:admin", "auto.create.topics.enable=false", "offsets.topic.replication.factor=1",
	}, "\n"), 0o644)
	if r, code := report(t, good); code != 0 || len(slices.DeleteFunc(names(r), machineOnly)) != 0 {
		t.Errorf("code %d, %+v", code, r.Findings)
	}
}

// machineOnly are the checks whose outcome is the test machine's.
func machineOnly(name string) bool {
	return name == "disk-space" || name == "file-limit" || name == "clock"
}

func TestCommandRefuses(t *testing.T) {
	for _, args := range [][]string{{}, {"x", "--bootstrap-server", "y:1"}, {filepath.Join(t.TempDir(), "none")}, {"x", "--try-passwords"}, {"x", "-o", "xml"},
		{"--bootstrap-server", "127.0.0.1:1", "--command-config", filepath.Join(t.TempDir(), "none")}, {"--bootstrap-server", "nonsense"}} {
		if out, code := run(t, args...); code != exitFailed || !strings.HasPrefix(out, "weir: ") {
			t.Errorf("%v: %d %s", args, code, out)
		}
	}
}

// serveTLS accepts handshakes and closes until the test ends.
func serveTLS(t *testing.T, cfg *tls.Config) listener {
	t.Helper()
	ln, err := tls.Listen("tcp", "127.0.0.1:0", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	go func() {
		for {
			nc, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				_ = nc.(*tls.Conn).Handshake()
				_ = nc.Close()
			}()
		}
	}()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	n, _ := strconv.Atoi(port)
	return listener{name: "T", protocol: "SASL_SSL", host: "127.0.0.1", port: n, anonymous: -1}
}

func TestProbe(t *testing.T) {
	ca := certkit.New(t)
	p := ca.Issue(t, "node")
	pair, err := tls.X509KeyPair([]byte(p.Chain), []byte(p.Key))
	if err != nil {
		t.Fatal(err)
	}
	old := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS10})
	probe(t.Context(), &old)
	slices.Sort(old.tls.weak)
	if !old.reached || old.tls.leaf == nil || len(old.tls.chain) != 1 || !slices.Equal(old.tls.weak, []string{"TLSv1", "TLSv1.1"}) {
		t.Errorf("%+v", old.tls)
	}
	// One that wants a certificate of the client shows its own all the same.
	strict := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: ca.Pool()})
	probe(t.Context(), &strict)
	if strict.tls.leaf == nil || len(strict.tls.weak) != 0 || strict.tls.failed != "" {
		t.Errorf("%+v", strict.tls)
	}
	// Nothing but a port: no TLS there.
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
			_ = nc.Close()
		}
	}()
	mute := listener{protocol: "SASL_SSL", host: "127.0.0.1", port: ln.Addr().(*net.TCPAddr).Port, anonymous: -1}
	probe(t.Context(), &mute)
	if mute.tls == nil || mute.tls.failed == "" {
		t.Errorf("%+v", mute)
	}
	gone := serveTLS(t, &tls.Config{Certificates: []tls.Certificate{pair}}) //nolint:gosec // for a test
	gone.port = 1
	probe(context.Background(), &gone)
	if gone.reached || gone.failed == "" {
		t.Errorf("%+v", gone)
	}
}
