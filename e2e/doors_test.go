//go:build e2e

package e2e

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// person is somebody with an empty home who uses the built program.
type person struct {
	*testing.T
	home, bin string
}

func newPerson(t *testing.T) *person {
	t.Helper()
	bin, err := filepath.Abs("../bin/weir")
	if err != nil {
		t.Fatal(err)
	}
	p := &person{T: t, home: t.TempDir(), bin: bin}
	t.Cleanup(func() {
		if out, code := p.weir("", "down"); code != 0 {
			t.Errorf("weir down: %s", out)
		}
		if left := p.processes(); left != "" {
			t.Errorf("weir down leaves\n%s", left)
		}
	})
	return p
}

// environ has nothing of this user's but what builds and assembled Kafkas cost too much to make again.
func (p *person) environ() []string {
	cache, err := os.UserCacheDir()
	if err != nil {
		p.Fatal(err)
	}
	env := []string{"HOME=" + p.home, "XDG_CACHE_HOME=" + cache, "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8"}
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GOFLAGS"} {
		if out, err := exec.Command("go", "env", name).Output(); err == nil {
			env = append(env, name+"="+strings.TrimSpace(string(out)))
		}
	}
	return env
}

// do runs a command without a terminal; stdout alone is returned on success.
func (p *person) do(dir, input, name string, args ...string) (string, int) {
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env, cmd.Stdin = dir, p.environ(), strings.NewReader(input)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		return out.String() + errs.String() + err.Error(), max(1, cmd.ProcessState.ExitCode())
	}
	return out.String(), 0
}

func (p *person) weir(input string, args ...string) (string, int) {
	return p.do("", input, p.bin, args...)
}

// must runs a verb that has to succeed.
func (p *person) must(args ...string) string {
	p.Helper()
	out, code := p.weir("", args...)
	if code != 0 {
		log, _ := p.weir("", "logs", "-n", "20")
		broker, _ := p.weir("", "logs", "--cluster", "orders", "--broker", "1", "-n", "20")
		p.Fatalf("weir %s: code %d\n%s\n%s\n%s", strings.Join(args, " "), code, out, log, broker)
	}
	return out
}

// processes are those that have the person's home on their command line.
func (p *person) processes() string {
	out, err := exec.Command("ps", "-eo", "pid,args").Output()
	if err != nil {
		p.Fatal(err)
	}
	var left []string
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, p.home) {
			left = append(left, line[:min(len(line), 200)])
		}
	}
	return strings.Join(left, "\n")
}

// block is what weir up --json prints.
type block struct {
	Dashboard, Setup, Cluster, Bootstrap, CA, Dir string
	ClientProperties                              string `json:"client_properties"`
}

func (p *person) block(text string) (b block) {
	p.Helper()
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		p.Fatalf("%v: %s", err, text)
	}
	return b
}

