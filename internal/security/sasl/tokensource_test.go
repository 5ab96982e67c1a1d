package sasl

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A file with a token is read for each login, since it is replaced before its token ends.
func TestTokenFromAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	s, err := NewTokenSource(TokenSourceConfig{URL: "file://" + path, Now: time.Now})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Token(t.Context()); err == nil {
		t.Error("a token without a file")
	}
	for text, want := range map[string]string{"a.b.c\n": "a.b.c", "x.y.z": "x.y.z", "": "", "two words": "", "a\x01auth=Bearer b": "", strings.Repeat("x", maxToken+1): ""} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := s.Token(t.Context())
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%.20q: %q %v", text, got, err)
		}
		if err != nil && text != "" && len(text) < 100 && strings.Contains(err.Error(), text) {
			t.Errorf("%q is in its error", text)
		}
	}
}

// An endpoint gets the secret in the way of RFC 6749, and is asked again before its token ends.
func TestTokenFromAnEndpoint(t *testing.T) {
	asked, answer := 0, any(nil)
	status := http.StatusOK
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		id, secret, _ := r.BasicAuth()
		body, _ := io.ReadAll(r.Body)
		if id != "broker" || secret != "s3cret" || r.Method != http.MethodPost || string(body) != "grant_type=client_credentials&scope=kafka+all" {
			t.Errorf("asked by %s as %s:%s for %s", r.Method, id, secret, body)
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer)
	}))
	defer srv.Close()
	now := base
	s, err := NewTokenSource(TokenSourceConfig{URL: srv.URL, ClientID: "broker", ClientSecret: "s3cret", Scope: "kafka all", Client: srv.Client(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		after  time.Duration
		answer any
		status int
		want   string
		asked  int
	}{
		{0, map[string]any{"access_token": "one", "expires_in": 100}, 200, "one", 1},
		{79 * time.Second, nil, 200, "one", 1},
		{2 * time.Second, map[string]any{"access_token": "two", "expires_in": 100}, 200, "two", 2},
		{90 * time.Second, map[string]any{"error": "invalid_client"}, 401, "", 3},
		{0, map[string]any{"access_token": "a\x01b"}, 200, "", 4},
		{0, map[string]any{"access_token": strings.Repeat("x", maxToken)}, 200, "", 5},
		{0, "text", 200, "", 6},
		{0, map[string]any{"access_token": "three"}, 200, "three", 7},
		{0, map[string]any{"access_token": "four"}, 200, "four", 8}, // of whose end nothing is known
	} {
		now, answer, status = now.Add(c.after), c.answer, c.status
		got, err := s.Token(t.Context())
		if got != c.want || (err == nil) != (c.want != "") || asked != c.asked {
			t.Errorf("%v: %.20q %v, asked %d times", c.answer, got, err, asked)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the secret is in %v", err)
		}
	}
}

func TestTokenSourceIsRefused(t *testing.T) {
	for url, want := range map[string]string{"": "is not set", "http://idp/token": "https", "https://": "https", "ftp://x/y": "https", "https://idp/token": "client.id", ":": "not a URL"} {
		if _, err := NewTokenSource(TokenSourceConfig{URL: url}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// A refused token ends a login: the client says one byte to the reason (RFC 7628) and nothing to what comes after.
func TestBearerClient(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("a.b.c"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := NewTokenSource(TokenSourceConfig{URL: "file://" + path})
	if err != nil {
		t.Fatal(err)
	}
	talk, err := NewBearer(s).Begin()
	if err != nil {
		t.Fatal(err)
	}
	first, err := talk.First(t.Context())
	if _, token, perr := parseBearer(first); err != nil || perr != nil || token != "a.b.c" {
		t.Errorf("%q %v %v", first, err, perr)
	}
	if m, done, err := talk.Next(invalidToken); string(m) != "\x01" || done || err != nil {
		t.Errorf("%q %v %v", m, done, err)
	}
	if _, done, err := talk.Next(invalidToken); done || err == nil {
		t.Error("a login goes on for ever")
	}
	if talk, err = NewBearer(s).Begin(); err != nil {
		t.Fatal(err)
	}
	if _, done, err := talk.Next(nil); !done || err != nil {
		t.Errorf("%v %v", done, err)
	}
}
