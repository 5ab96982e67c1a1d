package restapi

import (
	"bufio"
	"flag"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

var update = flag.Bool("update", false, "write openapi.json")

// TestDescription: the committed description is the one that is served. The
// TypeScript client is generated from it.
func TestDescription(t *testing.T) {
	d := newDoor(t)
	served := d.want(200, d.ask("GET", Prefix+"/openapi.json", "")).text
	if *update {
		if err := os.WriteFile("openapi.json", []byte(served), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), served); d != "" {
		t.Errorf("the API changed; if that is meant: go test ./internal/restapi -run Description -update, and npm run api in web/\n%s", d)
	}
}

// TestParametersAreDescribed: what a path names is a parameter of the description.
func TestParametersAreDescribed(t *testing.T) {
	a, _ := build(Options{})
	for path, item := range a.huma.OpenAPI().Paths {
		for _, part := range strings.Split(path, "/") {
			name, ok := strings.CutPrefix(part, "{")
			if !ok {
				continue
			}
			name = strings.TrimSuffix(name, "}")
			for _, op := range slices.DeleteFunc([]*huma.Operation{item.Get, item.Post, item.Delete}, func(o *huma.Operation) bool { return o == nil }) {
				if !slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.Name == name && p.In == "path" }) {
					t.Errorf("%s %s: {%s} is no parameter", op.Method, path, name)
				}
			}
		}
	}
}

func TestClusterCalls(t *testing.T) {
	d := newDoor(t)
	as := d.as(spec.RoleAdmin)
	for _, c := range []struct {
		method, path, body string
		status             int
		has                string
	}{
		{"GET", "/engines", "", 200, `"ready":true`},
		{"GET", "/profiles", "", 200, `"prod-3"`},
		{"GET", "/clusters", "", 200, `"name":"orders"`},
		{"GET", "/clusters/orders", "", 200, `"brokers":[]`},
		{"GET", "/clusters/c-1", "", 200, `"name":"orders"`},
		{"GET", "/clusters/other", "", 404, `"urn:weir:not-found"`},
		{"POST", "/clusters/plan", `{"name":"new-one"}`, 200, `"steps":[]`},
		{"POST", "/clusters/plan", `{"name":"Bad Name"}`, 422, `"location":"body.name"`},
		{"POST", "/clusters/plan", `{"name":"x","nonsense":1}`, 422, `body.nonsense`},
		{"POST", "/clusters/plan", `{"name":"x","brokers":"3"}`, 422, `"location":"body.brokers"`},
		{"POST", "/clusters/plan", `{"name"`, 400, ``},
		{"POST", "/clusters/plan", ``, 400, ``},
		{"POST", "/clusters", `{"name":"x"}`, 202, `"kind":"create"`},
		{"POST", "/clusters/orders/plan", `{"kind":"scale","brokers":5}`, 200, `"scale orders"`},
		{"POST", "/clusters/orders/operations", `{"kind":"scale","brokers":5}`, 202, `"actor":"command-line"`},
		{"POST", "/clusters/orders/operations", `{"kind":"delete"}`, 202, `"kind":"delete"`},
		{"POST", "/clusters/orders/simulate", `{"kill":[2]}`, 200, `"killed":[2],`},
		{"POST", "/clusters/orders/simulate", `{"kill":[]}`, 422, `body.kill`},
		{"GET", "/clusters/orders/partitions?limit=2&offset=1", "", 200, `"partition":1,`},
		{"GET", "/clusters/orders/partitions?state=offline", "", 200, `"total":1}`},
		{"GET", "/clusters/orders/partitions?state=odd", "", 422, `query.state`},
		{"GET", "/clusters/orders/partitions?sate=offline", "", 422, `sate`},
		{"GET", "/clusters/orders/users", "", 200, `{"users":[]}`},
		{"POST", "/clusters/orders/users", `{"name":"app","produce":["t"]}`, 201, `"password":"p"`},
		{"DELETE", "/clusters/orders/users/app", "", 204, ""},
		{"GET", "/clusters/orders/brokers/2/log?lines=7", "", 200, `["2 7"]`},
		{"GET", "/clusters/orders/brokers/0/log", "", 422, `path.broker`},
		{"POST", "/clusters/orders/export", `{"dir":"/tmp/out"}`, 200, `/tmp/out/start.sh`},
		{"POST", "/clusters/orders/export", `{"dir":"out"}`, 422, `body.dir`},
		{"GET", "/clusters/orders/panels", "", 200, `{"panels":[]}`},
		{"GET", "/clusters/orders/panels/bytes-in", "", 404, ``},
		{"GET", "/operations?limit=7&before=op-9", "", 200, `"log":[]`},
		{"GET", "/operations?limit=501", "", 422, `query.limit`},
		{"GET", "/operations/op-1", "", 200, `"text":"begun"`},
		{"GET", "/operations/op-2", "", 404, ``},
		{"POST", "/operations/op-1/cancel", "", 202, `op-1`},
		{"GET", "/journal", "", 200, `"evidence":[]`},
		{"GET", "/status", "", 200, `"dir":"/srv/weir"`},
		{"GET", "/nothing", "", 404, `openapi.json`},
		{"PUT", "/clusters", "", 404, ``},
	} {
		r := d.want(c.status, d.ask(c.method, Prefix+c.path, c.body, as...))
		if !strings.Contains(r.text, c.has) {
			t.Errorf("%s %s %s: no %s in %s", c.method, c.path, c.body, c.has, r.text)
		}
	}
	want := []string{
		"command-line creates x", "command-line: scale orders", "command-line: delete orders", "command-line: user app of orders",
		"command-line removes app of orders", "export orders /tmp/out", `operations 7 "op-9"`, "command-line cancels op-1",
	}
	if diff := cmp.Diff(want, d.calls); diff != "" {
		t.Error(diff)
	}
	if r := d.ask("POST", Prefix+"/clusters", `{"name":"x"}`, as...); r.Header.Get("Location") != Prefix+"/operations/op-1" {
		t.Error("Location:", r.Header.Get("Location"))
	}
}

