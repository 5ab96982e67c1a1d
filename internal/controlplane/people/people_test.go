package people

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
	"github.com/weir-stream/weir/internal/testkit/clustermodel"
)

const good = "correct horse battery"

type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func registry(t *testing.T) (*Registry, *clock, *clustermodel.World) {
	t.Helper()
	c, w := &clock{time.Date(2026, 11, 1, 8, 0, 0, 0, time.UTC)}, clustermodel.New()
	return New(w, Options{Now: c.now, Iterations: 2}), c, w
}

func must[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestPasswordHash(t *testing.T) {
	a, b := must[string](t)(hashPassword(good, 3)), must[string](t)(hashPassword(good, 3))
	if a == b {
		t.Error("no salt")
	}
	if !strings.HasPrefix(a, "$pbkdf2-sha256$i=3$") || strings.Contains(a, good) {
		t.Error(a)
	}
	if ok, n, err := verifyPassword(a, good); !ok || n != 3 || err != nil {
		t.Error(ok, n, err)
	}
	if ok, _, err := verifyPassword(a, good+"x"); ok || err != nil {
		t.Error(ok, err)
	}
	for _, bad := range []string{"", "x", "$md5$i=1$YQ$YQ", "$pbkdf2-sha256$i=0$YQ$YQ", "$pbkdf2-sha256$i=99999999999$YQ$YQ", strings.Replace(a, "i=3", "i=99999999", 1), a[:len(a)-4], a + "$"} {
		if ok, _, err := verifyPassword(bad, good); ok || !errors.Is(err, errHashFormat) {
			t.Errorf("%q: %v %v", bad, ok, err)
		}
	}
	for _, bad := range []string{"", "short", strings.Repeat("x", 257)} {
		if got := spec.Fields(CheckPassword(bad)); len(got) != 1 || got[0].Value != "" || got[0].Field != "password" {
			t.Errorf("%q: %v", bad, got)
		}
	}
}

func TestSetupLink(t *testing.T) {
	r, c, w := registry(t)
	ctx := t.Context()
	link := must[string](t)(r.NewSetupLink(ctx))
	for _, wrong := range []string{"", link + "x", digest(link)} {
		if _, err := r.UseSetupLink(ctx, wrong, "ann", good); !errors.Is(err, ErrLink) {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	// Refused values do not use it up.
	if _, err := r.UseSetupLink(ctx, link, "a b", "x"); len(spec.Fields(err)) != 2 {
		t.Error(err)
	}
	if _, err := r.UseSetupLink(ctx, link, CommandLine, good); len(spec.Fields(err)) != 1 {
		t.Error("a reserved name:", err)
	}
	c.at = c.at.Add(SetupLinkLife)
	if _, err := r.UseSetupLink(ctx, link, "ann", good); !errors.Is(err, ErrLink) {
		t.Error("after 15 minutes:", err)
	}
	old := must[string](t)(r.NewSetupLink(ctx))
	link = must[string](t)(r.NewSetupLink(ctx))
	if _, err := r.UseSetupLink(ctx, old, "ann", good); !errors.Is(err, ErrLink) {
		t.Error("a link works after a newer one:", err)
	}
	user := must[*spec.User](t)(r.UseSetupLink(ctx, link, "ann", good))
	if user.Role != spec.RoleAdmin {
		t.Error("role", user.Role)
	}
	if _, err := r.UseSetupLink(ctx, link, "eve", good); !errors.Is(err, ErrSetUp) {
		t.Error("second use:", err)
	}
	if _, err := r.NewSetupLink(ctx); !errors.Is(err, ErrSetUp) {
		t.Error("a link though somebody is set up:", err)
	}
	// Even with nobody there, a used link stays used.
	if err := store.Users.Delete(ctx, w, user); err != nil {
		t.Fatal(err)
	}
	if _, err := r.UseSetupLink(ctx, link, "eve", good); !errors.Is(err, ErrLink) {
		t.Error("second use:", err)
	}
	for _, d := range w.Docs {
		if strings.Contains(string(d.Body)+d.Key, link) || strings.Contains(string(d.Body), good) {
			t.Errorf("a secret is stored: %s %s", d.Key, d.Body)
		}
	}
}

func TestSetupLinkHasOneWinner(t *testing.T) {
	r, _, _ := registry(t)
	link := must[string](t)(r.NewSetupLink(t.Context()))
	var won sync.Map
	var group sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			if u, err := r.UseSetupLink(t.Context(), link, fmt.Sprintf("p%d", i), good); err == nil {
				won.Store(u.Name, true)
			}
		})
	}
	group.Wait()
	n := 0
	won.Range(func(any, any) bool { n++; return true })
	if people := must[[]*spec.User](t)(r.People(t.Context())); n != 1 || len(people) != 1 {
		t.Errorf("%d winners, %d people", n, len(people))
	}
}

