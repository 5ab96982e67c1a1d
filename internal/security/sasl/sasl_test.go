package sasl

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/xdg-go/scram"
)

var ctx = context.Background()

func step(t *testing.T, c Conversation, message string) (string, error) {
	t.Helper()
	out, err := c.Step(ctx, []byte(message))
	return string(out), err
}

func TestPlain(t *testing.T) {
	users := NewPlainUsers(map[string]string{"alice": "wonder", "bob": "builder", "empty": ""})
	for _, c := range []struct{ message, want string }{
		{"\x00alice\x00wonder", ""},
		{"alice\x00alice\x00wonder", ""},
		{"\x00alice\x00wrong", "Authentication failed: Invalid username or password"},
		{"\x00nobody\x00wonder", "Authentication failed: Invalid username or password"},
		{"\x00alice\x00builder", "Authentication failed: Invalid username or password"},
		{"bob\x00alice\x00wonder", "Authentication failed: Client requested an authorization id that is different from username"},
		{"bob\x00alice\x00wrong", "Authentication failed: Invalid username or password"},
		{"\x00\x00wonder", "Authentication failed: username not specified"},
		{"\x00empty\x00", "Authentication failed: password not specified"},
		{"alice\x00wonder", "Invalid SASL/PLAIN response: expected 3 tokens"},
		{"\x00alice\x00won\x00der", "Invalid SASL/PLAIN response: expected 3 tokens"},
		{"\x00alice\x00\xff\xfe", "Invalid SASL/PLAIN response: expected 3 tokens"},
		{"", "Invalid SASL/PLAIN response: expected 3 tokens"},
	} {
		conversation := users.Begin()
		_, err := step(t, conversation, c.message)
		id, ok := conversation.Identity()
		if c.want == "" {
			if err != nil || !ok || id.Name != "alice" || !id.Expires.IsZero() {
				t.Errorf("%q: %v %v %v", c.message, id, ok, err)
			}
		} else if err == nil || err.(*Failure).Text != c.want || ok {
			t.Errorf("%q: %v, want %s", c.message, err, c.want)
		}
		if _, err := step(t, conversation, "\x00alice\x00wonder"); err == nil {
			t.Errorf("%q: a second message is taken", c.message)
		}
	}
}

