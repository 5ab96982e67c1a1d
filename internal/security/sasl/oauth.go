package sasl

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// signatures are the algorithms that a token may be signed with: none without a key pair, so that a public key can
// never be used as a shared secret and "none" is nothing.
var signatures = []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA}

// Validator judges the tokens of OAUTHBEARER. Safe for concurrent use.
type Validator struct {
	Keys *KeySet
	// Issuer and Audience are what a token must say; empty: whatever it says, but then a token that names an audience
	// is not for this broker.
	Issuer   string
	Audience []string
	// Skew is how far the clocks may be apart.
	Skew time.Duration
	// ScopeClaim and SubjectClaim name the claims with the scope and the user.
	ScopeClaim, SubjectClaim string
	Now                      func() time.Time
}

// Validate returns who a token names. Its errors do not show the token.
func (v *Validator) Validate(ctx context.Context, token string) (Identity, error) {
	parsed, err := jwt.ParseSigned(token, signatures)
	if err != nil {
		return Identity{}, errors.New("it is not a signed token, or its algorithm is not one of those allowed")
	}
	key, err := v.Keys.find(ctx, parsed.Headers[0])
	if err != nil {
		return Identity{}, err
	}
	var claims jwt.Claims
	var all map[string]any
	if err := parsed.Claims(key, &claims, &all); err != nil {
		if errors.Is(err, jose.ErrCryptoFailure) {
			return Identity{}, errors.New("its signature is not valid")
		}
		return Identity{}, errors.New("its claims are not valid")
	}
	return v.judge(&claims, all)
}

func (v *Validator) judge(claims *jwt.Claims, all map[string]any) (Identity, error) {
	now := v.Now()
	switch {
	case claims.Expiry == nil:
		return Identity{}, errors.New("it has no expiration time (exp)")
	case claims.IssuedAt == nil:
		return Identity{}, errors.New("it does not say when it was issued (iat)")
	case v.Issuer != "" && claims.Issuer != v.Issuer:
		return Identity{}, errors.New("its issuer (iss) is not the expected one")
	case len(v.Audience) == 0 && len(claims.Audience) > 0:
		return Identity{}, errors.New("it is for an audience (aud), but sasl.oauthbearer.expected.audience is not set")
	case len(v.Audience) > 0 && !slices.ContainsFunc(v.Audience, claims.Audience.Contains):
		return Identity{}, errors.New("its audience (aud) is not the expected one")
	}
	switch err := claims.ValidateWithLeeway(jwt.Expected{Time: now}, v.Skew); {
	case errors.Is(err, jwt.ErrExpired):
		return Identity{}, errors.New("it has expired")
	case err != nil:
		return Identity{}, errors.New("it is not valid yet")
	}
	if _, err := scopes(all[v.ScopeClaim]); err != nil {
		return Identity{}, fmt.Errorf("its claim %s is not valid", v.ScopeClaim)
	}
	subject, ok := all[v.SubjectClaim].(string)
	if !ok || strings.TrimSpace(subject) == "" {
		return Identity{}, fmt.Errorf("it names no user (claim %s)", v.SubjectClaim)
	}
	return Identity{Name: strings.TrimSpace(subject), Expires: claims.Expiry.Time()}, nil
}

// scopes reads a claim with scopes: a text or a list of texts, none empty or twice.
func scopes(claim any) ([]string, error) {
	var out []string
	switch c := claim.(type) {
	case nil:
	case string:
		out = append(out, c)
	case []any:
		for _, e := range c {
			s, ok := e.(string)
			if !ok || strings.TrimSpace(s) == "" || slices.Contains(out, s) {
				return nil, errors.New("not a list of scopes")
			}
			out = append(out, s)
		}
	default:
		return nil, errors.New("not a list of scopes")
	}
	return out, nil
}

// Begin starts a conversation (RFC 7628).
func (v *Validator) Begin() Conversation { return &oauth{validator: v} }

type oauth struct {
	validator *Validator
	failed    error // sent as a challenge, told once the client has answered it
	id        Identity
	done      bool
	over      bool
}

// invalidToken is what a client is told, before it has to answer with one byte.
var invalidToken = []byte(`{"status":"invalid_token"}`)

func (o *oauth) Step(ctx context.Context, message []byte) ([]byte, error) {
	switch {
	case o.over:
		return nil, refuse("OAUTHBEARER: a message after the last one")
	case o.failed != nil:
		o.over = true
		return nil, o.failed
	}
	authzID, token, err := parseBearer(message)
	if err != nil {
		o.over = true
		return nil, refuse("OAUTHBEARER: " + err.Error())
	}
	id, err := o.validator.Validate(ctx, token)
	if err != nil {
		o.failed = &Failure{Text: string(invalidToken), Reason: "OAUTHBEARER: the token is refused: " + err.Error()}
		return invalidToken, nil
	}
	o.over = true
	if authzID != "" && authzID != id.Name {
		return nil, tell("Authentication failed: Client requested an authorization id that is different from the token's principal name")
	}
	o.id, o.done = id, true
	return nil, nil
}

func (o *oauth) Identity() (Identity, bool) { return o.id, o.done }

// parseBearer takes the client's message apart: n,[a=AUTHZID],^A[key=value^A…]^A with the key auth.
func parseBearer(message []byte) (authzID, token string, err error) {
	bad := errors.New("the client's message is not valid")
	header, pairs, ok := bytes.Cut(message, []byte{1})
	if !ok || !bytes.HasPrefix(header, []byte("n,")) || !bytes.HasSuffix(header, []byte(",")) || len(header) < 3 || !bytes.HasSuffix(pairs, []byte{1}) {
		return "", "", bad
	}
	if a := header[2 : len(header)-1]; len(a) > 0 {
		name, ok := bytes.CutPrefix(a, []byte("a="))
		if !ok || bytes.IndexByte(name, ',') >= 0 {
			return "", "", bad
		}
		authzID = strings.NewReplacer("=2C", ",", "=3D", "=").Replace(string(name))
	}
	for _, pair := range bytes.Split(bytes.TrimRight(pairs, "\x01"), []byte{1}) {
		key, value, ok := strings.Cut(string(pair), "=")
		if !ok {
			return "", "", bad
		}
		if key != "auth" {
			continue // an extension; nobody here asks for any
		}
		scheme, t, ok := strings.Cut(value, " ")
		if !ok || !strings.EqualFold(scheme, "bearer") || token != "" {
			return "", "", bad
		}
		token = strings.TrimSpace(t)
	}
	if token == "" {
		return "", "", bad
	}
	return authzID, token, nil
}