func TestLoginAndThrottle(t *testing.T) {
	r, c, w := registry(t)
	ctx := t.Context()
	must[*spec.User](t)(r.CreatePerson(ctx, "ann", spec.RoleOperator, good))
	if _, err := r.CreatePerson(ctx, "ann", spec.RoleOperator, good); !errors.Is(err, ErrExists) {
		t.Error(err)
	}
	must[*spec.User](t)(r.Login(ctx, "ann", good))
	for _, name := range []string{"ann", "nobody"} {
		for range freeFailures {
			if _, err := r.Login(ctx, name, "wrong password"); !errors.Is(err, ErrWrongPassword) {
				t.Fatal(name, err)
			}
		}
		var wait *TooManyFailures
		if _, err := r.Login(ctx, name, good); !errors.As(err, &wait) || wait.Seconds() != 1 {
			t.Fatal(name, err)
		}
	}
	if _, err := r.Login(ctx, "ANN", good); err == nil || errors.Is(err, ErrWrongPassword) {
		t.Error("another spelling goes round the throttle:", err)
	}
	for range 20 { // each failure doubles the wait, up to the longest
		c.at = c.at.Add(longestWait)
		if _, err := r.Login(ctx, "ann", "wrong password"); !errors.Is(err, ErrWrongPassword) {
			t.Fatal(err)
		}
	}
	c.at = c.at.Add(longestWait - 1)
	if _, err := r.Login(ctx, "ann", good); err == nil {
		t.Error("no wait")
	}
	c.at = c.at.Add(1)
	must[*spec.User](t)(r.Login(ctx, "ann", good))
	if _, err := r.Login(ctx, "ann", strings.Repeat("x", 1<<20)); !errors.Is(err, ErrWrongPassword) {
		t.Error(err)
	}
	// A hash of less work is renewed.
	more := New(w, Options{Now: c.now, Iterations: 5})
	must[*spec.User](t)(more.Login(ctx, "ann", good))
	if u := must[*spec.User](t)(store.Users.Get(ctx, w, "ann")); !strings.Contains(u.PasswordHash, "$i=5$") {
		t.Error(u.PasswordHash)
	}
	must[*spec.User](t)(more.Login(ctx, "ann", good))
}

func TestThrottleIsBounded(t *testing.T) {
	r, c, _ := registry(t)
	for i := range maxNames * 2 {
		r.throttle.failed(fmt.Sprint("n", i), c.at)
	}
	if n := len(r.throttle.names); n != maxNames {
		t.Errorf("%d names", n)
	}
	if err := r.throttle.check("another", c.at); err == nil {
		t.Error("a flood of names leaves new ones free")
	}
	if err := r.throttle.check("n1", c.at); err != nil {
		t.Error("a flood of names hurts one that failed once:", err)
	}
	c.at = c.at.Add(forgetFailures + longestWait)
	r.throttle.failed("x", c.at)
	if n := len(r.throttle.names); n != 1 {
		t.Errorf("%d names after a while", n)
	}
}

func TestSessions(t *testing.T) {
	r, c, w := registry(t)
	ctx := t.Context()
	ann := must[*spec.User](t)(r.CreatePerson(ctx, "ann", spec.RoleOperator, good))
	cookie, who, err := r.StartSession(ctx, ann)
	if err != nil || who.CSRF == "" || who.Role != spec.RoleOperator {
		t.Fatal(who, err)
	}
	for _, d := range w.Docs {
		if strings.Contains(d.Key+string(d.Body), cookie) {
			t.Error("the cookie is stored")
		}
	}
	if got := must[Identity](t)(r.Session(ctx, cookie)); got != who {
		t.Error(got)
	}
	for _, bad := range []string{"", cookie + "x", digest(cookie)} {
		if _, err := r.Session(ctx, bad); !errors.Is(err, ErrNoAccess) {
			t.Error(bad, err)
		}
	}
	for range 20 { // use keeps it alive
		c.at = c.at.Add(SessionIdle - sessionStep)
		_, err = r.Session(ctx, cookie)
	}
	if !errors.Is(err, ErrNoAccess) {
		t.Error("a session lives for ever:", err)
	}
	cookie, _, _ = r.StartSession(ctx, ann)
	c.at = c.at.Add(SessionIdle - time.Minute)
	must[Identity](t)(r.Session(ctx, cookie))
	c.at = c.at.Add(SessionIdle - time.Minute)
	must[Identity](t)(r.Session(ctx, cookie))
	c.at = c.at.Add(SessionIdle)
	if _, err := r.Session(ctx, cookie); !errors.Is(err, ErrNoAccess) {
		t.Error("idle:", err)
	}
	cookie, _, _ = r.StartSession(ctx, ann)
	if err := r.EndSession(ctx, cookie); err != nil {
		t.Error(err)
	}
	if _, err := r.Session(ctx, cookie); !errors.Is(err, ErrNoAccess) {
		t.Error("after the logout:", err)
	}
	for range 2 * maxSessionsForUser {
		c.at = c.at.Add(time.Second)
		cookie, _, _ = r.StartSession(ctx, ann)
	}
	if all, _ := store.Sessions.List(ctx, w, "", 0, ""); len(all) > maxSessionsForUser {
		t.Errorf("%d sessions", len(all))
	}
	must[Identity](t)(r.Session(ctx, cookie))
}