func scramUsers(t *testing.T, mechanism string, iterations int) *Scram {
	t.Helper()
	c, err := NewCredential(mechanism, "alice", "wonder", nil, iterations)
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewScram(mechanism, func(user string) (Credential, bool) { return c, user == "alice" })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// login runs a conversation of the library's client against the mechanism.
func login(t *testing.T, s *Scram, user, password, authzID string, change func(string) string) (Identity, bool, error) {
	t.Helper()
	k, err := scramKindOf(s.name)
	if err != nil {
		t.Fatal(err)
	}
	client, err := k.steps.NewClientUnprepped(user, password, authzID)
	if err != nil {
		t.Fatal(err)
	}
	cc, server := client.NewConversation(), s.Begin()
	first, err := cc.Step("")
	if err != nil {
		t.Fatal(err)
	}
	challenge, err := step(t, server, first)
	if err != nil {
		return Identity{}, false, err
	}
	final, err := cc.Step(challenge)
	if err != nil {
		t.Fatal(err)
	}
	if change != nil {
		final = change(final)
	}
	verdict, err := step(t, server, final)
	id, ok := server.Identity()
	if err == nil {
		if _, verr := cc.Step(verdict); verr != nil {
			t.Fatalf("the client does not believe the server: %v", verr)
		}
	}
	return id, ok, err
}

func TestScram(t *testing.T) {
	for _, mechanism := range []string{ScramSHA256, ScramSHA512} {
		s := scramUsers(t, mechanism, MinIterations)
		if id, ok, err := login(t, s, "alice", "wonder", "", nil); !ok || err != nil || id.Name != "alice" {
			t.Errorf("%s: %v %v %v", mechanism, id, ok, err)
		}
		if _, ok, err := login(t, s, "alice", "wonder", "alice", nil); !ok || err != nil {
			t.Errorf("%s with an authorization id: %v", mechanism, err)
		}
		for name, f := range map[string]func() (Identity, bool, error){
			"a wrong password":         func() (Identity, bool, error) { return login(t, s, "alice", "blunder", "", nil) },
			"an unknown user":          func() (Identity, bool, error) { return login(t, s, "mallory", "wonder", "", nil) },
			"another authorization id": func() (Identity, bool, error) { return login(t, s, "alice", "wonder", "bob", nil) },
			"a final message cut short": func() (Identity, bool, error) {
				return login(t, s, "alice", "wonder", "", func(f string) string { return f[:len(f)-9] })
			},
			"the nonce of another (RFC)": func() (Identity, bool, error) {
				return login(t, s, "alice", "wonder", "", func(f string) string { return strings.Replace(f, ",r=", ",r=x", 1) })
			},
		} {
			if _, ok, err := f(); ok || err == nil {
				t.Errorf("%s: %s is let in", mechanism, name)
			} else if strings.Contains(err.Error(), "wonder") {
				t.Errorf("%s: %s: the error shows the password: %v", mechanism, name, err)
			}
		}
	}
}

// What a stranger sees of a user that does not exist is what he sees of one that does, and stays the same.
func TestScramDoesNotTellUsers(t *testing.T) {
	s := scramUsers(t, ScramSHA512, 8192)
	challenge := func(user string) (salt, iterations string) {
		out, err := step(t, s.Begin(), "n,,n="+user+",r=abcdefgh")
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(out, ",")
		return parts[1], parts[2]
	}
	salt, iterations := challenge("alice")
	salt1, iterations1 := challenge("nobody")
	salt2, _ := challenge("nobody")
	salt3, _ := challenge("somebody")
	switch {
	case iterations != iterations1 || len(salt) != len(salt1):
		t.Errorf("alice: %s %s, nobody: %s %s", salt, iterations, salt1, iterations1)
	case salt1 != salt2:
		t.Error("the salt of a user that does not exist changes")
	case salt1 == salt3:
		t.Error("all users that do not exist have one salt")
	}
	_, _, known := login(t, s, "alice", "x", "", nil)
	_, _, unknown := login(t, s, "nobody", "x", "", nil)
	if known.Error() != unknown.Error() {
		t.Errorf("%q differs from %q", known, unknown)
	}
	// Nobody gets in with the key that stands in for one.
	if _, ok, _ := login(t, s, "nobody", "", "", nil); ok {
		t.Error("a user that does not exist is let in")
	}
}

func TestSaltedCredential(t *testing.T) {
	c, err := NewCredential(ScramSHA256, "alice", "wonder", []byte("salt"), MinIterations)
	if err != nil {
		t.Fatal(err)
	}
	client, _ := scram.SHA256.NewClientUnprepped("alice", "wonder", "")
	want, _ := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: "salt", Iters: MinIterations})
	if string(c.StoredKey) != string(want.StoredKey) || string(c.ServerKey) != string(want.ServerKey) {
		t.Error("the keys are not those of RFC 5802")
	}
	if _, err := SaltedCredential("SCRAM-SHA-1", nil, nil, 0); err == nil {
		t.Error("SCRAM-SHA-1 is accepted")
	}
}

func TestLifetime(t *testing.T) {
	a := NewAuthenticator()
	a.Add(Plain, 0, nil)
	a.Add(OAuthBearer, time.Minute, nil)
	now := time.Unix(1000, 0)
	for _, c := range []struct {
		mechanism string
		expires   time.Time
		want      time.Duration
		bounded   bool
	}{
		{Plain, time.Time{}, 0, false}, {OAuthBearer, time.Time{}, time.Minute, true}, {OAuthBearer, now.Add(time.Second), time.Second, true},
		{OAuthBearer, now.Add(time.Hour), time.Minute, true}, {Plain, now.Add(time.Hour), time.Hour, true}, {Plain, now.Add(-time.Hour), 0, true},
	} {
		if got, bounded := a.Lifetime(c.mechanism, Identity{Expires: c.expires}, now); got != c.want || bounded != c.bounded {
			t.Errorf("%v: %v %v", c, got, bounded)
		}
	}
	if _, ok := a.Begin(ScramSHA256); ok {
		t.Error("a mechanism that was not added can be begun")
	}
}

