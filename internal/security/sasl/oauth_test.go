package sasl

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

type issuer struct {
	key    *ecdsa.PrivateKey
	signer jose.Signer
}

func newIssuer(t testing.TB, kid string) *issuer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: kid}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &issuer{key, signer}
}

func (i *issuer) token(t testing.TB, claims map[string]any) string {
	t.Helper()
	s, err := jwt.Signed(i.signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func keySet(t testing.TB, keys ...jose.JSONWebKey) []byte {
	t.Helper()
	data, err := json.Marshal(jose.JSONWebKeySet{Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func fileKeys(t testing.TB, data []byte) *KeySet {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	ks, err := NewKeySet(KeySetConfig{URL: "file://" + path, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	return ks
}

var base = time.Unix(1_700_000_000, 0)

func validator(t testing.TB, keys *KeySet) *Validator {
	t.Helper()
	return &Validator{Keys: keys, Issuer: "https://idp", Audience: []string{"kafka"}, Skew: 30 * time.Second, ScopeClaim: "scope", SubjectClaim: "sub",
		Now: func() time.Time { return base }}
}

func goodClaims() map[string]any {
	return map[string]any{"sub": "alice", "iss": "https://idp", "aud": "kafka", "iat": base.Unix(), "exp": base.Unix() + 600, "scope": "a b"}
}

func TestOAuthBearer(t *testing.T) {
	idp, stranger := newIssuer(t, "k1"), newIssuer(t, "k1")
	v := validator(t, fileKeys(t, keySet(t, jose.JSONWebKey{Key: &idp.key.PublicKey, KeyID: "k1", Algorithm: "ES256", Use: "sig"})))
	with := func(claim string, value any) string {
		c := goodClaims()
		if value == nil {
			delete(c, claim)
		} else {
			c[claim] = value
		}
		return idp.token(t, c)
	}
	part := func(v any) string {
		data, _ := json.Marshal(v)
		return base64.RawURLEncoding.EncodeToString(data)
	}
	hmacKey, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: elliptic.Marshal(elliptic.P256(), idp.key.X, idp.key.Y), KeyID: "k1"}}, nil) //nolint:staticcheck // the bytes that an attacker would take
	if err != nil {
		t.Fatal(err)
	}
	shared, _ := jwt.Signed(hmacKey).Claims(goodClaims()).Serialize()
	good := idp.token(t, goodClaims())
	for _, c := range []struct{ name, token, want string }{
		{"a good token", good, ""},
		{"one that has just expired", with("exp", base.Unix()-29), ""},
		{"a list of audiences", with("aud", []string{"x", "kafka"}), ""},
		{"no scope", with("scope", nil), ""},
		{"no signature (alg=none)", part(map[string]string{"alg": "none"}) + "." + part(goodClaims()) + ".", "not a signed token"},
		{"a public key as a shared one", shared, "not a signed token"},
		{"the key of somebody else", stranger.token(t, goodClaims()), "signature is not valid"},
		{"an unknown key", newIssuer(t, "k2").token(t, goodClaims()), "key is not known"},
		{"an expired one", with("exp", base.Unix()-31), "expired"},
		{"one of the future", with("nbf", base.Unix()+60), "not valid yet"},
		{"one issued in the future", with("iat", base.Unix()+60), "not valid yet"},
		{"no exp", with("exp", nil), "exp"},
		{"no iat", with("iat", nil), "iat"},
		{"no sub", with("sub", nil), "no user"},
		{"an empty sub", with("sub", " "), "no user"},
		{"a number as sub", with("sub", 7), "claims are not valid"},
		{"another issuer", with("iss", "https://evil"), "issuer"},
		{"another audience", with("aud", "connect"), "audience"},
		{"no audience", with("aud", nil), "audience"},
		{"a scope that is none", with("scope", 7), "scope"},
		{"not a token", "abc", "not a signed token"},
		{"a changed one", good[:len(good)-6] + "AAAAAA", "signature is not valid"},
	} {
		conversation := v.Begin()
		out, err := step(t, conversation, "n,,\x01auth=Bearer "+c.token+"\x01\x01")
		id, ok := conversation.Identity()
		if c.want == "" {
			if err != nil || len(out) > 0 || !ok || id.Name != "alice" || id.Expires.IsZero() {
				t.Errorf("%s: %q %v %v", c.name, out, id, err)
			}
			continue
		}
		if err != nil || out != `{"status":"invalid_token"}` || ok {
			t.Errorf("%s: %q, let in: %v, %v", c.name, out, ok, err)
			continue
		}
		_, err = step(t, conversation, "\x01")
		if _, ok := conversation.Identity(); ok || err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), c.token) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
	v.Audience = nil
	if _, err := v.Validate(ctx, good); err == nil {
		t.Error("a token for somebody is taken by a broker that has no name")
	}
	if _, err := v.Validate(ctx, with("aud", nil)); err != nil {
		t.Error(err)
	}
}

func TestBearerMessage(t *testing.T) {
	for message, want := range map[string]string{
		"n,,\x01auth=Bearer abc\x01\x01":               "/abc",
		"n,a=al=2Cice,\x01auth=bearer abc\x01\x01":     "al,ice/abc",
		"n,,\x01x=y\x01auth=Bearer abc\x01z=1\x01\x01": "/abc",
	} {
		a, token, err := parseBearer([]byte(message))
		if err != nil || a+"/"+token != want {
			t.Errorf("%q: %s/%s %v", message, a, token, err)
		}
	}
	for _, message := range []string{"", "n,,", "n,,\x01\x01", "y,,\x01auth=Bearer abc\x01\x01", "n,,\x01auth=Basic abc\x01\x01", "n,,\x01auth=Bearer \x01\x01",
		"n,x,\x01auth=Bearer abc\x01\x01", "n,,\x01auth=Bearer a\x01auth=Bearer b\x01\x01", "n,,\x01auth\x01\x01", "n,,\x01auth=Bearer abc"} {
		if _, _, err := parseBearer([]byte(message)); err == nil {
			t.Errorf("%q is accepted", message)
		}
	}
	idp := newIssuer(t, "k1")
	c := validator(t, fileKeys(t, keySet(t, jose.JSONWebKey{Key: &idp.key.PublicKey, KeyID: "k1"}))).Begin()
	if _, err := step(t, c, "n,a=bob,\x01auth=Bearer "+idp.token(t, goodClaims())+"\x01\x01"); err == nil {
		t.Error("alice is let in as bob")
	}
}

func TestKeySetOfEndpoint(t *testing.T) {
	first, second := newIssuer(t, "k1"), newIssuer(t, "k2")
	var asked atomic.Int32
	var body atomic.Pointer[[]byte]
	set := func(keys ...jose.JSONWebKey) { data := keySet(t, keys...); body.Store(&data) }
	set(jose.JSONWebKey{Key: &first.key.PublicKey, KeyID: "k1"})
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		if b := body.Load(); b != nil {
			_, _ = w.Write(*b)
		} else {
			w.WriteHeader(http.StatusInternalServerError)
		}
	}))
	defer srv.Close()
	now := base
	ks, err := NewKeySet(KeySetConfig{URL: srv.URL, Refresh: time.Hour, Backoff: time.Second, MaxBackoff: 10 * time.Second, Client: srv.Client(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	v := validator(t, ks)
	ok := func(i *issuer) bool { _, err := v.Validate(ctx, i.token(t, goodClaims())); return err == nil }
	if once, again := ok(first), ok(first); !once || !again || asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
	for range 5 { // keys that nobody knows do not make the endpoint be asked again and again
		if ok(second) {
			t.Error("an unknown key is accepted")
		}
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
	set(jose.JSONWebKey{Key: &second.key.PublicKey, KeyID: "k2"})
	now = now.Add(2 * time.Minute)
	if !ok(second) || asked.Load() != 2 {
		t.Errorf("the new key is not fetched; asked %d times", asked.Load())
	}
	body.Store(nil)
	now = now.Add(2 * time.Hour)
	if !ok(second) || asked.Load() != 3 {
		t.Errorf("the old keys are forgotten while the endpoint is away; asked %d times", asked.Load())
	}
	if ok(second); asked.Load() != 3 {
		t.Errorf("no pause after a failure: asked %d times", asked.Load())
	}
	now = now.Add(2 * time.Second)
	if ok(second); asked.Load() != 4 {
		t.Errorf("the endpoint is not asked again: asked %d times", asked.Load())
	}
}

func TestKeySetIsRefused(t *testing.T) {
	for _, u := range []string{"", "http://idp/keys", "ftp://x", "https://", "file:///does/not/exist", "/tmp", ":"} {
		if _, err := NewKeySet(KeySetConfig{URL: u, Now: time.Now}); err == nil {
			t.Errorf("%q is accepted", u)
		}
	}
	idp := newIssuer(t, "k1")
	for _, data := range []string{"", "{}", `{"keys":[]}`, `{"keys":[{"kty":"oct","k":"c2VjcmV0","kid":"k1"}]}`, string(keySet(t, jose.JSONWebKey{Key: idp.key, KeyID: "k1"}))} {
		if _, err := parseKeys([]byte(data)); err == nil {
			t.Errorf("%.40s is accepted", data)
		}
	}
}

func FuzzBearer(f *testing.F) {
	idp := newIssuer(f, "k1")
	v := validator(f, fileKeys(f, keySet(f, jose.JSONWebKey{Key: &idp.key.PublicKey, KeyID: "k1"})))
	f.Add([]byte("n,,\x01auth=Bearer " + newIssuer(f, "k1").token(f, goodClaims()) + "\x01\x01"))
	f.Add([]byte("n,a=x,\x01auth=Bearer eyJhbGciOiJub25lIn0.e30.\x01\x01"))
	f.Fuzz(func(t *testing.T, message []byte) {
		c := v.Begin()
		_, _ = c.Step(ctx, message)
		_, _ = c.Step(ctx, []byte{1})
		if _, ok := c.Identity(); ok {
			t.Errorf("%q is let in", message)
		}
	})
}

// FuzzKeys reads key sets, as an endpoint that was taken over would serve them.
func FuzzKeys(f *testing.F) {
	idp := newIssuer(f, "k1")
	f.Add(keySet(f, jose.JSONWebKey{Key: &idp.key.PublicKey, KeyID: "k1"}))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB","kid":"a"},{"kty":"oct","k":"AA"}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := parseKeys(data)
		if err == nil && len(keys.Keys) == 0 {
			t.Error("an empty set is taken")
		}
	})
}
