package people

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// The rules for passwords. The upper limit bounds the work of a stranger's request.
const (
	MinPasswordLength = 10
	MaxPasswordBytes  = 256
)

// DefaultIterations is how often a password is hashed: some tenths of a second
// of one core, for whoever guesses as well.
const DefaultIterations = 600_000

// maxIterations bounds what a stored hash may ask for.
const maxIterations = 10_000_000

const (
	passwordMethod = "pbkdf2-sha256"
	saltBytes      = 16
	hashBytes      = 32
)

// CheckPassword says which rule a password breaks, never repeating it.
func CheckPassword(password string) error {
	switch {
	case utf8.RuneCountInString(password) < MinPasswordLength:
		return &spec.FieldError{Field: "password", Rule: fmt.Sprintf("must have at least %d characters", MinPasswordLength)}
	case len(password) > MaxPasswordBytes:
		return &spec.FieldError{Field: "password", Rule: fmt.Sprintf("must have at most %d bytes", MaxPasswordBytes)}
	}
	return nil
}

// hashPassword makes $method$i=iterations$salt$hash.
func hashPassword(password string, iterations int) (string, error) {
	salt := make([]byte, saltBytes)
	rand.Read(salt)
	sum, err := pbkdf2.Key(sha256.New, password, salt, iterations, hashBytes)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	enc := base64.RawStdEncoding
	return fmt.Sprintf("$%s$i=%d$%s$%s", passwordMethod, iterations, enc.EncodeToString(salt), enc.EncodeToString(sum)), nil
}

var errHashFormat = errors.New("the stored password hash is of no known method")

// verifyPassword compares in constant time. The second result says how often
// the stored hash was hashed, so that it can be renewed.
func verifyPassword(stored, password string) (ok bool, iterations int, err error) {
	parts := strings.Split(stored, "$")
	if len(parts) != 5 || parts[0] != "" || parts[1] != passwordMethod {
		return false, 0, errHashFormat
	}
	iterations, err = strconv.Atoi(strings.TrimPrefix(parts[2], "i="))
	salt, saltErr := base64.RawStdEncoding.DecodeString(parts[3])
	want, hashErr := base64.RawStdEncoding.DecodeString(parts[4])
	if err != nil || saltErr != nil || hashErr != nil || iterations < 1 || iterations > maxIterations || len(want) != hashBytes {
		return false, 0, errHashFormat
	}
	sum, err := pbkdf2.Key(sha256.New, password, salt, iterations, hashBytes)
	if err != nil {
		return false, 0, fmt.Errorf("hash password: %w", err)
	}
	return subtle.ConstantTimeCompare(sum, want) == 1, iterations, nil
}
