package restapi

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/people"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// publicRoutes is all that answers without credentials. Adding to it is a
// decision, which is why it is written down twice.
var publicRoutes = []string{
	"GET /status", "POST /setup", "POST /login", "POST /logout", "GET /session",
}

func fill(path string) string {
	return strings.NewReplacer("{cluster}", "orders", "{id}", "op-1", "{name}", "ann", "{broker}", "1").Replace(path)
}

// TestNobodyWithoutCredentials calls every route with none, with wrong ones,
// and with those of each role.
func TestNobodyWithoutCredentials(t *testing.T) {
	d := newDoor(t)
	a, _ := build(Options{})
	var open []string
	roles := []spec.Role{spec.RoleViewer, spec.RoleOperator, spec.RoleAdmin}
	tokens := map[spec.Role]string{}
	for _, r := range roles {
		tokens[r] = d.token(r)
	}
	for _, r := range a.routes() {
		path := Prefix + fill(r.operation.Path)
		if r.need == public {
			open = append(open, r.operation.Method+" "+r.operation.Path)
			continue
		}
		for _, header := range []string{"", "Bearer", "Bearer x", "Bearer weir_t-0.x", "Basic YW5uOmI=", tokens[spec.RoleAdmin]} {
			got := d.ask(r.operation.Method, path, "", "Authorization", header)
			d.want(401, got)
			if got.Header.Get("WWW-Authenticate") == "" {
				t.Error(path, "no WWW-Authenticate")
			}
		}
		d.want(401, d.ask(r.operation.Method, path, "", "Cookie", cookieName+"=x"))
		for _, role := range roles {
			if role.Allows(r.need) {
				continue
			}
			d.want(403, d.ask(r.operation.Method, path, "", "Authorization", "Bearer "+tokens[role]))
		}
	}
	if strings.Join(open, ", ") != strings.Join(publicRoutes, ", ") {
		t.Errorf("public are %v", open)
	}
	if len(d.calls) != 0 {
		t.Errorf("strangers reached the service: %v", d.calls)
	}
	d.want(401, d.ask("GET", "/metrics", ""))
	if r := d.want(200, d.ask("GET", "/metrics", "", d.as(spec.RoleViewer)...)); r.text != "weir_up 1\n" {
		t.Error(r.text)
	}
	// Queries of measurements are for viewers, and reach the store under its own paths.
	d.want(401, d.ask("GET", Prefix+"/prom/api/v1/query", ""))
	for _, method := range []string{"GET", "POST"} {
		if r := d.want(200, d.ask(method, Prefix+"/prom/api/v1/query", "", d.as(spec.RoleViewer)...)); r.text != "/api/v1/query" {
			t.Error(r.text)
		}
	}
	d.want(200, d.ask("GET", "/healthz", ""))
	if r := d.want(200, d.ask("GET", Prefix+"/status", "")); strings.TrimSpace(r.text) != `{"version":"1.2.3","needsSetup":true}` {
		t.Error("a stranger is told", r.text)
	}
	// An operator changes clusters but deletes none.
	d.want(202, d.ask("POST", Prefix+"/clusters/orders/operations", `{"kind":"stop"}`, "Authorization", "Bearer "+tokens[spec.RoleOperator]))
	d.want(403, d.ask("POST", Prefix+"/clusters/orders/operations", `{"kind":"delete"}`, "Authorization", "Bearer "+tokens[spec.RoleOperator]))
}

// setUp makes the first person and returns their cookie and CSRF value.
func (d *door) setUp() (cookie, csrf string) {
	d.Helper()
	made := d.want(201, d.ask("POST", Prefix+"/setup/link", "", d.as(spec.RoleAdmin)...)).json(d)
	address, link, _ := strings.Cut(made["link"].(string), "#")
	if address != "http://127.0.0.1:1/setup" {
		d.Error(made)
	}
	r := d.want(200, d.ask("POST", Prefix+"/setup", `{"secret":"`+link+`","name":"ann","password":"`+password+`"}`))
	return sessionCookie(d, r), r.json(d)["csrf"].(string)
}

