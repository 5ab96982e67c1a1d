//go:build e2e

package e2e

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/admin"
	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/heal"
	"github.com/weir-stream/weir/internal/controlplane/provider"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// scenes is the table: what happens to a cluster under load. Each wants every
// replica in sync at its end.
var scenes = []struct {
	name string
	play func(*house, *load)
	long bool // in a full run only
}{
	{"a broker is killed", (*house).killOne, false},
	{"a broker's directory is wiped", (*house).wipeOne, false},
	{"a broker freezes", (*house).freezeOne, true},
	{"two brokers are killed at once", (*house).killTwo, true},
	{"scale out", (*house).scaleOut, false},
	{"scale in", (*house).scaleIn, false},
	{"the service is killed in every step of a scale-out", (*house).killService, true},
	{"export, and start without the service", (*house).export, false},
	{"delete", (*house).remove, false},
}

// full says whether to play all scenes, and to preload a gigabyte and more.
func full() bool { return os.Getenv("WEIR_E2E_FULL") == "1" }

// TestService plays the table with each engine that can run it. Every record
// that was acknowledged is there at the end, and no send failed.
func TestService(t *testing.T) {
	for _, engine := range []string{spec.EngineApacheKafka, spec.EngineWeir} {
		t.Run(engine, func(t *testing.T) {
			limit := 14 * time.Minute
			if full() {
				limit = 60 * time.Minute
			}
			h := newHouse(t, limit)
			if why := h.cannot(engine); why != "" {
				// Not a test that is skipped: the engine does not claim to do it.
				t.Logf("%d scenes are not played by engine %s: %s", len(scenes), engine, why)
				return
			}
			h.play(engine)
		})
	}
}

// cannot says why an engine cannot play.
func (h *house) cannot(engine string) string {
	for _, e := range h.service.Engines() {
		if e.Name != engine {
			continue
		}
		if can := e.Capabilities; !can.Secured || can.MaxBrokers > 0 && can.MaxBrokers < 5 {
			return fmt.Sprintf("secured %v, at most %d brokers", can.Secured, can.MaxBrokers)
		}
		if !e.Ready {
			h.t.Skip(e.Problem)
		}
		return ""
	}
	h.t.Fatalf("no engine %s", engine)
	return ""
}

func (h *house) play(engine string) {
	if idle() {
		h.scene("create", func() {
			h.create(controlplane.CreateRequest{Engine: engine, Brokers: 3, MemoryBytes: 512 << 20, DiskBytes: 1 << 30})
		})
		h.change(controlplane.ChangeRequest{Kind: spec.OpDelete})
	}
	began := time.Now()
	h.create(controlplane.CreateRequest{Engine: engine, Brokers: 3, MemoryBytes: 512 << 20, DiskBytes: 4 << 30,
		Settings: map[string]string{"log.segment.bytes": "67108864", "replica.lag.time.max.ms": "10000"}})
	h.figure("three secured brokers answer", time.Since(began))
	cl := h.admin()
	if err := cl.CreateTopic(h.ctx, loadTopic, loadPartitions, 3, nil); err != nil {
		h.t.Fatal(err)
	}
	bytes := int64(24 << 20)
	if full() && !idle() {
		bytes = 1100 << 20
	}
	h.preload(cl, bytes)
	l := startLoad(h.t, h.access())
	h.progress(l)
	for _, s := range scenes {
		if s.long && !full() {
			continue
		}
		h.prepare(s.name)
		if !h.scene(s.name, func() { s.play(h, l) }) && !idle() {
			return
		}
		h.repair(l)
	}
}

// scene plays one of them as a test of its own.
func (h *house) scene(name string, play func()) bool {
	return h.t.Run(name, func(t *testing.T) {
		outer := h.t
		h.t = t
		if idle() {
			t.Setenv("WEIR_IDLE", "1")
			defer h.soon()()
		}
		defer func() { h.t = outer }()
		play()
	})
}

// remove deletes the cluster: no process and no file of it is left.
func (h *house) remove(*load) {
	v := h.view()
	h.change(controlplane.ChangeRequest{Kind: spec.OpDelete})
	if v.Observation != nil {
		for _, b := range v.Observation.Brokers {
			if b.ProcessAlive && alive(b.PID) {
				h.t.Errorf("process %d of broker %d of a deleted cluster lives", b.PID, b.ID)
			}
		}
	}
	if left, err := os.ReadDir(filepath.Join(h.dir, "clusters")); err != nil || len(left) > 0 {
		h.t.Errorf("a deleted cluster leaves %v %v", left, err)
	}
}

// figure notes a measured time.
func (h *house) figure(what string, took time.Duration) {
	h.t.Logf("FIGURE %s: %.1f s", what, took.Seconds())
}

