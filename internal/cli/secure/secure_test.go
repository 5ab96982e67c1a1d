package secure

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/controlplane/certs"
)

var now = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// run runs weir security with args at a moment.
func run(t *testing.T, at time.Time, args ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	c := Command(Env{Stdout: &out, Stderr: &out, Now: func() time.Time { return at }})
	c.SilenceErrors, c.SilenceUsage = true, true
	c.SetArgs(args)
	err := c.ExecuteContext(t.Context())
	if err != nil && !kafkaflag.Handled(err) {
		t.Fatal(err)
	}
	return out.String() + kafkaText(err), kafkaflag.Report(&bytes.Buffer{}, &bytes.Buffer{}, err)
}

func kafkaText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// tree is the content of every file below dir.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, dir+"/")] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func settingsOf(t *testing.T, file string) *config.Set {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	props, err := config.ParseProperties(text)
	if err != nil {
		t.Fatal(err)
	}
	set, notices, err := config.Load(props, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range notices {
		if !n.Info {
			t.Errorf("%s: %s", file, n)
		}
	}
	return set
}

func TestInit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "k")
	out, code := run(t, now, "init", dir)
	if code != 0 {
		t.Fatalf("%d %s", code, out)
	}
	files := tree(t, dir)
	props, err := client.LoadProperties(filepath.Join(dir, clientProperties))
	if err != nil {
		t.Fatal(err)
	}
	jaas, err := client.ParseJAAS(props["sasl.jaas.config"])
	if err != nil || jaas.Options["username"] != "admin" || len(jaas.Options["password"]) < 26 {
		t.Fatalf("%v %v", jaas.Options, err)
	}
	password := jaas.Options["password"]
	for name, text := range files {
		inClient := name == clientProperties || name == librdkafkaProperties
		if strings.Contains(text, password) != inClient {
			t.Errorf("%s: the password stands in it: %v", name, !inClient)
		}
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm()&0o077 != 0 && !strings.HasPrefix(name, dataFolder+"/") {
			t.Errorf("%s: mode %v %v", name, info.Mode(), err)
		}
	}
	if info, err := os.Stat(filepath.Join(dir, dataFolder)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("data: %v %v", info.Mode(), err)
	}
	if strings.Contains(out, password) {
		t.Error("the password was printed")
	}
	for _, want := range []string{"weir kafka-server-start " + dir + "/server.properties", "security user add", clientProperties, "SHA-256"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	set := settingsOf(t, filepath.Join(dir, serverProperties))
	for _, l := range set.Node().Listeners {
		if l.Host != "127.0.0.1" || l.Protocol != config.SSL && l.Protocol != config.SASLSSL {
			t.Errorf("listener %v %s", l, l.Protocol)
		}
	}
	if _, err := client.TLSConfig(props); err != nil {
		t.Error(err)
	}
}

