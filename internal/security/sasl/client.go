package sasl

import (
	"context"
	"errors"
	"fmt"

	"github.com/xdg-go/scram"
)

// Client is the client's side, for nodes that sign in to each other: PLAIN, SCRAM and OAUTHBEARER. Safe for concurrent use.
type Client struct {
	mechanism      string
	user, password string
	scram          *scram.Client // nil for others
	tokens         *TokenSource  // nil for others
}

// NewClient takes user and password from the options username and password of a JAAS line.
func NewClient(mechanism string, jaas *JAAS) (*Client, error) {
	if mechanism != Plain && ScramNumbers[mechanism] == 0 {
		return nil, fmt.Errorf("nodes cannot sign in to each other with SASL mechanism %s; they can with PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 and OAUTHBEARER", mechanism)
	}
	if jaas == nil || jaas.Options["username"] == "" || jaas.Options["password"] == "" {
		return nil, fmt.Errorf("sasl.jaas.config of %s needs username and password for this node to sign in to others", mechanism)
	}
	c := &Client{mechanism: mechanism, user: jaas.Options["username"], password: jaas.Options["password"]}
	if mechanism == Plain {
		return c, nil
	}
	kind, err := scramKindOf(mechanism)
	if err != nil {
		return nil, err
	}
	if c.scram, err = kind.steps.NewClientUnprepped(c.user, c.password, ""); err != nil {
		return nil, errors.New("the password cannot be used for SCRAM")
	}
	c.scram.WithMinIterations(MinIterations)
	return c, nil
}

// NewBearer signs in by OAUTHBEARER, with whatever token there is at the time.
func NewBearer(tokens *TokenSource) *Client {
	return &Client{mechanism: OAuthBearer, user: "whom its token names", tokens: tokens}
}

// Mechanism is the name of the mechanism.
func (c *Client) Mechanism() string { return c.mechanism }

// User is whom the client signs in as, for people to read.
func (c *Client) User() string { return c.user }

// Begin starts a conversation.
func (c *Client) Begin() (*ClientConversation, error) {
	t := &ClientConversation{client: c}
	if c.scram != nil {
		t.scram = c.scram.NewConversation()
	}
	return t, nil
}

// ClientConversation is one login. It belongs to one goroutine.
type ClientConversation struct {
	client  *Client
	scram   *scram.ClientConversation
	refused bool // OAUTHBEARER: the other node has said that it does not take the token
}

// First is the message to begin with. A token may have to be fetched for it.
func (t *ClientConversation) First(ctx context.Context) ([]byte, error) {
	switch {
	case t.client.tokens != nil:
		token, err := t.client.tokens.Token(ctx)
		if err != nil {
			return nil, fmt.Errorf("no token to sign in with: %w", err)
		}
		return []byte("n,,\x01auth=Bearer " + token + "\x01\x01"), nil
	case t.scram == nil:
		return []byte("\x00" + t.client.user + "\x00" + t.client.password), nil
	}
	m, err := t.scram.Step("")
	return []byte(m), err
}

// Next takes the server's answer and returns the next message, or done. With SCRAM, done means that the server, too,
// has shown that it knows the password.
func (t *ClientConversation) Next(challenge []byte) (message []byte, done bool, err error) {
	switch {
	case t.refused:
		return nil, false, errors.New("the other node does not take the token, and does not end the login")
	case t.client.tokens != nil && len(challenge) > 0: // why it is refused; the server says so once it has an answer to that (RFC 7628)
		t.refused = true
		return []byte{1}, false, nil
	case t.scram == nil:
		return nil, true, nil
	}
	m, err := t.scram.Step(string(challenge))
	if err != nil {
		return nil, false, errors.New("the other node's answer is not valid: it may not know the password")
	}
	if t.scram.Done() {
		if !t.scram.Valid() {
			return nil, false, errors.New("the other node does not know the password")
		}
		return nil, true, nil
	}
	return []byte(m), false, nil
}
