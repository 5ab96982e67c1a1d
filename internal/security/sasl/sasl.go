// Package sasl is the server's side of SASL: which mechanisms a listener has, and the conversation by which a client
// proves who it is: PLAIN, SCRAM-SHA-256 and -512, OAUTHBEARER. It also reads JAAS lines and makes SCRAM credentials.
//
// It knows no Kafka requests (server wraps the messages) and no cluster state (users are looked up by a function). It
// never says of a user whether there is one. Passwords, tokens and keys are in no error. GSSAPI is not there.
package sasl

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// The mechanisms.
const (
	Plain       = "PLAIN"
	ScramSHA256 = "SCRAM-SHA-256"
	ScramSHA512 = "SCRAM-SHA-512"
	OAuthBearer = "OAUTHBEARER"
)

// Known are the mechanisms that there are.
var Known = []string{Plain, ScramSHA256, ScramSHA512, OAuthBearer}

// Identity is who a conversation has shown somebody to be.
type Identity struct {
	Name    string    // of a user
	Expires time.Time // when the proof ends; zero: never
	ByToken bool      // shown by a delegation token, whose bearer may not make others
}

// Conversation is one client's proof. It belongs to one goroutine.
type Conversation interface {
	// Step takes the client's message and returns what is to be sent to it, which may be empty. An error ends the
	// conversation. The message is not kept.
	Step(ctx context.Context, message []byte) (challenge []byte, err error)
	// Identity is who the client is; false before the conversation has succeeded.
	Identity() (Identity, bool)
}

// Failure is why a client is not let in. Text is for the client to read, Reason for the log; neither has a secret in
// it. Where Text is empty the client gets a sentence that says nothing.
type Failure struct {
	Text   string
	Reason string
}

func (f *Failure) Error() string {
	if f.Reason != "" {
		return f.Reason
	}
	return f.Text
}

func refuse(reason string) error { return &Failure{Reason: reason} }

func tell(text string) error { return &Failure{Text: text} }

// Authenticator is the mechanisms of a listener at a moment. It is immutable and safe for concurrent use.
type Authenticator struct {
	mechanisms []string
	begin      map[string]func() Conversation
	reauth     map[string]time.Duration
}

// NewAuthenticator returns one without mechanisms; Add some before it is used.
func NewAuthenticator() *Authenticator {
	return &Authenticator{begin: map[string]func() Conversation{}, reauth: map[string]time.Duration{}}
}

// Add offers a mechanism. maxReauth is after how long a client must prove itself again; 0: never.
func (a *Authenticator) Add(mechanism string, maxReauth time.Duration, begin func() Conversation) {
	a.mechanisms = append(a.mechanisms, mechanism)
	a.begin[mechanism], a.reauth[mechanism] = begin, maxReauth
}

// Mechanisms are the names, in the order of the settings.
func (a *Authenticator) Mechanisms() []string { return slices.Clone(a.mechanisms) }

// Begin starts a conversation; false if the mechanism is not offered.
func (a *Authenticator) Begin(mechanism string) (Conversation, bool) {
	begin, ok := a.begin[mechanism]
	if !ok {
		return nil, false
	}
	return begin(), true
}

// Lifetime is how long a session may last that began now, and whether it is bounded at all.
func (a *Authenticator) Lifetime(mechanism string, id Identity, now time.Time) (time.Duration, bool) {
	most := a.reauth[mechanism]
	if id.Expires.IsZero() {
		return most, most > 0
	}
	left := max(id.Expires.Sub(now), 0)
	if most > 0 {
		left = min(left, most)
	}
	return left, true
}

// Invalid is the sentence of a failure that is not to say more.
func Invalid(mechanism string, again bool) string {
	during := "authentication"
	if again {
		during = "re-authentication"
	}
	return fmt.Sprintf("Authentication failed during %s due to invalid credentials with SASL mechanism %s", during, mechanism)
}
