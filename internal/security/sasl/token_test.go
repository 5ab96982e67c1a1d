package sasl

import (
	"context"
	"encoding/base64"
	"sync"
	"testing"
	"time"

	client "github.com/twmb/franz-go/pkg/sasl/scram"
)

// tokenLogin runs a client that says it has a token.
func tokenLogin(t testing.TB, s *Scram, id, password string) (Identity, bool) {
	t.Helper()
	auth := client.Auth{User: id, Pass: password, IsToken: true}
	mechanism := auth.AsSha256Mechanism()
	if s.name == ScramSHA512 {
		mechanism = auth.AsSha512Mechanism()
	}
	session, message, err := mechanism.Authenticate(context.Background(), "host")
	if err != nil {
		t.Fatal(err)
	}
	c := s.Begin()
	for {
		challenge, err := c.Step(ctx, message)
		if err != nil {
			return Identity{}, false
		}
		var done bool
		if done, message, err = session.Challenge(challenge); err != nil {
			t.Errorf("the client does not trust the server: %v", err)
			return Identity{}, false
		}
		if done {
			id, ok := c.Identity()
			return id, ok
		}
	}
}

func TestScramWithTokens(t *testing.T) {
	secret := TokenHMAC("key", "token-1")
	password := base64.StdEncoding.EncodeToString(secret)
	ends := time.Now().Add(time.Hour)
	for _, mechanism := range []string{ScramSHA256, ScramSHA512} {
		s := scramUsers(t, mechanism, MinIterations)
		if _, ok := tokenLogin(t, s, "token-1", password); ok {
			t.Errorf("%s: a token is taken where there are none", mechanism)
		}
		s.AcceptTokens(func(id string) (Token, bool) {
			return Token{Owner: "carol", HMAC: secret, Expires: ends}, id == "token-1"
		})
		want := Identity{Name: "carol", Expires: ends, ByToken: true}
		for range 2 { // the second from what was kept
			if id, ok := tokenLogin(t, s, "token-1", password); !ok || id != want {
				t.Errorf("%s: %+v %v", mechanism, id, ok)
			}
		}
		for _, c := range [][2]string{{"token-1", "guess"}, {"token-2", password}, {"alice", "wonder"}, {"alice", password}} {
			if _, ok := tokenLogin(t, s, c[0], c[1]); ok {
				t.Errorf("%s: %s is let in with %q as a token", mechanism, c[0], c[1])
			}
		}
		// Without the extension the same name is a user's.
		if _, ok, _ := login(t, s, "token-1", password, "", nil); ok {
			t.Errorf("%s: a token is taken from somebody who does not say that it is one", mechanism)
		}
		if id, ok, _ := login(t, s, "alice", "wonder", "", nil); !ok || id != (Identity{Name: "alice"}) {
			t.Errorf("%s: a user: %+v %v", mechanism, id, ok)
		}
	}
}

func TestAsksForToken(t *testing.T) {
	for message, want := range map[string]bool{
		"n,,n=a,r=x":                             false,
		"n,,n=a,r=x,tokenauth=true":              true,
		"n,,n=a,r=x,other=1,tokenauth=TRUE":      true,
		"n,,n=a,r=x,tokenauth=false":             false,
		"n,,n=tokenauth=true,r=x":                false,
		"n,,n=a,r=tokenauth=true":                false,
		"n,,n=a,r=x,tokenauth":                   false,
		"n,,n=a,r=x,tokenauth=no,tokenauth=true": false,
		"":                                       false,
	} {
		if asksForToken(message) != want {
			t.Errorf("%q: not %v", message, want)
		}
	}
}

// TestTokenCredentialsAreBounded: many tokens do not fill the memory, and those who come at once see one salt.
func TestTokenCredentialsAreBounded(t *testing.T) {
	var kept tokenCredentials
	kept.byID = map[string]Credential{}
	for i := range maxTokenCredentials + 50 {
		kept.byID[string(rune(i))+"x"] = Credential{}
	}
	token := Token{HMAC: []byte("secret")}
	var made [4]Credential
	var all sync.WaitGroup
	for i := range made {
		all.Go(func() { made[i], _ = kept.of(ScramSHA256, "token", &token) })
	}
	all.Wait()
	for _, c := range made {
		if string(c.Salt) != string(made[0].Salt) || len(c.Salt) == 0 {
			t.Error("two salts for one token")
		}
	}
	if n := len(kept.byID); n > maxTokenCredentials {
		t.Errorf("%d are kept", n)
	}
}

// FuzzScramToken: nobody gets in as a token without its secret.
func FuzzScramToken(f *testing.F) {
	s, err := NewScram(ScramSHA256, func(string) (Credential, bool) { return Credential{}, false })
	if err != nil {
		f.Fatal(err)
	}
	secret := TokenHMAC("key", "id")
	s.AcceptTokens(func(id string) (Token, bool) { return Token{Owner: "carol", HMAC: secret}, id == "id" })
	f.Add([]byte("n,,n=id,r=abc,tokenauth=true"), []byte("c=biws,r=abc,p=AAAA"))
	f.Add([]byte("n,,n=id,r=abc,tokenauth=true,tokenauth=false"), []byte("c=biws"))
	f.Fuzz(func(t *testing.T, first, final []byte) {
		c := s.Begin()
		if _, err := c.Step(ctx, first); err != nil {
			return
		}
		if _, err := c.Step(ctx, final); err == nil {
			t.Errorf("%q %q is let in", first, final)
		}
		if _, ok := c.Identity(); ok {
			t.Errorf("%q %q has an identity", first, final)
		}
	})
}
