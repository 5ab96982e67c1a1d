package sasl

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha512"
	"encoding/base64"
	"strings"
	"sync"
	"time"
)

// Token is a delegation token (KIP-48) as somebody shows it who signs in with SCRAM: its id is the user name, its HMAC in
// base64 the password.
type Token struct {
	Owner   string // name of the user whom the token stands for
	HMAC    []byte // its secret
	Expires time.Time
}

// TokenHMAC is the secret of the token with an id, which every node that has the cluster's secret key
// (delegation.token.secret.key) can make.
func TokenHMAC(secretKey, id string) []byte {
	h := hmac.New(sha512.New, []byte(secretKey))
	h.Write([]byte(id))
	return h.Sum(nil)
}

// tokenCredentials keeps the SCRAM credentials of tokens that were used, since making one takes milliseconds. A token's
// secret never changes.
type tokenCredentials struct {
	mu   sync.Mutex
	byID map[string]Credential
}

// maxTokenCredentials bounds what is kept; beyond it others are forgotten and made again.
const maxTokenCredentials = 10000

// of returns the credential of a token.
func (c *tokenCredentials) of(mechanism, id string, t *Token) (Credential, error) {
	c.mu.Lock()
	found, ok := c.byID[id]
	c.mu.Unlock()
	if ok {
		return found, nil
	}
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt) // does not fail
	made, err := NewCredential(mechanism, id, base64.StdEncoding.EncodeToString(t.HMAC), salt, MinIterations)
	if err != nil {
		return Credential{}, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if first, ok := c.byID[id]; ok { // two at once: both must see one salt
		return first, nil
	}
	if c.byID == nil {
		c.byID = map[string]Credential{}
	}
	for other := range c.byID {
		if len(c.byID) < maxTokenCredentials {
			break
		}
		delete(c.byID, other)
	}
	c.byID[id] = made
	return made, nil
}

// asksForToken reports whether a client's first SCRAM message says that its user is a token: the extension
// tokenauth=true behind user name and nonce.
func asksForToken(message string) bool {
	fields := strings.Split(message, ",")
	for i := 4; i < len(fields); i++ {
		if key, value, _ := strings.Cut(fields[i], "="); key == "tokenauth" {
			return strings.EqualFold(value, "true")
		}
	}
	return false
}
