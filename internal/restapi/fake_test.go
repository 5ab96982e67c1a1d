package restapi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/people"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/testkit/clustermodel"
)

// fleet answers as a service with one cluster would, and notes who asked for what.
type fleet struct {
	view   controlplane.ClusterView
	mu     sync.Mutex
	calls  []string
	events []chan controlplane.Event
	err    error // of every change
}

func (f *fleet) note(format string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, fmt.Sprintf(format, args...))
	return f.err
}

func (f *fleet) op(actor, kind string) *spec.Operation {
	return &spec.Operation{ID: "op-1", Cluster: f.view.ID, Kind: kind, Actor: actor, State: spec.OpPending, Log: []spec.LogLine{{Text: "begun"}}}
}

func (f *fleet) Clusters(context.Context) ([]controlplane.ClusterView, error) {
	return []controlplane.ClusterView{f.view}, nil
}

func (f *fleet) Cluster(_ context.Context, name string) (controlplane.ClusterView, error) {
	if name != f.view.Name && name != f.view.ID {
		return controlplane.ClusterView{}, fmt.Errorf("cluster %q: %w", name, controlplane.ErrNotFound)
	}
	return f.view, nil
}

func (f *fleet) PlanCreate(_ context.Context, r controlplane.CreateRequest) (spec.Cluster, spec.Plan, error) {
	return spec.Cluster{Name: r.Name}, spec.Plan{Summary: "create"}, spec.ValidateName(r.Name)
}

func (f *fleet) Create(_ context.Context, actor string, r controlplane.CreateRequest) (*spec.Operation, error) {
	return f.op(actor, spec.OpCreate), f.note("%s creates %s", actor, r.Name)
}

func (f *fleet) PlanChange(_ context.Context, c string, r controlplane.ChangeRequest) (spec.Plan, error) {
	return spec.Plan{Summary: r.Kind + " " + c}, nil
}

func (f *fleet) Change(_ context.Context, actor, c string, r controlplane.ChangeRequest) (*spec.Operation, error) {
	return f.op(actor, r.Kind), f.note("%s: %s %s", actor, r.Kind, c)
}

func (f *fleet) Cancel(_ context.Context, actor, id string) error {
	return f.note("%s cancels %s", actor, id)
}

func (f *fleet) Export(_ context.Context, c, dir string) ([]string, error) {
	return []string{dir + "/start.sh"}, f.note("export %s %s", c, dir)
}

func (f *fleet) Operations(_ context.Context, _ string, limit int, before string) ([]*spec.Operation, error) {
	return []*spec.Operation{f.op("ann", "scale")}, f.note("operations %d %q", limit, before)
}

func (f *fleet) Operation(_ context.Context, id string) (*spec.Operation, error) {
	if id != "op-1" {
		return nil, controlplane.ErrNotFound
	}
	return f.op("ann", "scale"), nil
}

func (f *fleet) Journal(context.Context, string, int, string) ([]*spec.JournalEntry, error) {
	return []*spec.JournalEntry{{ID: "j-1", Anomaly: "broker-down"}}, nil
}

func (f *fleet) Subscribe() (<-chan controlplane.Event, func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := make(chan controlplane.Event, 8)
	f.events = append(f.events, c)
	return c, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.events = slices.DeleteFunc(f.events, func(o chan controlplane.Event) bool { return o == c })
	}
}

func (f *fleet) send(e controlplane.Event) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.events {
		c <- e
	}
	return len(f.events)
}

func (f *fleet) Simulate(_ context.Context, _ string, kill []int32) (controlplane.Simulation, error) {
	return controlplane.Simulation{Killed: kill, Sentence: "all goes on"}, nil
}

func (f *fleet) Partitions(context.Context, string) ([]spec.PartitionObservation, error) {
	var out []spec.PartitionObservation
	for i := range int32(5) {
		out = append(out, spec.PartitionObservation{Topic: "t", Partition: i, Leader: i - 1, Replicas: []int32{1}, ISR: []int32{1}})
	}
	return out, nil
}

