package certs

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

func open(t *testing.T, dir string) *Authority {
	t.Helper()
	a, err := Open(dir, "orders", now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, a *Authority, n Node, at time.Time) Issued {
	t.Helper()
	i, err := a.Issue(n, at)
	if err != nil {
		t.Fatal(err)
	}
	return i
}

func TestAuthorityIsMadeOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	if a, b := open(t, dir), open(t, dir); a.Fingerprint() != b.Fingerprint() {
		t.Error("a second authority was made")
	}
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "certs")
	issue(t, open(t, dir), Node{Name: "broker-1"}, now)
	if _, err := OpenSecrets(dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 4 {
		t.Fatalf("%v %v", entries, err)
	}
	for _, e := range entries {
		if info, err := e.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", e.Name(), info.Mode(), err)
		}
	}
	if info, err := os.Stat(dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v %v", info.Mode(), err)
	}
}

func TestHalfAnAuthorityIsRefused(t *testing.T) {
	for _, gone := range []string{CAFile, caKeyFile} {
		dir := t.TempDir()
		open(t, dir)
		if err := os.Remove(filepath.Join(dir, gone)); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, "orders", now); err == nil || !strings.Contains(err.Error(), gone) {
			t.Errorf("without %s: %v", gone, err)
		}
	}
	dir, other := t.TempDir(), t.TempDir()
	open(t, dir)
	open(t, other)
	text, err := os.ReadFile(filepath.Join(other, caKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := WritePrivate(filepath.Join(dir, caKeyFile), text); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, "orders", now); err == nil {
		t.Error("a stranger's key was taken")
	}
}

func TestRenewal(t *testing.T) {
	a := open(t, t.TempDir())
	node := Node{Name: "broker-1"}
	first := issue(t, a, node, now)
	for _, c := range []struct {
		what string
		node Node
		at   time.Time
		want bool
	}{
		{"young", node, now.Add(time.Hour), false},
		{"just before the window", node, first.NotAfter.Add(-RenewBefore - time.Second), false},
		{"in the window", node, first.NotAfter.Add(-RenewBefore), true},
		{"another host", Node{Name: "broker-1", Hosts: []string{"kafka.example"}}, now, true},
		{"fewer hosts", node, now, false},
		{"long ended", node, now.Add(3 * NodeLifetime), true},
	} {
		if got := issue(t, a, c.node, c.at); got.Renewed != c.want {
			t.Errorf("%s: renewed %v", c.what, got.Renewed)
		}
	}
	if err := os.WriteFile(first.Keystore, []byte("rubbish"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := issue(t, a, node, now); !got.Renewed {
		t.Error("a damaged keystore was kept")
	}
	if last := issue(t, a, Node{Name: "late"}, a.NotAfter().Add(-time.Hour)); last.NotAfter.After(a.NotAfter()) {
		t.Error("outlives its authority")
	}
	if _, err := a.Issue(node, a.NotAfter().Add(time.Second)); err == nil {
		t.Error("an ended authority signed")
	}
	if _, err := a.Issue(Node{Name: "../x"}, now); err == nil {
		t.Error("a path was taken for a name")
	}
}

// TestPeersTrustEachOther shows that two nodes of one cluster accept each
// other, and none of another cluster.
func TestPeersTrustEachOther(t *testing.T) {
	a, other := open(t, t.TempDir()), open(t, t.TempDir())
	for _, c := range []struct {
		client *Authority
		want   bool
	}{{a, true}, {other, false}} {
		err := handshake(t, a, c.client)
		if (err == nil) != c.want {
			t.Errorf("same cluster %v: %v", c.want, err)
		}
	}
}

func handshake(t *testing.T, server, client *Authority) error {
	t.Helper()
	pair := func(a *Authority, name string) tls.Certificate {
		i := issue(t, a, Node{Name: name}, now)
		c, err := tls.LoadX509KeyPair(i.Keystore, i.Keystore)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	clock := func() time.Time { return now }
	left, right := net.Pipe()
	defer left.Close()
	defer right.Close()
	srv := tls.Server(left, &tls.Config{Certificates: []tls.Certificate{pair(server, "broker-1")}, ClientCAs: server.Pool(), ClientAuth: tls.RequireAndVerifyClientCert, Time: clock})
	cli := tls.Client(right, &tls.Config{Certificates: []tls.Certificate{pair(client, "broker-2")}, RootCAs: server.Pool(), ServerName: "127.0.0.1", Time: clock})
	done := make(chan error, 1)
	go func() { done <- srv.Handshake(); left.Close() }()
	err := cli.Handshake()
	if err == nil {
		// The server judges the client's certificate after the client is done;
		// reading takes its alert off the pipe.
		_, _ = cli.Read(make([]byte, 1))
	}
	if serverErr := <-done; serverErr != nil {
		return serverErr
	}
	return err
}

func TestKeystoreHasKeyAndChain(t *testing.T) {
	a := open(t, t.TempDir())
	text, err := os.ReadFile(issue(t, a, Node{Name: "broker-1"}, now).Keystore)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Count(string(text), "BEGIN CERTIFICATE") != 2 || strings.Count(string(text), "BEGIN PRIVATE KEY") != 1 {
		t.Errorf("%s", text)
	}
	cert, err := parseCert(text)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cert.Verify(x509.VerifyOptions{Roots: a.Pool(), DNSName: "localhost", CurrentTime: now}); err != nil {
		t.Error(err)
	}
}

func TestSecretsStay(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenSecrets(dir)
	if err != nil {
		t.Fatal(err)
	}
	again, err := OpenSecrets(dir)
	if err != nil || again != s {
		t.Errorf("%v", err)
	}
	if len(s.AdminPassword) < 20 || s.AdminPassword == s.BrokerPassword {
		t.Error("weak passwords")
	}
	if err := WritePrivate(filepath.Join(dir, secretsFile), []byte(`{"adminPassword":""}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSecrets(dir); err == nil {
		t.Error("an empty password was taken")
	}
}