func sessionCookie(d *door, r reply) string {
	d.Helper()
	for _, c := range r.Cookies() {
		if c.Name == cookieName {
			if !c.HttpOnly || c.SameSite != http.SameSiteStrictMode || c.Path != "/" {
				d.Error("the cookie is", c)
			}
			return c.Name + "=" + c.Value
		}
	}
	d.Fatal("no cookie")
	return ""
}

func TestSetupLoginLogout(t *testing.T) {
	d := newDoor(t)
	cookie, csrf := d.setUp()
	if s := d.want(200, d.ask("GET", Prefix+"/session", "", "Cookie", cookie)).json(d); s["name"] != "ann" || s["role"] != "admin" || s["csrf"] != csrf {
		t.Error(s)
	}
	d.want(401, d.ask("GET", Prefix+"/session", ""))
	d.want(409, d.ask("POST", Prefix+"/setup/link", "", d.as(spec.RoleAdmin)...))
	if s := d.ask("GET", Prefix+"/status", "").json(d); s["needsSetup"] != false {
		t.Error(s)
	}
	r := d.want(200, d.ask("POST", Prefix+"/login", `{"name":"ann","password":"`+password+`"}`))
	second := sessionCookie(d, r)
	if second == cookie {
		t.Error("the session is the same after a login")
	}
	out := d.want(204, d.ask("POST", Prefix+"/logout", "", "Cookie", cookie, csrfHeader, csrf))
	if c := out.Cookies(); len(c) != 1 || c[0].MaxAge >= 0 {
		t.Error("the cookie is not taken back:", c)
	}
	d.want(401, d.ask("GET", Prefix+"/session", "", "Cookie", cookie))
	d.want(200, d.ask("GET", Prefix+"/session", "", "Cookie", second))
	d.want(204, d.ask("POST", Prefix+"/logout", "", "Cookie", cookie)) // again, and without a session
}

func TestSetupLinkWorksOnceAndNotForever(t *testing.T) {
	d := newDoor(t)
	link, _ := d.people.NewSetupLink(t.Context())
	use := func() reply {
		return d.ask("POST", Prefix+"/setup", `{"secret":"`+link+`","name":"ann","password":"`+password+`"}`)
	}
	*d.now = d.now.Add(people.SetupLinkLife)
	d.want(403, use())
	link, _ = d.people.NewSetupLink(t.Context())
	refused := d.want(422, d.ask("POST", Prefix+"/setup", `{"secret":"`+link+`","name":"a b","password":"hunter2"}`))
	if !strings.Contains(refused.text, `"location":"body.name"`) || !strings.Contains(refused.text, `"location":"body.password"`) || strings.Contains(refused.text, "hunter2") {
		t.Error(refused.text)
	}
	d.want(200, use())
	d.want(409, use())
	d.want(403, d.ask("POST", Prefix+"/setup", `{"secret":"x","name":"eve","password":"`+password+`"}`, "Sec-Fetch-Site", "cross-site"))
}

