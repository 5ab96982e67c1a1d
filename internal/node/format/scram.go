package format

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/xdg-go/scram"

	mr "github.com/weir-stream/weir/internal/metarecord"
)

// scramMechanism is one of the two mechanisms that Kafka knows, with its number in the records.
type scramMechanism struct {
	name   string
	number int8
	newer  func() hash.Hash
	client scram.HashGeneratorFcn
}

var scramMechanisms = []scramMechanism{
	{"SCRAM-SHA-256", 1, sha256.New, scram.SHA256},
	{"SCRAM-SHA-512", 2, sha512.New, scram.SHA512},
}

const (
	minIterations = 4096
	maxIterations = 16384
)

// ParseScram reads an argument of --add-scram, "SCRAM-SHA-256=[name=alice,password=…]" with optional iterations and
// salt, or saltedpassword and salt instead of the password. Its errors never show the secret.
func ParseScram(arg string) (mr.Versioned, error) {
	name, inner, ok := strings.Cut(arg, "=")
	for _, m := range scramMechanisms {
		if !ok || m.name != name {
			continue
		}
		inner = strings.TrimSpace(inner)
		if !strings.HasPrefix(inner, "[") || !strings.HasSuffix(inner, "]") {
			return mr.Versioned{}, errors.New("Expected configuration list like [key1=value1,key2=value2] after " + m.name + "=")
		}
		return m.credential(inner[1 : len(inner)-1])
	}
	return mr.Versioned{}, fmt.Errorf("The add-scram argument must begin with SCRAM-SHA-256= or SCRAM-SHA-512=")
}

func (m *scramMechanism) credential(list string) (v mr.Versioned, err error) {
	c := map[string]string{}
	for _, kv := range strings.Split(list, ",") {
		key, value, ok := strings.Cut(kv, "=")
		key = strings.TrimSpace(key)
		switch {
		case !ok:
			return v, errors.New("Invalid format of a SCRAM credential: expected key=value pairs")
		case key != "name" && key != "password" && key != "salt" && key != "saltedpassword" && key != "iterations":
			return v, fmt.Errorf("Unknown key %q in a SCRAM credential: allowed are name, password, salt, saltedpassword and iterations", key)
		}
		c[key] = strings.Trim(strings.TrimSpace(value), `"`)
	}
	iterations := minIterations
	if text, given := c["iterations"]; given {
		if iterations, err = strconv.Atoi(text); err != nil || iterations < minIterations || iterations > maxIterations {
			return v, fmt.Errorf("The 'iterations' value must be between %d and %d", minIterations, maxIterations)
		}
	}
	_, password := c["password"]
	_, salted := c["saltedpassword"]
	switch {
	case c["name"] == "":
		return v, errors.New("You must supply 'name' to add-scram")
	case password == salted:
		return v, errors.New("You must supply one of 'password' or 'saltedpassword' to add-scram")
	case salted && c["salt"] == "":
		return v, errors.New("You must supply 'salt' with 'saltedpassword' to add-scram")
	}
	salt, err := m.salt(c["salt"])
	if err != nil {
		return v, err
	}
	stored, server, err := m.keys(c, salt, iterations)
	if err != nil {
		return v, err
	}
	return mr.V0(&mr.UserScramCredentialRecord{Name: c["name"], Mechanism: m.number, Salt: salt, StoredKey: stored, ServerKey: server, Iterations: int32(iterations)}), nil
}

func (m *scramMechanism) salt(text string) ([]byte, error) {
	if text == "" {
		salt := make([]byte, 24)
		if _, err := rand.Read(salt); err != nil {
			return nil, fmt.Errorf("draw a salt: %w", err)
		}
		return salt, nil
	}
	salt, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, errors.New("The 'salt' value is not base64")
	}
	return salt, nil
}

// keys derives the stored and the server key (RFC 5802).
func (m *scramMechanism) keys(c map[string]string, salt []byte, iterations int) (stored, server []byte, err error) {
	if text, given := c["saltedpassword"]; given {
		salted, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			return nil, nil, errors.New("The 'saltedpassword' value is not base64")
		}
		client := m.mac(salted, "Client Key")
		h := m.newer()
		h.Write(client)
		return h.Sum(nil), m.mac(salted, "Server Key"), nil
	}
	client, err := m.client.NewClientUnprepped(c["name"], c["password"], "")
	if err != nil {
		return nil, nil, errors.New("The password cannot be used for SCRAM")
	}
	creds, err := client.GetStoredCredentialsWithError(scram.KeyFactors{Salt: string(salt), Iters: iterations})
	if err != nil {
		return nil, nil, errors.New("The password cannot be used for SCRAM")
	}
	return creds.StoredKey, creds.ServerKey, nil
}

func (m *scramMechanism) mac(key []byte, text string) []byte {
	h := hmac.New(m.newer, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}
