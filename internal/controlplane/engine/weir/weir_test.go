package weir

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/controlplane/certs"
	"github.com/weir-stream/weir/internal/controlplane/engine"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// TestBinaryIsPinned: a newer build changes no cluster that exists.
func TestBinaryIsPinned(t *testing.T) {
	dir := t.TempDir()
	e := &Engine{Binary: filepath.Join(dir, "built"), Dir: filepath.Join(dir, "engines")}
	prepare := func(id string) string {
		t.Helper()
		got, err := e.Prepare(context.Background(), &spec.Cluster{ID: id, Brokers: make([]spec.Broker, 1)}, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(got.(*installation).binary)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for i, want := range []string{"first", "second"} {
		if err := os.WriteFile(e.Binary, []byte(want), 0o700); err != nil {
			t.Fatal(err)
		}
		if got := prepare("c0"); got != "first" {
			t.Errorf("the old cluster got %s", got)
		}
		if got := prepare([]string{"c0", "c1"}[i]); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// TestProperties: what is written for each node of a cluster is what the broker
// takes, secured and not.
func TestProperties(t *testing.T) {
	dir := t.TempDir()
	for _, secured := range []bool{true, false} {
		c := &spec.Cluster{Name: "orders", Secured: secured}
		for id := range int32(5) {
			p := 20000 + 10*int(id)
			c.Brokers = append(c.Brokers, spec.Broker{ID: id + 1, Controller: id < 3, ClientPort: p, InternalPort: p + 1, ControllerPort: p + 2, MetricsPort: p + 3, Rack: "r"})
		}
		for _, b := range c.Brokers {
			m := engine.Materials{Layout: engine.Layout{Dir: dir}, Secrets: certs.Secrets{BrokerPassword: "s3cret"},
				Cert: certs.Issued{Keystore: filepath.Join(dir, "k.pem"), Truststore: filepath.Join(dir, "ca.pem")}}
			files, err := (&installation{}).Files(c, b, m)
			if err != nil {
				t.Fatal(err)
			}
			props, err := config.ParseProperties(files[engine.PropertiesFile])
			if err != nil {
				t.Fatal(err)
			}
			set, _, err := config.Load(props, nil)
			if err != nil {
				t.Fatalf("secured %v, broker %d: %v", secured, b.ID, err)
			}
			n := set.Node()
			if n.Controller != b.Controller || len(n.Voters) != 3 || n.Alone || len(n.Dialed()) != 2 || n.Rack != "r" {
				t.Errorf("secured %v, broker %d: %+v", secured, b.ID, n)
			}
			for _, l := range append(n.Dialed(), n.Listeners...) {
				if (l.Protocol == config.Plaintext) == secured {
					t.Errorf("secured %v, broker %d: %v", secured, b.ID, l)
				}
			}
		}
	}
}