// call sends a request to the service with a token.
func (p *person) call(method, address, token, body string) (int, string) {
	p.Helper()
	req, err := http.NewRequestWithContext(p.Context(), method, address, strings.NewReader(body))
	if err != nil {
		p.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestMakeUp is a fresh clone, an empty home, and somebody else on port 9092.
func TestMakeUp(t *testing.T) {
	p := newPerson(t)
	if l, err := net.Listen("tcp", "127.0.0.1:9092"); err == nil { // else it is taken anyway
		defer l.Close()
	}
	clone := checkout(t)
	p.bin = filepath.Join(clone, "bin", "weir")
	out, code := p.do(clone, "", "make", "up", "ARGS=--json")
	if code != 0 {
		t.Fatal(out)
	}
	b := p.block(out[strings.LastIndex(out, "\n{")+1:])
	if b.Cluster != "main" || strings.Contains(b.Bootstrap, ":9092") || len(strings.Split(b.Bootstrap, ",")) != 3 || !strings.HasPrefix(b.Setup, b.Dashboard+"/setup#") || !strings.HasPrefix(b.Dir, p.home) {
		t.Errorf("%+v", b)
	}
	p.tools(b)
	again, code := p.do(clone, "", "make", "up")
	if code != 0 || !strings.Contains(again, b.Bootstrap) || !strings.Contains(again, b.Dashboard) || !strings.Contains(again, "TLS, SCRAM and ACLs") {
		t.Errorf("the second time: %d %s", code, again)
	}
	if out, code := p.do(clone, "", "make", "down"); code != 0 || p.processes() != "" {
		t.Errorf("make down: %d %s\n%s", code, out, p.processes())
	}
	// The next up starts it again, in the same place, with its records.
	second := p.block(p.must("up", "--json"))
	if second.Bootstrap != b.Bootstrap || second.Dashboard != b.Dashboard {
		t.Errorf("moved from %+v to %+v", b, second)
	}
	if out := p.must("kafka-console-consumer", "--bootstrap-server", b.Bootstrap, "--command-config", b.ClientProperties, "--topic", "hello", "--from-beginning", "--max-messages", "1", "--timeout-ms", "30000"); out != "hi\n" {
		t.Errorf("read %q", out)
	}
}

// tools produces and consumes a record as the block says.
func (p *person) tools(b block) {
	p.Helper()
	with := []string{"--bootstrap-server", b.Bootstrap, "--command-config", b.ClientProperties, "--topic", "hello"}
	p.must(append([]string{"kafka-topics", "--create"}, with...)...)
	if out, code := p.weir("hi\n", append([]string{"kafka-console-producer"}, with...)...); code != 0 {
		p.Fatal(out)
	}
	if out := p.must(append([]string{"kafka-console-consumer", "--from-beginning", "--max-messages", "1", "--timeout-ms", "30000"}, with...)...); out != "hi\n" {
		p.Errorf("read %q", out)
	}
}

// TestDoors walks from weir up to weir down by HTTP and by the verbs, with a
// real Apache Kafka.
func TestDoors(t *testing.T) {
	for _, name := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is missing, and Apache Kafka needs it", name)
		}
	}
	p := newPerson(t)
	b := p.block(p.must("up", "--json"))
	api := b.Dashboard + "/api/v1"
	p.setUp(b)
	p.throughTheDoor(api)

	// The verbs: a secured cluster, a user of it, one broker more, one less.
	if out, code := p.weir("", "cluster", "create", "orders", "--brokers", "1"); code != 1 || !strings.Contains(out, "--yes") {
		t.Errorf("without a terminal: %d %s", code, out)
	}
	p.must("cluster", "create", "orders", "--engine", "apache-kafka", "--brokers", "1", "--memory", "512MiB", "--disk", "10GiB", "--yes")
	var view struct {
		Bootstrap               []string
		ClientProperties, State string
	}
	describe := func() {
		t.Helper()
		if err := json.Unmarshal([]byte(p.must("cluster", "describe", "orders", "-o", "json")), &view); err != nil {
			t.Fatal(err)
		}
	}
	describe()
	p.tools(block{Bootstrap: view.Bootstrap[0], ClientProperties: view.ClientProperties})
	var user struct{ Path string }
	if err := json.Unmarshal([]byte(p.must("user", "create", "app1", "--cluster", "orders", "--consume", "hello", "--group", "app1", "--yes", "-o", "json")), &user); err != nil {
		t.Fatal(err)
	}
	if out := p.must("kafka-console-consumer", "--bootstrap-server", view.Bootstrap[0], "--command-config", user.Path, "--topic", "hello", "--group", "app1", "--from-beginning", "--max-messages", "1", "--timeout-ms", "60000"); out != "hi\n" {
		t.Errorf("app1 reads %q", out)
	}
	p.must("cluster", "scale", "orders", "--brokers", "2", "--yes")
	if describe(); len(view.Bootstrap) != 2 {
		t.Errorf("after the scale-out: %+v", view)
	}
	p.must("cluster", "scale", "orders", "--brokers", "1", "--yes")
	if out := p.must("op", "list", "--cluster", "orders"); strings.Count(out, "SUCCEEDED") != 3 {
		t.Errorf("operations:\n%s", out)
	}
	out := filepath.Join(p.home, "export")
	if files := p.must("cluster", "export", "orders", out); !strings.Contains(files, out) {
		t.Errorf("exported %s", files)
	}
	p.must("cluster", "delete", "orders", "--yes")
	if _, code := p.weir("", "cluster", "describe", "orders"); code != 1 {
		t.Error("it is still there")
	}
}