func (f *fleet) BrokerLog(_ context.Context, _ string, broker int32, lines int) ([]string, error) {
	return []string{fmt.Sprint(broker, " ", lines)}, nil
}

func (f *fleet) Engines() []controlplane.EngineInfo {
	return []controlplane.EngineInfo{{Name: "weir", Ready: true}}
}

func (f *fleet) KafkaUsers(context.Context, string) ([]string, error) { return nil, nil }

func (f *fleet) CreateKafkaUser(_ context.Context, actor, c string, r controlplane.KafkaUserRequest) (controlplane.Credentials, error) {
	return controlplane.Credentials{Name: r.Name, Password: "p"}, f.note("%s: user %s of %s", actor, r.Name, c)
}

func (f *fleet) DeleteKafkaUser(_ context.Context, actor, c, name string) error {
	return f.note("%s removes %s of %s", actor, name, c)
}

// door is a service behind its door, on a loopback port.
type door struct {
	*testing.T
	*fleet
	people   *people.Registry
	url      string
	log      *bytes.Buffer
	now      *time.Time
	client   *http.Client
	measured Requests
}

const password = "correct horse battery"

func newDoor(t *testing.T) *door {
	t.Helper()
	now := time.Now()
	d := &door{T: t, fleet: &fleet{}, log: &bytes.Buffer{}, now: &now, client: &http.Client{}}
	d.view = controlplane.ClusterView{Cluster: spec.Cluster{ID: "c-1", Name: "orders", State: spec.Active}, Bootstrap: []string{"127.0.0.1:9092"}}
	d.people = people.New(clustermodel.New(), people.Options{Now: func() time.Time { return *d.now }, Iterations: 2})
	var mu sync.Mutex
	srv := httptest.NewServer(New(Options{
		Service: d.fleet, People: d.people, Version: "1.2.3", Dir: "/srv/weir", Address: "http://127.0.0.1:1", Started: now, Heartbeat: 20 * time.Millisecond,
		Log:        slog.New(slog.NewTextHandler(lockedWriter{&mu, d.log}, nil)),
		Requests:   d.requests(),
		Metrics:    http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "weir_up 1\n") }),
		Prometheus: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) }),
		Pages:      http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "<html>") }),
	}))
	t.Cleanup(srv.Close)
	d.url = srv.URL
	return d
}

type lockedWriter struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

// token makes a token of a role.
// requests measures, for the tests that look at it.
func (d *door) requests() Requests {
	d.measured = NewRequests()
	return d.measured
}

func (d *door) token(role spec.Role) string {
	d.Helper()
	_, text, err := d.people.CreateToken(d.Context(), people.Identity{Name: people.CommandLine, Role: spec.RoleAdmin}, role, 0)
	if err != nil {
		d.Fatal(err)
	}
	return text
}

type reply struct {
	*http.Response
	text string
}

func (r reply) json(d *door) map[string]any {
	d.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(r.text), &out); err != nil {
		d.Fatalf("%v: %s", err, r.text)
	}
	return out
}

// ask sends a request; headers are pairs, "" for the method's body means none.
func (d *door) ask(method, path, body string, headers ...string) reply {
	d.Helper()
	var in io.Reader
	if body != "" {
		in = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(d.Context(), method, d.url+path, in)
	if err != nil {
		d.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(headers); i += 2 {
		if headers[i] == "Host" {
			req.Host = headers[i+1]
			continue
		}
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := d.client.Do(req)
	if err != nil {
		d.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return reply{resp, string(text)}
}

func (d *door) as(role spec.Role) []string {
	return []string{"Authorization", "Bearer " + d.token(role)}
}

// want checks the status of an answer.
func (d *door) want(status int, r reply) reply {
	d.Helper()
	if r.StatusCode != status {
		d.Errorf("%s %s: status %d, want %d: %s", r.Request.Method, r.Request.URL.Path, r.StatusCode, status, r.text)
	}
	if r.StatusCode >= 400 && r.Header.Get("Content-Type") != "application/problem+json" {
		d.Errorf("%s %s: an error as %s", r.Request.Method, r.Request.URL.Path, r.Header.Get("Content-Type"))
	}
	return r
}
