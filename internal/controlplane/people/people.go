// Package people says who may use the service: the set-up link that makes the
// first person, people with passwords, the sessions of their browsers, and the
// tokens of programs. Of secrets it stores hashes only; random ones are
// hashed once, passwords slowly and with salt.
//
// It knows no HTTP and no clusters. Users of a Kafka cluster are not here.
package people

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
)

// The lives of secrets.
const (
	SetupLinkLife = 15 * time.Minute
	// A session ends when it was idle for so long, or after MaxSessionLife.
	SessionIdle    = 12 * time.Hour
	MaxSessionLife = 7 * 24 * time.Hour
	// A session's end is written at most so often.
	sessionStep = time.Hour
)

// Limits on what is stored.
const (
	MaxPeople          = 200
	MaxTokens          = 500
	maxSessionsForUser = 20
)

// CommandLine is the user of the token that the service gives to the command
// line of its own account.
const CommandLine = "command-line"

// reserved names stand for the service's own actors.
var reserved = []string{CommandLine, "healing", "service", "setup"}

// The refusals. None says which part was wrong.
var (
	ErrWrongPassword = errors.New("the name or the password is wrong")
	ErrNoAccess      = errors.New("not logged in, or the session or token has ended")
	ErrLink          = errors.New("the set-up link was used already or is too old; `weir up` prints a new one while nobody is set up")
	ErrSetUp         = errors.New("somebody is set up already: log in, or ask an admin for an account")
	ErrExists        = errors.New("exists already")
	ErrNotFound      = errors.New("not found")
	ErrLastAdmin     = errors.New("the last admin cannot be removed")
)

// Identity is who makes a request.
type Identity struct {
	Name string
	Role spec.Role
	// CSRF is the value that a browser's writes must carry; "" for a token.
	CSRF string
}

// Registry knows people, sessions and tokens. Safe for concurrent use.
type Registry struct {
	store      store.Store
	now        func() time.Time
	iterations int
	throttle   *throttle
	// hashing bounds how many passwords are hashed at once.
	hashing chan struct{}
	// decoy is compared with when there is no such person, so that time tells nothing.
	decoy string
	// writing is held over changes that look at several documents.
	writing chan struct{}
	once    sync.Once
}

// Options are for tests; the zero value is right.
type Options struct {
	Now        func() time.Time
	Iterations int
}

// New makes a registry over a store.
func New(s store.Store, o Options) *Registry {
	r := &Registry{store: s, now: o.Now, iterations: o.Iterations, throttle: newThrottle(), hashing: make(chan struct{}, 2), writing: make(chan struct{}, 1)}
	if r.now == nil {
		r.now = time.Now
	}
	if r.iterations == 0 {
		r.iterations = DefaultIterations
	}
	return r
}

