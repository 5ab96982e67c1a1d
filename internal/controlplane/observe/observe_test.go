package observe

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/admin"
	"github.com/weir-stream/weir/internal/controlplane/engine"
	"github.com/weir-stream/weir/internal/controlplane/provider"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// TestSilenceBelongsToOneProcess: since when is kept while the same process
// stays silent, and ends with an answer, with death and with a new process.
func TestSilenceBelongsToOneProcess(t *testing.T) {
	o := &Observer{silent: map[int32]silence{}}
	mute := errors.New("no answer")
	start := time.Unix(100, 0)
	for i, c := range []struct {
		pid   int // 0: dead
		err   error
		since int // step, -1: none
	}{
		{7, nil, -1}, {7, mute, 1}, {7, mute, 1}, {8, mute, 3}, {8, nil, -1}, {8, mute, 5}, {0, mute, -1}, {8, mute, 7},
	} {
		b := spec.BrokerObservation{ID: 1, PID: c.pid, ProcessAlive: c.pid != 0}
		o.remember(&b, c.err, start.Add(time.Duration(i)*time.Second))
		want := time.Time{}
		if c.since >= 0 {
			want = start.Add(time.Duration(c.since) * time.Second)
		}
		if !b.UnresponsiveSince.Equal(want) {
			t.Errorf("step %d: %v, want %v", i, b.UnresponsiveSince, want)
		}
	}
}

// mutePort accepts connections and answers with text, or never.
func mutePort(t *testing.T, text string) (string, int) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
			_, _ = c.Write([]byte(text))
		}
	}()
	return l.Addr().String(), l.Addr().(*net.TCPAddr).Port
}

func TestPingWantsKafka(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	address, _ := mutePort(t, "HTTP/1.1 400 Bad Request\r\n")
	if err := ping(ctx, admin.Access{}, address); err == nil || !strings.Contains(err.Error(), "no Kafka") {
		t.Errorf("%v", err)
	}
	short, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	address, _ = mutePort(t, "")
	if err := ping(short, admin.Access{}, address); err == nil {
		t.Error("silence was taken for an answer")
	}
}

// TestDeadClusterCostsItsTimeouts: nothing that does not answer holds an
// observation for longer than its own limit.
func TestDeadClusterCostsItsTimeouts(t *testing.T) {
	address, port := mutePort(t, "")
	limits := Timeouts{Ping: 50 * time.Millisecond, Metadata: 100 * time.Millisecond, Sizes: 50 * time.Millisecond}
	o, err := New(engine.Layout{Dir: t.TempDir()}, provider.NewLocal(), admin.Access{Bootstrap: []string{address}}, limits)
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	before := time.Now()
	got := o.Observe(context.Background(), &spec.Cluster{Brokers: []spec.Broker{{ID: 1, ClientPort: port}, {ID: 2, ClientPort: port}}}, before)
	if took := time.Since(before); took > 3*time.Second {
		t.Errorf("took %v", took)
	}
	if got.Reachable || got.Why == "" || len(got.Brokers) != 2 || got.Brokers[1].ID != 2 || got.Brokers[0].ProcessAlive || got.Brokers[0].DataDirPresent {
		t.Errorf("%+v", got)
	}
}

// TestLastWords of a process are short, and there may be none.
func TestLastWords(t *testing.T) {
	file := filepath.Join(t.TempDir(), "output.log")
	if got := lastLine(file); got != "" {
		t.Errorf("of no file: %q", got)
	}
	for text, want := range map[string]string{
		"": "", "\n\n": "", "one": "one", "one\ntwo \n\n": "two",
		strings.Repeat("x", 5000): strings.Repeat("x", longestWords), "a\n\xff\xfeb\n": "b",
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if got := lastLine(file); got != want {
			t.Errorf("%.20q: %q", text, got)
		}
	}
}