func TestJAAS(t *testing.T) {
	j, err := ParseJAAS(` org.apache.kafka.common.security.plain.PlainLoginModule required // comment
		username="admin" password='it''s' user_admin="a\"b\\c;=" /* more */ user_alice=wonder; `)
	if err == nil {
		t.Error("a text in quotes right behind another is taken for one")
	}
	j, err = ParseJAAS(` org.apache.kafka.common.security.plain.PlainLoginModule required // comment
		username="admin" user_admin="a\"b\\c;=" /* more */ user_alice=wonder user_="x"; `)
	if err != nil {
		t.Fatal(err)
	}
	users := j.PlainUsers()
	if len(users) != 2 || users["admin"] != `a"b\c;=` || users["alice"] != "wonder" || j.Options["username"] != "admin" {
		t.Errorf("options %v", j.Options)
	}
	if j.For(Plain) != nil || j.For(ScramSHA256) == nil {
		t.Error("the module of PLAIN is not known")
	}
	const secret = "topsecret"
	for _, c := range []struct{ text, want string }{
		{"com.sun.security.auth.module.JndiLoginModule required user.provider.url=\"topsecret\";", `no login module "com.sun.security.auth.module.JndiLoginModule"`},
		{"com.sun.security.auth.module.LdapLoginModule required userProvider=\"ldap://topsecret/x\";", `no login module "com.sun.security.auth.module.LdapLoginModule"`},
		{"com.sun.security.auth.module.Krb5LoginModule required;", "Krb5LoginModule"},
		{PlainLoginModule + " required password=topsecret", "semicolon"},
		{PlainLoginModule + " topsecret password=x;", "control flag"},
		{PlainLoginModule + " required; " + PlainLoginModule + " required password=topsecret;", "exactly 1"},
		{PlainLoginModule + ` required password="topsecret`, "without end"},
		{PlainLoginModule + ` required password;`, "no value"},
		{PlainLoginModule + ` required password=;`, "no value"},
		{PlainLoginModule, "control flag"}, {"", "login module"}, {"/* topsecret", "without end"}, {strings.Repeat(" ", maxJAAS+1), "too long"},
	} {
		_, err := ParseJAAS(c.text)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%.60q: %v, want %q", c.text, err, c.want)
		}
	}
}

func FuzzJAAS(f *testing.F) {
	f.Add(PlainLoginModule + ` required username="admin" password='x' user_a="b";`)
	f.Add(`/* */ ` + ScramLoginModule + ` optional;`)
	f.Fuzz(func(t *testing.T, text string) {
		if j, err := ParseJAAS(text); err == nil && j.Module == "" {
			t.Error("an entry without module")
		}
	})
}

func FuzzPlain(f *testing.F) {
	f.Add([]byte("\x00alice\x00wonder"))
	f.Add([]byte("a\x00alice\x00\xff"))
	users := NewPlainUsers(map[string]string{"alice": "wonder"})
	f.Fuzz(func(t *testing.T, message []byte) {
		c := users.Begin()
		if _, err := c.Step(ctx, message); err == nil && !strings.HasSuffix(string(message), "\x00alice\x00wonder") {
			t.Errorf("%q is let in", message)
		}
	})
}

func FuzzScram(f *testing.F) {
	f.Add([]byte("n,,n=alice,r=abc"), []byte("c=biws,r=abc,p=AAAA"))
	f.Add([]byte("n,a=bob,n=a=2Cb,r=abc,tokenauth=true"), []byte("c=biws"))
	s, err := NewScram(ScramSHA256, func(string) (Credential, bool) { return Credential{}, false })
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, first, final []byte) {
		c := s.Begin()
		if _, err := c.Step(ctx, first); err != nil {
			return
		}
		if _, err := c.Step(ctx, final); err == nil {
			t.Errorf("%q %q is let in", first, final)
		}
		var f *Failure
		if _, err := c.Step(ctx, final); !errors.As(err, &f) {
			t.Error("a message after the last one is taken")
		}
	})
}
