package sasl

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"unicode/utf8"
)

// PlainUsers are the users of PLAIN. Passwords are kept as keyed digests, which compare in constant time whatever
// their length. Immutable.
type PlainUsers struct {
	key   [32]byte
	users map[string][sha256.Size]byte
	none  [sha256.Size]byte // what the password of an unknown user is compared with
}

// NewPlainUsers takes user → password.
func NewPlainUsers(users map[string]string) *PlainUsers {
	u := &PlainUsers{users: make(map[string][sha256.Size]byte, len(users))}
	_, _ = rand.Read(u.key[:])  // does not fail
	_, _ = rand.Read(u.none[:]) // likewise
	for name, password := range users {
		u.users[name] = u.digest([]byte(password))
	}
	return u
}

func (u *PlainUsers) digest(password []byte) (out [sha256.Size]byte) {
	h := hmac.New(sha256.New, u.key[:])
	h.Write(password)
	h.Sum(out[:0])
	return out
}

func (u *PlainUsers) check(name string, password []byte) bool {
	want, known := u.users[name]
	if !known {
		want = u.none
	}
	got := u.digest(password)
	return hmac.Equal(got[:], want[:]) && known
}

// Begin starts a conversation of PLAIN (RFC 4616): one message with authorization id, user and password.
func (u *PlainUsers) Begin() Conversation { return &plain{users: u} }

type plain struct {
	users *PlainUsers
	id    Identity
	said  string // the user that the client says it is
	done  bool
	over  bool
}

func (p *plain) Step(_ context.Context, message []byte) ([]byte, error) {
	if p.over {
		return nil, refuse("PLAIN: a message after the last one")
	}
	p.over = true
	parts := bytes.Split(message, []byte{0})
	if len(parts) != 3 || !utf8.Valid(message) {
		return nil, tell("Invalid SASL/PLAIN response: expected 3 tokens")
	}
	user, password := string(parts[1]), parts[2]
	p.said = user
	switch {
	case user == "":
		return nil, tell("Authentication failed: username not specified")
	case len(password) == 0:
		return nil, tell("Authentication failed: password not specified")
	case !p.users.check(user, password):
		return nil, tell("Authentication failed: Invalid username or password")
	case len(parts[0]) > 0 && string(parts[0]) != user:
		return nil, tell("Authentication failed: Client requested an authorization id that is different from username")
	}
	p.id, p.done = Identity{Name: user}, true
	return nil, nil
}

func (p *plain) Identity() (Identity, bool) { return p.id, p.done }

// Claimed is the user that the client says it is; "" before it has.
func (p *plain) Claimed() string { return p.said }
