package people

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
)

// Login checks a password, slowing down after failures, and renews a hash that
// was made with less work than today's.
func (r *Registry) Login(ctx context.Context, name, password string) (*spec.User, error) {
	if err := r.throttle.check(name, r.now()); err != nil {
		return nil, err
	}
	user, err := store.Users.Get(ctx, r.store, name)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	stored := ""
	if user != nil {
		stored = user.PasswordHash
	} else if stored, err = r.decoyHash(ctx); err != nil {
		return nil, err
	}
	ok, iterations, err := false, r.iterations, error(nil)
	if len(password) <= MaxPasswordBytes {
		ok, iterations, err = r.verify(ctx, stored, password)
	}
	if err != nil {
		return nil, fmt.Errorf("person %s: %w", name, err)
	}
	if user == nil || !ok {
		r.throttle.failed(name, r.now())
		return nil, ErrWrongPassword
	}
	r.throttle.succeeded(name)
	if iterations < r.iterations {
		if hash, err := r.hash(ctx, password); err == nil {
			user.PasswordHash = hash
			// Who changed the person meanwhile knows better.
			_ = store.Users.Put(ctx, r.store, user)
		}
	}
	return user, nil
}

func (r *Registry) decoyHash(ctx context.Context) (string, error) {
	var err error
	r.once.Do(func() { r.decoy, err = r.hash(context.WithoutCancel(ctx), secret()) })
	return r.decoy, err
}

// StartSession logs a browser in and returns the cookie's value, of which only
// a hash is stored.
func (r *Registry) StartSession(ctx context.Context, user *spec.User) (cookie string, who Identity, err error) {
	now := r.now()
	if err := r.tidySessions(ctx, user.Name, now); err != nil {
		return "", Identity{}, err
	}
	cookie = secret()
	s := &spec.Session{ID: digest(cookie), User: user.Name, CSRF: secret(), CreatedAt: now, ExpiresAt: now.Add(SessionIdle)}
	if err := store.Sessions.Put(ctx, r.store, s); err != nil {
		return "", Identity{}, err
	}
	return cookie, Identity{Name: user.Name, Role: user.Role, CSRF: s.CSRF}, nil
}

// tidySessions removes sessions that have ended, and the oldest of a user who
// has too many.
func (r *Registry) tidySessions(ctx context.Context, user string, now time.Time) error {
	all, err := store.Sessions.List(ctx, r.store, "", 0, "")
	if err != nil {
		return err
	}
	own := 0
	var oldest *spec.Session
	for _, s := range all {
		if s.User == user && !s.Expired(now) {
			own++
			if oldest == nil || s.CreatedAt.Before(oldest.CreatedAt) {
				oldest = s
			}
		}
	}
	return r.dropSessions(ctx, func(s *spec.Session) bool {
		return s.Expired(now) || own >= maxSessionsForUser && s.ID == oldest.ID
	})
}

func (r *Registry) dropSessions(ctx context.Context, which func(*spec.Session) bool) error {
	all, err := store.Sessions.List(ctx, r.store, "", 0, "")
	if err != nil {
		return err
	}
	for _, s := range all {
		if !which(s) {
			continue
		}
		if err := store.Sessions.Delete(ctx, r.store, s); err != nil && !errors.Is(err, store.ErrNotFound) && !errors.Is(err, store.ErrConflict) {
			return err
		}
	}
	return nil
}

// Session finds who a cookie belongs to, and moves the session's end.
func (r *Registry) Session(ctx context.Context, cookie string) (Identity, error) {
	s, err := store.Sessions.Get(ctx, r.store, digest(cookie))
	if errors.Is(err, store.ErrNotFound) {
		return Identity{}, ErrNoAccess
	}
	if err != nil {
		return Identity{}, err
	}
	now := r.now()
	if s.Expired(now) {
		return Identity{}, ErrNoAccess
	}
	user, err := r.owner(ctx, s.User, s.CreatedAt)
	if err != nil {
		return Identity{}, err
	}
	end := now.Add(SessionIdle)
	if last := s.CreatedAt.Add(MaxSessionLife); end.After(last) {
		end = last
	}
	if end.Sub(s.ExpiresAt) >= sessionStep {
		s.ExpiresAt = end
		// Another request moved it just now, or the disk is full: the session goes on as it was.
		_ = store.Sessions.Put(ctx, r.store, s)
	}
	return Identity{Name: user.Name, Role: user.Role, CSRF: s.CSRF}, nil
}

