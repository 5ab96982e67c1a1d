package sasl

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"

	"github.com/xdg-go/scram"
)

// ScramNumbers are the mechanisms as metadata records and requests have them.
var ScramNumbers = map[string]int8{ScramSHA256: 1, ScramSHA512: 2}

// The bounds that Kafka sets to iterations.
const (
	MinIterations = 4096
	MaxIterations = 16384
)

// Credential is what a server keeps of a SCRAM user.
type Credential struct {
	Salt, StoredKey, ServerKey []byte
	Iterations                 int
}

type scramKind struct {
	hash  func() hash.Hash
	steps scram.HashGeneratorFcn
}

func scramKindOf(mechanism string) (scramKind, error) {
	switch mechanism {
	case ScramSHA256:
		return scramKind{sha256.New, scram.SHA256}, nil
	case ScramSHA512:
		return scramKind{sha512.New, scram.SHA512}, nil
	}
	return scramKind{}, fmt.Errorf("%q is no SCRAM mechanism", mechanism)
}

// SaltedCredential makes a credential of a salted password, as clients that create users send it.
func SaltedCredential(mechanism string, salted, salt []byte, iterations int) (Credential, error) {
	k, err := scramKindOf(mechanism)
	if err != nil {
		return Credential{}, err
	}
	h := k.hash()
	h.Write(mac(k.hash, salted, []byte("Client Key")))
	return Credential{Salt: salt, StoredKey: h.Sum(nil), ServerKey: mac(k.hash, salted, []byte("Server Key")), Iterations: iterations}, nil
}

func mac(newHash func() hash.Hash, key, text []byte) []byte {
	h := hmac.New(newHash, key)
	h.Write(text)
	return h.Sum(nil)
}

// Scram is one of the SCRAM mechanisms (RFC 5802, 7677). Safe for concurrent use.
type Scram struct {
	name   string
	kind   scramKind
	lookup func(user string) (Credential, bool)
	tokens func(id string) (Token, bool) // nil: there are none
	used   tokenCredentials
	secret [32]byte
}

// AcceptTokens lets clients sign in with delegation tokens; tokens finds one that is alive by its id and must not wait.
// It is called before the mechanism is used.
func (s *Scram) AcceptTokens(tokens func(id string) (Token, bool)) { s.tokens = tokens }

// NewScram makes the mechanism with that name. lookup finds a user's credential; it must not wait. Whoever has none
// goes through the same conversation, with a salt that stays the same as long as the process lives; where lookup
// finds none it may return somebody else's credential as the pattern of what one looks like.
func NewScram(mechanism string, lookup func(user string) (Credential, bool)) (*Scram, error) {
	kind, err := scramKindOf(mechanism)
	if err != nil {
		return nil, err
	}
	s := &Scram{name: mechanism, kind: kind, lookup: lookup}
	_, _ = rand.Read(s.secret[:]) // does not fail
	return s, nil
}

// saltBytes is the length of the salts that Kafka's tools make, more or less.
const saltBytes = 24

const base36 = "0123456789abcdefghijklmnopqrstuvwxyz"

// pretend is the credential of a user that does not exist: nobody knows a password for it. It looks like the pattern:
// as many iterations, a salt as long and, if that is made of letters and digits as those of Kafka's tools are, so
// is this one.
func (s *Scram) pretend(user string, pattern Credential) Credential {
	n, iterations := len(pattern.Salt), pattern.Iterations
	if n == 0 {
		n, iterations = saltBytes, MinIterations
	}
	var salt []byte
	for i := 0; len(salt) < n; i++ {
		salt = append(salt, mac(sha512.New, s.secret[:], fmt.Appendf(nil, "salt %d %s", i, user))...)
	}
	salt = salt[:n]
	if len(bytes.Trim(pattern.Salt, base36)) == 0 && len(pattern.Salt) > 0 {
		for i, b := range salt {
			salt[i] = base36[int(b)%len(base36)]
		}
	}
	key := mac(s.kind.hash, s.secret[:], append([]byte("key "), user...))
	return Credential{Salt: salt, StoredKey: key, ServerKey: key, Iterations: iterations}
}

// Begin starts a conversation.
func (s *Scram) Begin() Conversation {
	c := &scramConversation{scram: s}
	server, err := s.kind.steps.NewServer(c.credential)
	if err == nil {
		c.steps = server.NewConversation()
	}
	return c
}

type scramConversation struct {
	scram *Scram
	steps *scram.ServerConversation
	begun bool
	token *Token // the client is somebody who has it; nil: it is a user
	asked bool   // the client says that it has a token
	known bool
	done  bool
}

func (c *scramConversation) credential(user string) (scram.StoredCredentials, error) {
	found, ok := c.scram.lookup(user)
	if c.asked {
		if ok = false; c.scram.tokens != nil {
			if t, alive := c.scram.tokens(user); alive {
				made, err := c.scram.used.of(c.scram.name, user, &t)
				if err != nil {
					return scram.StoredCredentials{}, err
				}
				found, ok, c.token = made, true, &t
			}
		}
	}
	if c.known = ok; !ok {
		found = c.scram.pretend(user, found)
	}
	return scram.StoredCredentials{KeyFactors: scram.KeyFactors{Salt: string(found.Salt), Iters: found.Iterations},
		StoredKey: found.StoredKey, ServerKey: found.ServerKey}, nil
}

func (c *scramConversation) Step(_ context.Context, message []byte) ([]byte, error) {
	if c.steps == nil || c.steps.Done() {
		return nil, refuse(c.scram.name + ": a message after the last one")
	}
	if !c.begun {
		c.begun, c.asked = true, asksForToken(string(message))
	}
	answer, err := c.steps.Step(string(message))
	if err != nil {
		// The library's errors may quote the message.
		return nil, refuse(c.scram.name + ": the client's message or proof is not valid")
	}
	if !c.steps.Done() {
		if id := c.steps.AuthzID(); id != "" && id != c.steps.Username() {
			return nil, tell("Authentication failed: Client requested an authorization id that is different from username")
		}
		return []byte(answer), nil
	}
	if !c.steps.Valid() || !c.known {
		return nil, refuse(c.scram.name + ": the client's proof is not valid")
	}
	c.done = true
	return []byte(answer), nil
}

// Claimed is the user, or token, that the client says it is; "" before it has.
func (c *scramConversation) Claimed() string {
	if c.steps == nil {
		return ""
	}
	return c.steps.Username()
}

func (c *scramConversation) Identity() (Identity, bool) {
	if !c.done {
		return Identity{}, false
	}
	if c.token != nil {
		return Identity{Name: c.token.Owner, Expires: c.token.Expires, ByToken: true}, true
	}
	return Identity{Name: c.steps.Username()}, true
}

// NewCredential makes a credential of a password, with a salt of its own if none is given. It takes a while, on
// purpose.
func NewCredential(mechanism, user, password string, salt []byte, iterations int) (Credential, error) {
	k, err := scramKindOf(mechanism)
	if err != nil {
		return Credential{}, err
	}
	if len(salt) == 0 {
		salt = make([]byte, saltBytes)
		_, _ = rand.Read(salt) // does not fail
	}
	client, err := k.steps.NewClientUnprepped(user, password, "")
	if err != nil {
		return Credential{}, errors.New("the password cannot be used for SCRAM")
	}
	made, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: iterations})
	if err != nil {
		return Credential{}, errors.New("the password cannot be used for SCRAM")
	}
	return Credential{Salt: salt, StoredKey: made.StoredKey, ServerKey: made.ServerKey, Iterations: iterations}, nil
}