func TestDeletedPersonHasNoAccess(t *testing.T) {
	r, c, _ := registry(t)
	ctx := t.Context()
	ann := must[*spec.User](t)(r.CreatePerson(ctx, "ann", spec.RoleAdmin, good))
	cookie, who, _ := r.StartSession(ctx, ann)
	_, token, err := r.CreateToken(ctx, who, spec.RoleAdmin, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.DeletePerson(ctx, "ann"); !errors.Is(err, ErrLastAdmin) {
		t.Error(err)
	}
	if err := r.DeletePerson(ctx, "bob"); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
	must[*spec.User](t)(r.CreatePerson(ctx, "bob", spec.RoleAdmin, good))
	if err := r.DeletePerson(ctx, "ann"); err != nil {
		t.Fatal(err)
	}
	c.at = c.at.Add(time.Second)
	must[*spec.User](t)(r.CreatePerson(ctx, "ann", spec.RoleViewer, good)) // another ann
	if _, err := r.Session(ctx, cookie); !errors.Is(err, ErrNoAccess) {
		t.Error("session:", err)
	}
	if _, err := r.Token(ctx, token); !errors.Is(err, ErrNoAccess) {
		t.Error("token:", err)
	}
}

func TestTokens(t *testing.T) {
	r, c, w := registry(t)
	ctx := t.Context()
	ann := must[*spec.User](t)(r.CreatePerson(ctx, "ann", spec.RoleOperator, good))
	by := Identity{Name: ann.Name, Role: ann.Role}
	for _, bad := range []struct {
		role spec.Role
		life time.Duration
	}{{spec.RoleAdmin, 0}, {"root", 0}, {spec.RoleViewer, -time.Second}} {
		if _, _, err := r.CreateToken(ctx, by, bad.role, bad.life); len(spec.Fields(err)) != 1 {
			t.Error(bad, err)
		}
	}
	doc, token, err := r.CreateToken(ctx, by, spec.RoleViewer, time.Minute)
	if err != nil || !strings.HasPrefix(token, "weir_") {
		t.Fatal(token, err)
	}
	if got := must[Identity](t)(r.Token(ctx, token)); got != (Identity{Name: "ann", Role: spec.RoleViewer}) {
		t.Error(got)
	}
	_, random, _ := strings.Cut(token, ".")
	for _, d := range w.Docs {
		if strings.Contains(string(d.Body), random) {
			t.Error("the secret is stored")
		}
	}
	for _, bad := range []string{"", "weir_", "weir_.", token + "x", strings.TrimPrefix(token, "weir_"), "weir_" + doc.ID + "." + doc.SecretHash, token[:len(token)-1], strings.Repeat("weir_.", 99)} {
		if _, err := r.Token(ctx, bad); !errors.Is(err, ErrNoAccess) {
			t.Error(bad, err)
		}
	}
	c.at = c.at.Add(time.Minute)
	if _, err := r.Token(ctx, token); !errors.Is(err, ErrNoAccess) {
		t.Error("expired:", err)
	}
	own := must[string](t)(r.NewCommandLineToken(ctx))
	if got := must[Identity](t)(r.Token(ctx, own)); got != (Identity{Name: CommandLine, Role: spec.RoleAdmin}) {
		t.Error(got)
	}
	if err := r.DeleteToken(ctx, doc.ID); err != nil {
		t.Error(err)
	}
	if err := r.DeleteToken(ctx, doc.ID); !errors.Is(err, ErrNotFound) {
		t.Error(err)
	}
}