// Nothing that is there is overwritten, and data never.
func TestInitOverwritesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "k")
	if out, code := run(t, now, "init", dir); code != 0 {
		t.Fatal(out)
	}
	before := tree(t, dir)
	same := func() bool {
		after := tree(t, dir)
		for name, text := range before {
			if after[name] != text {
				return false
			}
		}
		return len(after) == len(before)
	}
	for _, args := range [][]string{{"init", dir}, {"init", dir, "--force"}} {
		if out, code := run(t, now, args...); code != 1 || !strings.Contains(out, "nothing was changed") || !same() {
			t.Errorf("%v: %d %s, all the same %v", args, code, out, same())
		}
	}
	// Without data the files alone are in the way, each of them.
	if err := os.RemoveAll(filepath.Join(dir, dataFolder)); err != nil {
		t.Fatal(err)
	}
	for _, left := range []string{planFile, serverProperties, clientProperties, librdkafkaProperties, franzGoSnippet, "ca/ca.pem", "node-1.pem"} {
		other := filepath.Join(t.TempDir(), "k")
		if err := os.MkdirAll(filepath.Dir(filepath.Join(other, left)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(other, left), []byte("mine"), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, code := run(t, now, "init", other); code != 1 || !strings.Contains(out, "is there already") || len(tree(t, other)) != 1 {
			t.Errorf("%s: %d %s", left, code, out)
		}
	}
	if out, code := run(t, now, "init", dir, "--force"); code != 0 {
		t.Fatal(out)
	}
	after := tree(t, dir)
	for _, name := range []string{"ca/ca.pem", "ca/ca.key", "node-1.pem", clientProperties} {
		if before[name] == after[name] {
			t.Errorf("--force left %s as it was", name)
		}
	}
}

func TestInitSeveral(t *testing.T) {
	dir := t.TempDir()
	out, code := run(t, now, "init", dir, "--nodes", "3", "--host", "a.example,b.example,10.0.0.3", "--san", "kafka.example", "--at", "/var/lib/kafka", "--json")
	if code != 0 {
		t.Fatal(out)
	}
	var m made
	if err := json.Unmarshal([]byte(out), &m); err != nil || len(m.Nodes) != 3 || m.Bootstrap != "a.example:9092,b.example:9092,10.0.0.3:9092" {
		t.Fatalf("%v %+v", err, m)
	}
	ids := map[string]bool{}
	for i, host := range []string{"a.example", "b.example", "10.0.0.3"} {
		text, err := os.ReadFile(m.Nodes[i].Keystore)
		if err != nil {
			t.Fatal(err)
		}
		cert := certificate(t, text)
		for _, name := range []string{host, "localhost", "kafka.example"} {
			if err := cert.VerifyHostname(name); err != nil {
				t.Error(err)
			}
		}
		set := settingsOf(t, m.Nodes[i].Properties)
		n := set.Node()
		if n.ID != int32(i+1) || len(n.Voters) != 3 || n.LogDirs[0] != "/var/lib/kafka/"+"node-"+string(rune('1'+i))+"/data" || set.Int("default.replication.factor") != 3 ||
			set.Int("min.insync.replicas") != 2 || n.Listeners[0].Host != "" || n.Advertised[0].Host != host {
			t.Errorf("node %d: %+v", i, n)
		}
		meta, err := os.ReadFile(filepath.Join(filepath.Dir(m.Nodes[i].Properties), dataFolder, "meta.properties"))
		if err != nil || !strings.Contains(string(meta), m.ClusterID) {
			t.Errorf("%s %v", meta, err)
		}
		ids[string(meta)] = true
		if _, err := os.Stat(filepath.Join(filepath.Dir(m.Nodes[i].Properties), "ca.key")); err == nil {
			t.Error("the authority's key is with a node")
		}
	}
	if len(ids) != 3 {
		t.Error("nodes share their directory ids")
	}
}

func certificate(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	for {
		b, rest := pem.Decode(text)
		if b == nil {
			t.Fatal("no certificate")
		}
		if b.Type == "CERTIFICATE" {
			cert, err := x509.ParseCertificate(b.Bytes)
			if err != nil {
				t.Fatal(err)
			}
			return cert
		}
		text = rest
	}
}

func TestInitRefuses(t *testing.T) {
	for _, c := range []struct{ want, args string }{
		{"once for each node", "--nodes 3 --host a --host b"},
		{"--nodes 0", "--nodes 0"},
		{"neither a host name nor an address", "--host a_b!c"},
		{"no address that anybody can reach", "--host 0.0.0.0"},
		{"--admin", `--admin a"b`},
		{"among themselves", "--admin weir-node"},
		{"absolute path", "--at some/where"},
		{"ports", "--port 65534"},
	} {
		dir := filepath.Join(t.TempDir(), "k")
		out, code := run(t, now, append([]string{"init", dir}, strings.Fields(c.args)...)...)
		if _, err := os.Stat(dir); code != 1 || !strings.Contains(out, c.want) || err == nil {
			t.Errorf("%s: %d %s", c.args, code, out)
		}
	}
}

func TestRenew(t *testing.T) {
	dir := t.TempDir()
	if out, code := run(t, now, "init", dir, "--nodes", "2", "--san", "lb.example"); code != 0 {
		t.Fatal(out)
	}
	before := tree(t, dir)
	later := now.Add(100 * 24 * time.Hour)
	out, code := run(t, later, "cert", "renew", dir)
	if code != 0 || strings.Count(out, later.Add(certs.NodeLifetime).Format(time.DateOnly)) != 2 {
		t.Fatalf("%d %s", code, out)
	}
	for name, text := range tree(t, dir) {
		if renewed := strings.HasSuffix(name, "/node-1.pem") || strings.HasSuffix(name, "/node-2.pem"); renewed == (text == before[name]) {
			t.Errorf("%s: changed %v", name, !renewed)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, "node-2/node-2.pem"))
	if err != nil || certificate(t, text).VerifyHostname("lb.example") != nil {
		t.Error("a name was lost")
	}
	if out, code := run(t, now, "cert", "renew", t.TempDir()); code != 1 || !strings.Contains(out, planFile) {
		t.Errorf("elsewhere: %d %s", code, out)
	}
	if err := os.RemoveAll(filepath.Join(dir, authorityFolder)); err != nil {
		t.Fatal(err)
	}
	if out, code := run(t, now, "cert", "renew", dir); code != 1 || !strings.Contains(out, "put the authority") {
		t.Errorf("without an authority: %d %s", code, out)
	}
	for _, name := range []string{"admin", "weir-node", "a b", "../x"} {
		if out, code := run(t, now, "user", "add", dir, name); code != 1 || !strings.Contains(out, "cannot be a user's name") {
			t.Errorf("%s: %d %s", name, code, out)
		}
	}
}
