package sasl

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"time"
)

// maxToken bounds the answer of a token endpoint, and a file with a token.
const maxToken = 256 << 10

// TokenSourceConfig says where the token comes from that a node signs in with.
type TokenSourceConfig struct {
	URL string // https:// of a token endpoint, or file:// of a file that has the token
	// ClientID and ClientSecret are who this node is to the endpoint; Scope is what it asks for, if not empty.
	ClientID, ClientSecret, Scope string
	Client                        *http.Client
	Now                           func() time.Time
}

// TokenSource gets tokens: from a file, which is read for each login, since it is replaced before its token ends; or from an
// endpoint by the grant of client credentials (RFC 6749, 4.4), whose tokens are kept for four fifths of their life. No error has a
// token or a secret in it. Safe for concurrent use.
type TokenSource struct {
	cfg  TokenSourceConfig
	file string // empty: an endpoint

	mu    sync.Mutex
	token string
	until time.Time
}

// NewTokenSource checks the address. Nothing is asked for yet: a node starts while its identity provider is away.
func NewTokenSource(cfg TokenSourceConfig) (*TokenSource, error) {
	const key = "sasl.oauthbearer.token.endpoint.url"
	u, err := url.Parse(cfg.URL)
	switch {
	case cfg.URL == "":
		return nil, fmt.Errorf("%s is not set, and without it this node has no token to sign in with", key)
	case err != nil:
		return nil, fmt.Errorf("%s is not a URL", key)
	case u.Scheme == "file":
		return &TokenSource{cfg: cfg, file: u.Path}, nil
	case u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("%s has to begin with https:// or file:// (a secret that goes over an open connection could be read by anybody)", key)
	case cfg.ClientID == "" || cfg.ClientSecret == "":
		return nil, errors.New("a token endpoint needs sasl.oauthbearer.client.credentials.client.id and sasl.oauthbearer.client.credentials.client.secret, or clientId and clientSecret in sasl.jaas.config")
	}
	return &TokenSource{cfg: cfg}, nil
}

// Token is the token to sign in with now.
func (s *TokenSource) Token(ctx context.Context) (string, error) {
	if s.file != "" {
		return s.read()
	}
	s.mu.Lock()
	token, until := s.token, s.until
	s.mu.Unlock()
	if token != "" && s.cfg.Now().Before(until) {
		return token, nil
	}
	token, life, err := s.ask(ctx)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.token, s.until = token, s.cfg.Now().Add(life*4/5)
	return token, nil
}

func (s *TokenSource) read() (string, error) {
	info, err := os.Stat(s.file)
	if err != nil {
		return "", fmt.Errorf("the file with the token: %w", err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxToken {
		return "", fmt.Errorf("%s is not a file with a token", s.file)
	}
	data, err := os.ReadFile(s.file)
	if err != nil {
		return "", fmt.Errorf("the file with the token: %w", err)
	}
	return usable(strings.TrimSpace(string(data)))
}

// usable refuses what cannot be sent: RFC 6750 has no blanks and no control characters in a token.
func usable(token string) (string, error) {
	if token == "" || strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "", errors.New("what should be a token is none")
	}
	return token, nil
}

// ask gets a token from the endpoint, and for how long it is good; 0 if that is not said.
func (s *TokenSource) ask(ctx context.Context) (string, time.Duration, error) {
	form := url.Values{"grant_type": {"client_credentials"}}
	if s.cfg.Scope != "" {
		form.Set("scope", s.cfg.Scope)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.cfg.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", 0, err
	}
	req.SetBasicAuth(s.cfg.ClientID, s.cfg.ClientSecret)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := s.cfg.Client.Do(req)
	if err != nil {
		return "", 0, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", 0, fmt.Errorf("%s answered %s", s.cfg.URL, resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxToken+1))
	if err != nil {
		return "", 0, err
	}
	var answer struct {
		Token string  `json:"access_token"`
		Life  float64 `json:"expires_in"`
	}
	if len(data) > maxToken || json.Unmarshal(data, &answer) != nil {
		return "", 0, fmt.Errorf("%s did not answer with a token", s.cfg.URL)
	}
	token, err := usable(answer.Token)
	if err != nil {
		return "", 0, fmt.Errorf("%s: %w", s.cfg.URL, err)
	}
	return token, time.Duration(min(max(answer.Life, 0), 365*24*3600) * float64(time.Second)), nil
}