func (h *house) access() admin.Access {
	h.t.Helper()
	a, err := admin.ReadAccess(h.layout().ClientProperties())
	if err != nil {
		h.t.Fatal(err)
	}
	return a
}

func (h *house) admin() *admin.Client {
	h.t.Helper()
	cl, err := admin.Open(h.access())
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(cl.Close)
	return cl
}

// preload writes about so many bytes to a topic that only lies there.
func (h *house) preload(cl *admin.Client, bytes int64) {
	h.t.Helper()
	if err := cl.CreateTopic(h.ctx, "old", 12, 3, nil); err != nil {
		h.t.Fatal(err)
	}
	opts, err := h.access().Options()
	if err != nil {
		h.t.Fatal(err)
	}
	k, err := kgo.NewClient(append(opts, kgo.DefaultProduceTopic("old"), kgo.ProducerBatchCompression(kgo.NoCompression()))...)
	if err != nil {
		h.t.Fatal(err)
	}
	defer k.Close()
	value := make([]byte, 8<<10)
	for n := int64(0); n < bytes; n += int64(len(value)) {
		binary.BigEndian.PutUint64(value, uint64(n))
		k.Produce(h.ctx, &kgo.Record{Value: slices.Clone(value)}, func(_ *kgo.Record, err error) {
			if err != nil {
				h.t.Errorf("preload: %v", err)
			}
		})
	}
	if err := k.Flush(h.ctx); err != nil {
		h.t.Fatal(err)
	}
}

// whole waits until the cluster is ACTIVE with n brokers, each of which leads
// and holds its share, and clients get on.
func (h *house) whole(l *load, n int) controlplane.ClusterView {
	h.t.Helper()
	var v controlplane.ClusterView
	h.await(func() error {
		v = h.view()
		if v.State != spec.Active || v.Operation != nil || len(v.Brokers) != n || v.Counts.UnderReplicated+v.Counts.Offline > 0 || v.Observation == nil {
			return fmt.Errorf("%s: %s", v.State, v.Health)
		}
		for _, b := range v.Observation.Brokers {
			if share := v.Counts.Partitions / n; b.Leaders < share/3 || b.Replicas < share {
				return fmt.Errorf("broker %d leads %d partitions and holds %d of %d replicas", b.ID, b.Leaders, b.Replicas, 3*v.Counts.Partitions)
			}
		}
		return nil
	})
	h.progress(l)
	return v
}

// healed waits for the journal entry of an anomaly that was found after a moment.
func (h *house) healed(since time.Time, anomaly string, broker int32, choice string) *spec.JournalEntry {
	h.t.Helper()
	var found *spec.JournalEntry
	h.await(func() error {
		all, err := h.service.Journal(h.ctx, h.name, 20, "")
		if err != nil {
			return err
		}
		for _, e := range all {
			if e.At.After(since) && e.Anomaly == anomaly && e.Broker == broker && e.Choice == choice && e.EndedAt != nil {
				found = e
				return nil
			}
		}
		return errors.New("no entry of " + anomaly + " that ended")
	})
	if len(found.Evidence) == 0 || found.Why == "" {
		h.t.Errorf("an entry without a cause: %+v", found)
	}
	h.t.Logf("journal: %s of broker %d (%s): %s; %s", found.Anomaly, found.Broker, strings.Join(found.Evidence, "; "), found.Choice, found.Result)
	return found
}

func (h *house) signal(broker int32, sig syscall.Signal) {
	h.t.Helper()
	if err := provider.NewLocal().Signal(h.layout().PID(broker), sig); err != nil {
		h.t.Fatal(err)
	}
}

func (h *house) killOne(l *load) {
	began := time.Now()
	h.signal(2, syscall.SIGKILL)
	h.healed(began, heal.Dead, 2, heal.Restart)
	h.figure("a killed broker is back in the ISR", time.Since(began))
	h.whole(l, 3)
}

func (h *house) wipeOne(l *load) {
	began := time.Now()
	h.signal(3, syscall.SIGKILL)
	if err := os.RemoveAll(h.layout().Data(3)); err != nil {
		h.t.Fatal(err)
	}
	h.healed(began, heal.LostData, 3, heal.Replace)
	h.figure("a wiped broker is replaced, its data copied", time.Since(began))
	h.whole(l, 3)
}

func (h *house) freezeOne(l *load) {
	began := time.Now()
	h.signal(1, syscall.SIGSTOP)
	h.healed(began, heal.Frozen, 1, heal.KillAndRestart)
	h.figure("a frozen broker is back in the ISR", time.Since(began))
	h.whole(l, 3)
}

