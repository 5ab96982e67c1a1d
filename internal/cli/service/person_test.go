package service

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/restapi"
)

func TestPeople(t *testing.T) {
	b := newBench(t)
	made := restapi.Person{Name: "ada", Role: "operator", CreatedAt: time.Unix(1, 0)}
	b.answer("GET /people", restapi.People{People: []restapi.Person{made}})
	b.answer("POST /people", made)
	b.answer("DELETE /people/a%2Fda", status{204, ""})
	b.want(0, []string{"NAME", "ada", "operator", "1970-01-01"}, "person", "list")
	b.want(1, []string{"role"}, "person", "create", "ada")
	b.want(0, []string{"Add ada as operator"}, "person", "create", "ada", "--role", "operator", "--plan")
	b.want(1, []string{"no terminal"}, "person", "create", "ada", "--role", "operator")
	if n := b.count("POST"); n != 0 {
		t.Fatalf("%d people were made", n)
	}
	b.want(0, []string{"ada may use the service as operator", "shown this once"}, "person", "create", "ada", "--role", "operator", "--yes")
	last := b.asked[len(b.asked)-1]
	_, password, _ := strings.Cut(last, `"password":"`)
	password = strings.TrimSuffix(password, `"}`)
	if len(password) < 20 || !strings.Contains(b.out.String(), password) {
		t.Errorf("asked %s, said %s", last, b.out.String())
	}
	file := filepath.Join(t.TempDir(), "password")
	write(t, file, "correct horse\r\nsecond line\n")
	b.want(0, []string{"may use the service"}, "person", "create", "ada", "--role", "operator", "--yes", "--password-file", file)
	b.stdin = "from a pipe\n"
	b.want(0, []string{`"name": "ada"`}, "person", "create", "ada", "--role", "operator", "--yes", "--password-file", "-", "-o", "json")
	for _, want := range []string{"correct horse", "from a pipe"} {
		if b.count(`POST /people {"name":"ada","role":"operator","password":"`+want+`"}`) != 1 || strings.Contains(b.out.String(), want) {
			t.Errorf("%q of %q, said %s", want, b.asked, b.out.String())
		}
	}
	b.want(1, []string{"--password-file"}, "person", "create", "ada", "--role", "operator", "--yes", "--password-file", file+"x")
	b.want(0, []string{"a/da is gone"}, "person", "delete", "a/da", "--yes")
}

func TestTokens(t *testing.T) {
	b := newBench(t)
	b.answer("GET /tokens", restapi.Tokens{Tokens: []restapi.Token{{ID: "t-1", User: "ada", Role: "viewer"}, {ID: "t-2", ExpiresAt: time.Unix(86400, 0)}}})
	b.answer("POST /tokens", restapi.NewToken{ID: "t-3", Token: "weir_secret"})
	b.answer("DELETE /tokens/t-1", status{204, ""})
	b.want(0, []string{"t-1", "ada", "never", "1970-01-02"}, "token", "list")
	b.want(0, []string{"t-3", "weir_secret", "shown this once"}, "token", "create", "--role", "viewer", "--expires", "90d", "--yes")
	if b.count(`POST /tokens {"role":"viewer","expiresInSeconds":7776000}`) != 1 {
		t.Error(b.asked)
	}
	b.want(0, []string{"weir_secret"}, "token", "create", "--role", "admin", "--yes")
	for _, bad := range []string{"0d", "x", "-1h", "1ms", "40000d"} {
		b.want(1, []string{"--expires", "12h or 90d"}, "token", "create", "--role", "viewer", "--expires="+bad, "--yes")
	}
	b.want(0, []string{"locked out"}, "token", "delete", "t-1", "--plan")
	if b.count("DELETE") != 0 {
		t.Error("--plan did it")
	}
	b.want(0, []string{"t-1 is gone"}, "token", "delete", "t-1", "--yes")
}

func TestUsersOfACluster(t *testing.T) {
	b := newBench(t)
	b.answer("GET /clusters/orders/users", restapi.Users{Users: []string{"app1", "app2"}})
	b.answer("DELETE /clusters/orders/users/app1", status{204, ""})
	b.want(0, []string{"app1\n", "app2\n"}, "user", "list", "--cluster", "orders")
	b.want(1, []string{"cluster"}, "user", "list")
	b.want(1, []string{"Remove the user app1 of orders", "no terminal"}, "user", "delete", "app1", "--cluster", "orders")
	b.want(0, []string{"app1 is gone"}, "user", "delete", "app1", "--cluster", "orders", "--yes")
}