// secret makes 256 bits of chance.
func secret() string {
	var b [32]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// digest is how a random secret is stored.
func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// SameSecret compares in constant time.
func SameSecret(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// acquire takes a slot, or gives up with ctx.
func acquire(ctx context.Context, slots chan struct{}) error {
	select {
	case slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *Registry) hash(ctx context.Context, password string) (string, error) {
	if err := acquire(ctx, r.hashing); err != nil {
		return "", err
	}
	defer func() { <-r.hashing }()
	return hashPassword(password, r.iterations)
}

func (r *Registry) verify(ctx context.Context, stored, password string) (bool, int, error) {
	if err := acquire(ctx, r.hashing); err != nil {
		return false, 0, err
	}
	defer func() { <-r.hashing }()
	return verifyPassword(stored, password)
}

// NeedsSetup says whether nobody is there yet.
func (r *Registry) NeedsSetup(ctx context.Context) (bool, error) {
	users, err := store.Users.List(ctx, r.store, "", 1, "")
	return len(users) == 0, err
}

// NewSetupLink makes the secret of a link that makes the first person. Links
// from before stop working.
func (r *Registry) NewSetupLink(ctx context.Context) (string, error) {
	if err := acquire(ctx, r.writing); err != nil {
		return "", err
	}
	defer func() { <-r.writing }()
	needs, err := r.NeedsSetup(ctx)
	if err != nil {
		return "", err
	}
	if !needs {
		return "", ErrSetUp
	}
	old, err := store.SetupLinks.List(ctx, r.store, "", 0, "")
	if err != nil {
		return "", err
	}
	for _, l := range old {
		if err := store.SetupLinks.Delete(ctx, r.store, l); err != nil && !errors.Is(err, store.ErrNotFound) {
			return "", err
		}
	}
	text, now := secret(), r.now()
	return text, store.SetupLinks.Put(ctx, r.store, &spec.SetupLink{ID: digest(text), CreatedAt: now, ExpiresAt: now.Add(SetupLinkLife)})
}

// UseSetupLink makes the first person, an admin. The link is used up by it
// whatever comes after; refused values do not use it up.
func (r *Registry) UseSetupLink(ctx context.Context, link, name, password string) (*spec.User, error) {
	if err := acquire(ctx, r.writing); err != nil {
		return nil, err
	}
	defer func() { <-r.writing }()
	if needs, err := r.NeedsSetup(ctx); err != nil {
		return nil, err
	} else if !needs {
		return nil, ErrSetUp
	}
	// Before the password is hashed: a stranger's guess costs next to nothing.
	if err := r.usableLink(ctx, link); err != nil {
		return nil, err
	}
	user, err := r.newUser(ctx, name, spec.RoleAdmin, password)
	if err != nil {
		return nil, err
	}
	_, err = store.SetupLinks.Change(ctx, r.store, digest(link), func(l *spec.SetupLink) error {
		if !l.Usable(r.now()) {
			return ErrLink
		}
		l.UsedAt = r.now()
		return nil
	})
	if err != nil {
		return nil, err
	}
	return user, store.Users.Put(ctx, r.store, user)
}

// usableLink says whether a link could be used.
func (r *Registry) usableLink(ctx context.Context, link string) error {
	l, err := store.SetupLinks.Get(ctx, r.store, digest(link))
	if errors.Is(err, store.ErrNotFound) || err == nil && !l.Usable(r.now()) {
		return ErrLink
	}
	return err
}

func (r *Registry) newUser(ctx context.Context, name string, role spec.Role, password string) (*spec.User, error) {
	user := &spec.User{Name: name, Role: role, PasswordHash: "-", CreatedAt: r.now()}
	err := errors.Join(user.Validate(), CheckPassword(password))
	if slices.Contains(reserved, name) {
		err = errors.Join(err, &spec.FieldError{Field: "name", Value: name, Rule: "is reserved for the service"})
	}
	if err != nil {
		return nil, err
	}
	user.PasswordHash, err = r.hash(ctx, password)
	return user, err
}

// CreatePerson adds a person.
func (r *Registry) CreatePerson(ctx context.Context, name string, role spec.Role, password string) (*spec.User, error) {
	user, err := r.newUser(ctx, name, role, password)
	if err != nil {
		return nil, err
	}
	all, err := r.People(ctx)
	if err != nil {
		return nil, err
	}
	if len(all) >= MaxPeople {
		return nil, &spec.FieldError{Field: "name", Value: name, Rule: fmt.Sprintf("would be more than %d people", MaxPeople)}
	}
	if err := store.Users.Put(ctx, r.store, user); errors.Is(err, store.ErrConflict) {
		return nil, fmt.Errorf("a person %s %w", name, ErrExists)
	} else if err != nil {
		return nil, err
	}
	return user, nil
}

// People lists all people by name.
func (r *Registry) People(ctx context.Context) ([]*spec.User, error) {
	users, err := store.Users.List(ctx, r.store, "", 0, "")
	slices.Reverse(users)
	return users, err
}

// DeletePerson removes a person with their sessions and tokens.
func (r *Registry) DeletePerson(ctx context.Context, name string) error {
	if err := acquire(ctx, r.writing); err != nil {
		return err
	}
	defer func() { <-r.writing }()
	users, err := r.People(ctx)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(users, func(u *spec.User) bool { return u.Name == name })
	if i < 0 {
		return fmt.Errorf("person %s: %w", name, ErrNotFound)
	}
	others := slices.ContainsFunc(users, func(u *spec.User) bool { return u.Name != name && u.Role == spec.RoleAdmin })
	if users[i].Role == spec.RoleAdmin && !others {
		return ErrLastAdmin
	}
	if err := store.Users.Delete(ctx, r.store, users[i]); err != nil {
		return err
	}
	// What is left behind by a crash here opens nothing: its person is gone.
	return errors.Join(r.dropTokens(ctx, name), r.dropSessions(ctx, func(s *spec.Session) bool { return s.User == name }))
}

func (r *Registry) dropTokens(ctx context.Context, user string) error {
	tokens, err := store.Tokens.List(ctx, r.store, "", 0, "")
	if err != nil {
		return err
	}
	for _, t := range tokens {
		if t.User != user {
			continue
		}
		if err := store.Tokens.Delete(ctx, r.store, t); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	return nil
}
