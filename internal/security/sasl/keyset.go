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
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

const (
	// maxKeySet bounds the answer of a JWKS endpoint.
	maxKeySet = 1 << 20
	// unknownKeyPause is how long the endpoint is not asked again for keys that it did not have: anybody can send a
	// token with any key id.
	unknownKeyPause = 60 * time.Second
)

// KeySetConfig says where the public keys come from.
type KeySetConfig struct {
	URL     string // https:// or file://
	Refresh time.Duration
	// Backoff and MaxBackoff are the waits after failed attempts.
	Backoff, MaxBackoff time.Duration
	Client              *http.Client
	Now                 func() time.Time
}

// KeySet has the public keys of an issuer of tokens and fetches them again when they are old or one is missing. One
// fetch runs at a time, for all who wait. Safe for concurrent use.
type KeySet struct {
	cfg KeySetConfig

	mu      sync.Mutex
	keys    jose.JSONWebKeySet
	fetched time.Time // of the last success
	next    time.Time // no attempt before
	wait    time.Duration
	running chan struct{} // closed when the fetch under way is over
}

// NewKeySet checks the address. Keys in a file are read at once; those of an endpoint when they are first needed or
// Prefetch is called, so that a broker starts while its identity provider is away.
func NewKeySet(cfg KeySetConfig) (*KeySet, error) {
	const key = "sasl.oauthbearer.jwks.endpoint.url"
	u, err := url.Parse(cfg.URL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s is not a URL", key)
	case u.Scheme == "file":
		s := &KeySet{cfg: cfg}
		data, err := readFile(u.Path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		s.keys, err = parseKeys(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %s: %w", key, u.Path, err)
		}
		return s, nil
	case u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("%s has to begin with https:// or file:// (keys that come over an open connection could be anybody's)", key)
	}
	return &KeySet{cfg: cfg}, nil
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeySet {
		return nil, fmt.Errorf("%s is not a file with keys", path)
	}
	return os.ReadFile(path)
}

func (s *KeySet) remote() bool { return s.cfg.Client != nil && s.cfg.URL[0] == 'h' }

// parseKeys takes public keys; secret and private ones have no place in a key set.
func parseKeys(data []byte) (jose.JSONWebKeySet, error) {
	var all, public jose.JSONWebKeySet
	if err := json.Unmarshal(data, &all); err != nil {
		return public, errors.New("it is not a JSON Web Key Set")
	}
	for _, k := range all.Keys {
		if k.Valid() && k.IsPublic() && (k.Use == "" || k.Use == "sig") {
			public.Keys = append(public.Keys, k)
		}
	}
	if len(public.Keys) == 0 {
		return public, errors.New("it has no public key for signatures")
	}
	return public, nil
}

// find returns the key that a token's header names; a token without a key id needs a set with one key.
func (s *KeySet) find(ctx context.Context, h jose.Header) (any, error) {
	s.mu.Lock()
	key, ok := s.pick(h)
	old := s.remote() && s.cfg.Now().Sub(s.fetched) >= s.cfg.Refresh
	s.mu.Unlock()
	if ok && !old || !s.remote() {
		if !ok {
			return nil, errors.New("its key is not known")
		}
		return key, nil
	}
	err := s.fetch(ctx, !ok)
	s.mu.Lock()
	defer s.mu.Unlock()
	if key, ok = s.pick(h); ok {
		return key, nil // an old set is better than none while the endpoint is away
	}
	if err != nil {
		return nil, fmt.Errorf("its key is not known, and the keys cannot be fetched: %w", err)
	}
	return nil, errors.New("its key is not known")
}

func (s *KeySet) pick(h jose.Header) (any, bool) {
	if h.KeyID == "" {
		if len(s.keys.Keys) == 1 {
			return s.keys.Keys[0].Key, true
		}
		return nil, false
	}
	for _, k := range s.keys.Keys {
		if k.KeyID == h.KeyID && (k.Algorithm == "" || k.Algorithm == h.Algorithm) {
			return k.Key, true
		}
	}
	return nil, false
}

// Prefetch gets the keys, so that the first client does not wait for them.
func (s *KeySet) Prefetch(ctx context.Context) error {
	if !s.remote() {
		return nil
	}
	return s.fetch(ctx, false)
}

// fetch gets the keys unless that was tried a moment ago.
func (s *KeySet) fetch(ctx context.Context, missing bool) error {
	s.mu.Lock()
	if running := s.running; running != nil {
		s.mu.Unlock()
		select {
		case <-running:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	now := s.cfg.Now()
	if now.Before(s.next) || missing && now.Sub(s.fetched) < unknownKeyPause && !s.fetched.IsZero() {
		s.mu.Unlock()
		return nil
	}
	s.running = make(chan struct{})
	s.mu.Unlock()
	keys, err := s.get(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if now = s.cfg.Now(); err != nil {
		s.wait = min(max(2*s.wait, s.cfg.Backoff), s.cfg.MaxBackoff)
		s.next = now.Add(s.wait)
	} else {
		s.keys, s.fetched, s.wait, s.next = keys, now, 0, time.Time{}
	}
	close(s.running)
	s.running = nil
	return err
}

func (s *KeySet) get(ctx context.Context) (jose.JSONWebKeySet, error) {
	var none jose.JSONWebKeySet
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.cfg.URL, nil)
	if err != nil {
		return none, err
	}
	resp, err := s.cfg.Client.Do(req)
	if err != nil {
		return none, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return none, fmt.Errorf("%s answered %s", s.cfg.URL, resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxKeySet+1))
	if err != nil {
		return none, err
	}
	if len(data) > maxKeySet {
		return none, fmt.Errorf("%s sent more than %d bytes", s.cfg.URL, maxKeySet)
	}
	return parseKeys(data)
}