// setUp uses the set-up link as the page does, and finds it used up.
func (p *person) setUp(b block) {
	p.Helper()
	_, secret, _ := strings.Cut(b.Setup, "#")
	person := `{"secret":"` + secret + `","name":"ann","password":"correct horse battery"}`
	if code, text := p.call("POST", b.Dashboard+"/api/v1/setup", "", person); code != 200 || !strings.Contains(text, `"role":"admin"`) {
		p.Fatal(code, text)
	}
	if code, text := p.call("POST", b.Dashboard+"/api/v1/setup", "", person); code != 409 {
		p.Error("a second time:", code, text)
	}
	if again := p.block(p.must("up", "--json")); again.Setup != "" || again.Dashboard != b.Dashboard {
		p.Errorf("with somebody set up: %+v", again)
	}
}

// throughTheDoor makes a token and asks with it, without, and with too low a role.
func (p *person) throughTheDoor(api string) {
	p.Helper()
	var known struct{ Server, Token string }
	text, err := os.ReadFile(filepath.Join(p.home, ".config", "weir", "service.json"))
	if err == nil {
		err = json.Unmarshal(text, &known)
	}
	if err != nil || known.Server+"/api/v1" != api {
		p.Fatal(err, known)
	}
	var made struct{ Token string }
	code, answer := p.call("POST", api+"/tokens", known.Token, `{"role":"viewer","expiresInSeconds":600}`)
	if err := json.Unmarshal([]byte(answer), &made); code != 201 || err != nil {
		p.Fatal(code, answer)
	}
	for _, c := range []struct {
		method, path, token, body string
		code                      int
	}{
		{"GET", "/clusters", "", "", 401},
		{"GET", "/clusters", made.Token, "", 200},
		{"GET", "/clusters/main/partitions", made.Token, "", 200},
		{"GET", "/clusters/main/connect", made.Token, "", 200},
		{"GET", "/clusters/main/brokers/1/log", made.Token, "", 200},
		{"POST", "/clusters/main/simulate", made.Token, `{"kill":[1]}`, 200},
		{"POST", "/clusters/main/operations", made.Token, `{"kind":"stop"}`, 403},
		{"POST", "/clusters/plan", known.Token, `{"name":"Bad"}`, 422},
		{"GET", "/openapi.json", "", "", 200},
	} {
		if code, answer := p.call(c.method, api+c.path, c.token, c.body); code != c.code {
			p.Errorf("%s %s: %d, want %d: %s", c.method, c.path, code, c.code, answer)
		}
	}
	if code, page := p.call("GET", strings.TrimSuffix(api, "/api/v1")+"/", "", ""); code != 200 || !strings.Contains(page, "<html") {
		p.Errorf("the dashboard: %d %.200s", code, page)
	}
	p.hearsOfChanges(api, known.Token)
}

// hearsOfChanges listens while a cluster is stopped and started.
func (p *person) hearsOfChanges(api, token string) {
	p.Helper()
	req, _ := http.NewRequestWithContext(p.Context(), http.MethodGet, api+"/events?cluster=main", nil)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		p.Fatal(err)
	}
	defer resp.Body.Close()
	p.must("cluster", "stop", "main", "--yes")
	heard := make(chan string, 1)
	go func() {
		buf := make([]byte, 1<<16)
		n, _ := io.ReadAtLeast(resp.Body, buf, 100)
		heard <- string(buf[:n])
	}()
	select {
	case text := <-heard:
		if !strings.Contains(text, "event: operation\ndata: {") {
			p.Errorf("heard %q", text)
		}
	case <-time.After(time.Minute):
		p.Error("heard nothing")
	}
	p.must("cluster", "start", "main", "--yes")
}
