package certs

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// The accounts that the service keeps for itself in each secured cluster. Both
// are super users; no user of the cluster can have these names.
const (
	AdminUser  = "weir-admin"
	BrokerUser = "weir-broker"
)

// secretsFile lies beside the certificates.
const secretsFile = "secrets.json"

// Secrets are the passwords of the service's own accounts in one cluster.
type Secrets struct {
	AdminPassword  string `json:"adminPassword"`
	BrokerPassword string `json:"brokerPassword"`
}

// NewPassword returns 130 random bits in letters and digits, which need no
// quoting in a properties file, a shell or a URL.
func NewPassword() string { return rand.Text() }

// OpenSecrets reads the secrets in dir, or makes new ones if there are none.
func OpenSecrets(dir string) (Secrets, error) {
	path := filepath.Join(dir, secretsFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newSecrets(path)
	}
	if err != nil {
		return Secrets{}, fmt.Errorf("secrets: %w", err)
	}
	var s Secrets
	if err := json.Unmarshal(text, &s); err != nil {
		return Secrets{}, fmt.Errorf("secrets: %s: %w", path, err)
	}
	if s.AdminPassword == "" || s.BrokerPassword == "" {
		return Secrets{}, fmt.Errorf("secrets: %s lacks a password: put the file back from a copy", path)
	}
	return s, nil
}

func newSecrets(path string) (Secrets, error) {
	s := Secrets{AdminPassword: NewPassword(), BrokerPassword: NewPassword()}
	text, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(path), 0o700)
	}
	if err == nil {
		err = WritePrivate(path, append(text, '\n'))
	}
	if err != nil {
		return Secrets{}, fmt.Errorf("secrets: %w", err)
	}
	return s, nil
}