// TestWritesOfBrowsers: a cookie alone writes nothing, and a request from
// another site nothing at all.
func TestWritesOfBrowsers(t *testing.T) {
	d := newDoor(t)
	cookie, csrf := d.setUp()
	_, other, err := d.people.StartSession(t.Context(), must(d.people.People(t.Context()))[0])
	if err != nil {
		t.Fatal(err)
	}
	create := func(headers ...string) reply {
		return d.ask("POST", Prefix+"/clusters", `{"name":"x"}`, append([]string{"Cookie", cookie}, headers...)...)
	}
	d.want(403, create())
	d.want(403, create(csrfHeader, ""))
	d.want(403, create(csrfHeader, "x"))
	d.want(403, create(csrfHeader, other.CSRF))
	d.want(403, create(csrfHeader, csrf, "Sec-Fetch-Site", "cross-site"))
	d.want(403, create(csrfHeader, csrf, "Sec-Fetch-Site", "same-site"))
	d.want(403, create(csrfHeader, csrf, "Origin", "http://evil.example"))
	d.want(403, d.ask("POST", Prefix+"/logout", "", "Cookie", cookie))
	if len(d.calls) != 0 {
		t.Errorf("got through: %v", d.calls)
	}
	d.want(202, create(csrfHeader, csrf))
	d.want(202, create(csrfHeader, csrf, "Sec-Fetch-Site", "same-origin"))
	d.want(200, d.ask("GET", Prefix+"/clusters", "", "Cookie", cookie))
	// Forms of other sites send what is no JSON.
	d.want(415, create(csrfHeader, csrf, "Content-Type", "text/plain"))
	d.want(415, d.ask("POST", Prefix+"/login", `{"name":"ann","password":"x"}`, "Content-Type", "text/plain"))
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// TestHosts: a name that somebody points at the loopback address is refused.
func TestHosts(t *testing.T) {
	d := newDoor(t)
	for host, ok := range map[string]bool{
		"localhost": true, "LOCALHOST:8640": true, "127.0.0.1": true, "127.1.2.3:1": true, "[::1]:8640": true,
		"evil.example": false, "evil.example:8640": false, "localhost.evil.example": false, "127.0.0.1.evil.example": false,
		"10.0.0.1": false, "weir.example": false, "0.0.0.0": false,
	} {
		for _, path := range []string{"/", "/healthz", Prefix + "/status", "/metrics"} {
			r := d.ask("GET", path, "", "Host", host)
			if refused := r.StatusCode == http.StatusMisdirectedRequest; refused == ok {
				t.Errorf("%s%s: %d", host, path, r.StatusCode)
			}
		}
	}
	named := &api{Options: Options{Hosts: []string{"weir.example"}}}
	if !named.hostAllowed("Weir.example:443") || named.hostAllowed("evil.example") {
		t.Error("configured names")
	}
}

func TestLoginSlowsDown(t *testing.T) {
	d := newDoor(t)
	d.setUp()
	try := func(password string) reply {
		return d.ask("POST", Prefix+"/login", `{"name":"ann","password":"`+password+`"}`)
	}
	for range 5 {
		d.want(401, try("wrong password"))
	}
	r := d.want(429, try(password))
	if n, err := strconv.Atoi(r.Header.Get("Retry-After")); err != nil || n < 1 {
		t.Error("Retry-After", r.Header.Get("Retry-After"))
	}
	*d.now = d.now.Add(time.Minute)
	d.want(200, try(password))
}

// TestOversized: too much is refused before it is kept.
func TestOversized(t *testing.T) {
	d := newDoor(t)
	as := d.as(spec.RoleAdmin)
	huge := `{"name":"` + strings.Repeat("x", maxBody) + `"}`
	d.want(413, d.ask("POST", Prefix+"/clusters", huge, as...))
	d.want(413, d.ask("POST", Prefix+"/login", huge))
	d.want(422, d.ask("POST", Prefix+"/login", `{"name":"`+strings.Repeat("x", 1000)+`","password":"x"}`))
	d.want(422, d.ask("GET", Prefix+"/operations?before="+strings.Repeat("x", 1000), "", as...))
	deep := strings.Repeat(`{"settings":`, 10000) + `{}` + strings.Repeat("}", 10000)
	if r := d.ask("POST", Prefix+"/clusters", deep, as...); r.StatusCode < 400 || r.StatusCode > 422 {
		t.Error(r.Status)
	}
	d.want(401, d.ask("GET", Prefix+"/clusters", "", "Cookie", cookieName+"="+strings.Repeat("x", 5000)))
	d.want(401, d.ask("GET", Prefix+"/clusters", "", "Authorization", "Bearer "+strings.Repeat("x", 5000)))
	if len(d.calls) != 0 {
		t.Errorf("got through: %v", d.calls)
	}
}

// TestTraversal: nothing of a path reaches the service that is no name.
func TestTraversal(t *testing.T) {
	d := newDoor(t)
	as := d.as(spec.RoleAdmin)
	for _, name := range []string{"..%2f..%2fetc", "%2e%2e", "a%2fb", "a%00b", "a%20b", strings.Repeat("x", 65), "%c3%a4"} {
		for _, rest := range []string{"", "/ca.pem", "/connect", "/brokers/1/log", "/users", "/panels/x"} {
			r := d.ask("GET", Prefix+"/clusters/"+name+rest, "", as...)
			if r.StatusCode < 400 || r.StatusCode >= 500 {
				t.Errorf("%s%s: %s", name, rest, r.Status)
			}
		}
	}
	for _, path := range []string{"/clusters/orders/brokers/..%2f1/log", "/clusters/orders/panels/..%2f1", "/operations/..%2fx"} {
		d.want(422, d.ask("GET", Prefix+path, "", as...))
	}
}

func TestHeadersAndLog(t *testing.T) {
	d := newDoor(t)
	cookie, csrf := d.setUp()
	link := "verysecretlink"
	d.ask("POST", Prefix+"/setup?secret="+link, `{"secret":"`+link+`","name":"eve","password":"`+password+`"}`)
	token := d.token(spec.RoleAdmin)
	d.ask("POST", Prefix+"/clusters", `{"name":"x"}`, "Authorization", "Bearer "+token)
	d.ask("GET", Prefix+"/clusters", "", "Cookie", cookie)
	for _, path := range []string{"/", Prefix + "/status", Prefix + "/clusters", "/healthz", "/nothing"} {
		h := d.ask("GET", path, "").Header
		for _, name := range []string{"Content-Security-Policy", "X-Content-Type-Options", "X-Frame-Options", "Referrer-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy", "Permissions-Policy"} {
			if h.Get(name) == "" {
				t.Errorf("%s: no %s", path, name)
			}
		}
		if strings.HasPrefix(path, "/api/") && h.Get("Cache-Control") != "no-store" {
			t.Errorf("%s may be kept", path)
		}
		if h.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: open to other sites", path)
		}
	}
	log := d.log.String()
	if !strings.Contains(log, "path=/api/v1/clusters status=202 who=command-line") {
		t.Error("a write is not in the log:", log)
	}
	for _, secret := range []string{link, password, token, csrf, strings.TrimPrefix(cookie, cookieName+"=")} {
		if strings.Contains(log, secret) {
			t.Errorf("the log tells %q", secret)
		}
	}
}