// owner finds the person that something belongs to, unless they are gone, or
// came after it and only have the same name.
func (r *Registry) owner(ctx context.Context, name string, made time.Time) (*spec.User, error) {
	user, err := store.Users.Get(ctx, r.store, name)
	if errors.Is(err, store.ErrNotFound) || err == nil && user.CreatedAt.After(made) {
		return nil, ErrNoAccess
	}
	return user, err
}

// EndSession logs a browser out. A cookie of no session is no error.
func (r *Registry) EndSession(ctx context.Context, cookie string) error {
	id := digest(cookie)
	return r.dropSessions(ctx, func(s *spec.Session) bool { return s.ID == id })
}

// tokenPrefix lets people and secret scanners recognise a token.
const tokenPrefix = "weir_"

// CreateToken makes a token for user with at most the role of who asks. A life
// of 0 means for ever. The text is returned once and never stored.
func (r *Registry) CreateToken(ctx context.Context, by Identity, role spec.Role, life time.Duration) (*spec.Token, string, error) {
	switch {
	case !role.Valid():
		return nil, "", &spec.FieldError{Field: "role", Value: string(role), Rule: "must be admin, operator or viewer"}
	case !by.Role.Allows(role):
		return nil, "", &spec.FieldError{Field: "role", Value: string(role), Rule: "must not be above your own role, " + string(by.Role)}
	case life < 0:
		return nil, "", &spec.FieldError{Field: "expiresInSeconds", Value: fmt.Sprint(int64(life / time.Second)), Rule: "must be 0 (never) or more"}
	}
	all, err := r.Tokens(ctx)
	if err != nil {
		return nil, "", err
	}
	if len(all) >= MaxTokens {
		return nil, "", fmt.Errorf("there are %d tokens already: delete some: %w", len(all), ErrExists)
	}
	now := r.now()
	id, err := spec.NewID("t", now, nil)
	if err != nil {
		return nil, "", err
	}
	text := secret()
	t := &spec.Token{ID: id, User: by.Name, Role: role, SecretHash: digest(text), CreatedAt: now}
	if life > 0 {
		t.ExpiresAt = now.Add(life)
	}
	if err := store.Tokens.Put(ctx, r.store, t); err != nil {
		return nil, "", err
	}
	return t, tokenPrefix + id + "." + text, nil
}

// Token finds who a token belongs to.
func (r *Registry) Token(ctx context.Context, text string) (Identity, error) {
	rest, ok := strings.CutPrefix(text, tokenPrefix)
	id, secretText, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || len(text) > 200 {
		return Identity{}, ErrNoAccess
	}
	t, err := store.Tokens.Get(ctx, r.store, id)
	if errors.Is(err, store.ErrNotFound) {
		return Identity{}, ErrNoAccess
	}
	if err != nil {
		return Identity{}, err
	}
	if !SameSecret(digest(secretText), t.SecretHash) || t.Expired(r.now()) {
		return Identity{}, ErrNoAccess
	}
	if t.User != CommandLine {
		user, err := r.owner(ctx, t.User, t.CreatedAt)
		if err != nil {
			return Identity{}, err
		}
		if !user.Role.Allows(t.Role) {
			return Identity{}, ErrNoAccess
		}
	}
	return Identity{Name: t.User, Role: t.Role}, nil
}

// Tokens lists all tokens, the newest first.
func (r *Registry) Tokens(ctx context.Context) ([]*spec.Token, error) {
	return store.Tokens.List(ctx, r.store, "", 0, "")
}

// DeleteToken ends a token.
func (r *Registry) DeleteToken(ctx context.Context, id string) error {
	t, err := store.Tokens.Get(ctx, r.store, id)
	if err == nil {
		err = store.Tokens.Delete(ctx, r.store, t)
	}
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("token %s: %w", id, ErrNotFound)
	}
	return err
}

// NewCommandLineToken makes an admin token for the account that runs the service.
func (r *Registry) NewCommandLineToken(ctx context.Context) (string, error) {
	_, text, err := r.CreateToken(ctx, Identity{Name: CommandLine, Role: spec.RoleAdmin}, spec.RoleAdmin, 0)
	return text, err
}