// TestOutcomes: what the service refuses is told apart.
func TestOutcomes(t *testing.T) {
	d := newDoor(t)
	as := d.as(spec.RoleAdmin)
	for _, o := range outcomes {
		d.err = o.err
		r := d.want(o.status, d.ask("POST", Prefix+"/clusters", `{"name":"x"}`, as...))
		if p := r.json(d); p["type"] != "urn:weir:"+o.kind && o.kind != "not-found" || p["detail"] != o.err.Error() || p["title"] != http.StatusText(o.status) {
			t.Errorf("%v: %v", o.err, p)
		}
	}
	d.err = &os.PathError{Op: "open", Path: "/srv/weir/x", Err: os.ErrPermission}
	if r := d.want(500, d.ask("POST", Prefix+"/clusters", `{"name":"x"}`, as...)); !strings.Contains(r.text, "/srv/weir/x") {
		t.Error(r.text)
	}
}

func TestConnect(t *testing.T) {
	d := newDoor(t)
	as := d.as(spec.RoleViewer)
	open := d.want(200, d.ask("GET", Prefix+"/clusters/orders/connect", "", as...)).json(d)
	if open["securityProtocol"] != "PLAINTEXT" || open["mechanism"] != "" || open["caPem"] != "" {
		t.Error(open)
	}
	d.want(404, d.ask("GET", Prefix+"/clusters/orders/ca.pem", "", as...))
	dir := t.TempDir()
	d.view.Secured, d.view.CA, d.view.ClientProperties = true, filepath.Join(dir, "ca.pem"), filepath.Join(dir, "client.properties")
	d.want(404, d.ask("GET", Prefix+"/clusters/orders/ca.pem", "", as...)) // not there yet
	for name, text := range map[string]string{"ca.pem": "PEM", "client.properties": "security.protocol=SASL_SSL\nsasl.mechanism = SCRAM-SHA-256\nsasl.jaas.config=x password=\"hunter2\";\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r := d.want(200, d.ask("GET", Prefix+"/clusters/orders/connect", "", as...))
	if c := r.json(d); c["securityProtocol"] != "SASL_SSL" || c["mechanism"] != "SCRAM-SHA-256" || c["caPem"] != "PEM" || strings.Contains(r.text, "hunter2") || strings.Contains(r.text, "{") && strings.Contains(r.text, "{bootstrap}") {
		t.Error(r.text)
	}
	if r := d.want(200, d.ask("GET", Prefix+"/clusters/orders/ca.pem", "", as...)); r.text != "PEM" || r.Header.Get("Content-Type") != "application/x-pem-file" {
		t.Error(r.text, r.Header)
	}
}

// TestEvents: what changed arrives, of the wanted cluster only; a heartbeat
// shows that the stream lives, and ends with the right to listen.
func TestEvents(t *testing.T) {
	d := newDoor(t)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+Prefix+"/events?cluster=orders", nil)
	token := d.token(spec.RoleViewer)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := d.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatal(resp.Status, resp.Header)
	}
	lines := bufio.NewScanner(resp.Body)
	next := func(want string) {
		t.Helper()
		for lines.Scan() {
			if lines.Text() == want {
				return
			}
			if text := lines.Text(); text != "" && !strings.HasPrefix(text, ":") {
				t.Errorf("got %q, want %q", text, want)
			}
		}
		t.Fatalf("the stream ended before %q", want)
	}
	next(": hello")
	d.send(controlplane.Event{Kind: "operation", Cluster: "other", ID: "x"})
	d.send(controlplane.Event{Kind: "operation", Cluster: "c-1", ID: "op-1"})
	d.send(controlplane.Event{Kind: "resync"})
	next("event: operation")
	next(`data: {"kind":"operation","cluster":"c-1","id":"op-1"}`)
	next("event: resync")
	next(`data: {"kind":"resync"}`)
	next(": still there")
	all, err := d.people.Tokens(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := d.people.DeleteToken(t.Context(), all[0].ID); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // ends
	}
	deadline := time.Now().Add(10 * time.Second)
	for d.send(controlplane.Event{Kind: "resync"}) > 0 {
		if time.Now().After(deadline) {
			t.Fatal("the subscription stays")
		}
	}
}

func TestStreamsAreBounded(t *testing.T) {
	d := newDoor(t)
	as := d.as(spec.RoleViewer)
	for range maxStreams {
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+Prefix+"/events", nil)
		req.Header.Set(as[0], as[1])
		resp, err := d.client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
	}
	d.want(503, d.ask("GET", Prefix+"/events", "", as...))
}