func TestTokensAndPeople(t *testing.T) {
	d := newDoor(t)
	as := d.as(spec.RoleAdmin)
	made := d.want(201, d.ask("POST", Prefix+"/tokens", `{"role":"viewer","expiresInSeconds":60}`, as...)).json(d)
	viewer := []string{"Authorization", "Bearer " + made["token"].(string)}
	d.want(200, d.ask("GET", Prefix+"/clusters", "", viewer...))
	d.want(403, d.ask("GET", Prefix+"/tokens", "", viewer...))
	list := d.want(200, d.ask("GET", Prefix+"/tokens", "", as...))
	if !strings.Contains(list.text, made["id"].(string)) || strings.Contains(list.text, "ecret") || strings.Contains(list.text, made["token"].(string)) {
		t.Error(list.text)
	}
	*d.now = d.now.Add(time.Minute)
	d.want(401, d.ask("GET", Prefix+"/clusters", "", viewer...))
	d.want(204, d.ask("DELETE", Prefix+"/tokens/"+made["id"].(string), "", as...))
	d.want(404, d.ask("DELETE", Prefix+"/tokens/"+made["id"].(string), "", as...))
	d.want(422, d.ask("POST", Prefix+"/tokens", `{"role":"root"}`, as...))
	d.want(201, d.ask("POST", Prefix+"/people", `{"name":"bob","role":"operator","password":"`+password+`"}`, as...))
	d.want(409, d.ask("POST", Prefix+"/people", `{"name":"bob","role":"operator","password":"`+password+`"}`, as...))
	if r := d.want(200, d.ask("GET", Prefix+"/people", "", as...)); strings.Contains(r.text, "pbkdf2") || !strings.Contains(r.text, `"name":"bob"`) {
		t.Error(r.text)
	}
	d.want(204, d.ask("DELETE", Prefix+"/people/bob", "", as...))
	d.want(404, d.ask("DELETE", Prefix+"/people/bob", "", as...))
	// A missing field must not make the answer repeat the password.
	if r := d.want(422, d.ask("POST", Prefix+"/people", `{"name":"bob","password":"`+password+`"}`, as...)); strings.Contains(r.text, password) {
		t.Error(r.text)
	}
}