// killTwo: healing holds still and says so; a person starts the cluster.
func (h *house) killTwo(l *load) {
	// While nobody looks, so that both are found dead at once.
	h.closeService()
	began := time.Now()
	h.signal(1, syscall.SIGKILL)
	h.signal(2, syscall.SIGKILL)
	h.await(func() error {
		for _, id := range []int32{1, 2} {
			if _, err := provider.NewLocal().Find(h.layout().PID(id)); !errors.Is(err, provider.ErrNotRunning) {
				return fmt.Errorf("broker %d lives: %w", id, err)
			}
		}
		return nil
	})
	h.open()
	h.await(func() error {
		if v := h.view(); v.Mend == nil || v.Mend.Kind != spec.OpStart || !strings.Contains(v.Health, "holds still") {
			return errors.New(v.Health)
		}
		return nil
	})
	h.change(controlplane.ChangeRequest{Kind: spec.OpStart})
	h.healed(began, heal.Mass, 0, heal.Brake)
	h.whole(l, 3)
}

// export stops the cluster, exports it, ends the service, and runs the
// cluster by its scripts alone.
func (h *house) export(l *load) {
	if _, err := h.service.CreateKafkaUser(h.ctx, "e2e", h.name, controlplane.KafkaUserRequest{Name: "app", Consume: []string{loadTopic}}); err != nil {
		h.t.Fatal(err)
	}
	h.change(controlplane.ChangeRequest{Kind: spec.OpStop})
	dir := h.t.TempDir()
	files, err := h.service.Export(h.ctx, h.name, dir)
	if err != nil {
		h.t.Fatal(err)
	}
	if !slices.Contains(files, filepath.Join(dir, "users", "app.properties")) {
		h.t.Errorf("no users in %v", files)
	}
	h.closeService()
	var began []*exec.Cmd
	for id := range 3 {
		cmd := exec.Command(filepath.Join(dir, fmt.Sprintf("start-broker-%d.sh", id+1)))
		cmd.Dir = "/"
		if err := cmd.Start(); err != nil {
			h.t.Fatal(err)
		}
		began = append(began, cmd)
	}
	end := func() {
		for _, c := range began {
			c.Process.Signal(syscall.SIGTERM)
		}
		for _, c := range began {
			// One that is left without a majority waits long for it.
			force := time.AfterFunc(20*time.Second, func() { c.Process.Kill() })
			c.Wait()
			force.Stop()
		}
		began = nil
	}
	defer end()
	access, err := admin.ReadAccess(filepath.Join(dir, "client.properties"))
	if err != nil {
		h.t.Fatal(err)
	}
	h.progress(l)
	l.end(h.ctx, h.t, access)
	app, err := admin.ReadAccess(filepath.Join(dir, "users", "app.properties"))
	if err != nil || app.User != "app" || !strings.HasPrefix(app.CAFile, dir) {
		h.t.Errorf("%+v %v", app, err)
	}
	end()
	h.open()
}

func (h *house) closeService() {
	h.t.Helper()
	if err := h.service.Close(); err != nil {
		h.t.Fatal(err)
	}
	h.service = nil
}

// killService runs the service as a process of its own, and kills it at the
// beginning of each step of a scale-out. The next one goes on.
func (h *house) killService(l *load) {
	h.closeService()
	killed := map[string]bool{}
	for {
		step, ended := h.runUntilStep(killed)
		if ended {
			break
		}
		killed[step] = true
	}
	h.open()
	h.t.Logf("the service was killed in %d steps: %v", len(killed), sorted(killed))
	ops, err := h.service.Operations(h.ctx, h.name, 1, "")
	if err != nil || ops[0].Kind != spec.OpScale || ops[0].State != spec.OpSucceeded || len(killed) != len(ops[0].Steps) {
		h.t.Fatalf("%+v %v", ops, err)
	}
	h.whole(l, 5)
	h.unlimited()
	h.change(controlplane.ChangeRequest{Kind: spec.OpScale, Brokers: 3})
	h.whole(l, 3)
}

func sorted(set map[string]bool) (out []string) {
	for s := range set {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

// runUntilStep starts the service's process and kills it when a step begins in
// which it was not killed yet; ended says that the operation is over.
func (h *house) runUntilStep(killed map[string]bool) (step string, ended bool) {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.ctx)
	defer cancel()
	lines, kill := h.child(ctx)
	defer kill()
	for line := range lines {
		if line == "SUCCEEDED" {
			return "", true
		}
		if name, ok := strings.CutPrefix(line, "step "); ok && !killed[name] {
			return name, false
		}
		if why, ok := strings.CutPrefix(line, "error "); ok {
			h.t.Fatal(why)
		}
	}
	h.t.Fatalf("the service's process ended by itself, or time is over: %v", h.ctx.Err())
	return "", false
}
