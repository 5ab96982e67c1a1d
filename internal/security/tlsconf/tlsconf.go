// Package tlsconf makes TLS configurations of Kafka's ssl.* settings: key and trust stores in PEM, PKCS12 and JKS, the
// protocols and cipher suites, the name of a peer as its certificate and the mapping rules give it. A Server takes new
// certificates while connections go on.
//
// It reads files when it is told to, opens no socket and starts nothing. Cryptography is the standard library's; the
// stores are read by libraries. Passwords and keys are in no error.
package tlsconf

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrHandshake is in the errors of a handshake that came to nothing, unless time ran out.
var ErrHandshake = errors.New("TLS handshake")

// Values of ssl.client.auth.
const (
	ClientAuthNone      = "none"
	ClientAuthRequested = "requested"
	ClientAuthRequired  = "required"
)

// Settings are the ssl.* settings of one listener or client. Empty texts mean that a setting is not given.
type Settings struct {
	Keystore   Store
	Truststore Store
	// KeyPassword is ssl.key.password. In a PEM keystore it is what the key is encrypted with.
	KeyPassword  string
	ClientAuth   string
	Protocols    []string // ssl.enabled.protocols
	CipherSuites []string
	// VerifyName is true if a client checks the server's name (ssl.endpoint.identification.algorithm=https).
	VerifyName bool
	// AllowDNChanges and AllowSANChanges let a new certificate stand for something else than the old one.
	AllowDNChanges, AllowSANChanges bool
}

// Store is a key store or a trust store.
type Store struct {
	Type     string // JKS, PKCS12 or PEM
	Location string
	Password string
	// Certificates (the chain of a key store, the anchors of a trust store) and Key are given in PEM in place of a
	// file.
	Certificates, Key string
}

// suites are the names of ssl.cipher.suites that can be chosen, which are those of the standard.
func suites() map[string]*tls.CipherSuite {
	out := map[string]*tls.CipherSuite{}
	for _, s := range tls.CipherSuites() {
		out[s.Name] = s
	}
	return out
}

// base is the part of a configuration that servers and clients share.
func (s *Settings) base() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS13}
	has12, has13 := false, false
	for _, p := range s.Protocols {
		switch p {
		case "TLSv1.2":
			has12 = true
		case "TLSv1.3":
			has13 = true
		default:
			return nil, fmt.Errorf("ssl.enabled.protocols has %q; Weir speaks TLSv1.2 and TLSv1.3", p)
		}
	}
	switch {
	case has12 && !has13:
		c.MaxVersion = tls.VersionTLS12
	case has13 && !has12:
		c.MinVersion = tls.VersionTLS13
	}
	return c, s.chooseSuites(c)
}

// chooseSuites restricts the cipher suites. Those of TLS 1.3 can only be had all together.
func (s *Settings) chooseSuites(c *tls.Config) error {
	if len(s.CipherSuites) == 0 {
		return nil
	}
	known := suites()
	var of13, all13 int
	for _, k := range known {
		if only13(k) {
			all13++
		}
	}
	for _, name := range s.CipherSuites {
		k := known[strings.TrimSpace(name)]
		switch {
		case k == nil:
			return fmt.Errorf("ssl.cipher.suites has %q, which Weir does not offer; it offers %s", name, strings.Join(suiteNames(), ", "))
		case only13(k):
			of13++
		default:
			c.CipherSuites = append(c.CipherSuites, k.ID)
		}
	}
	switch {
	case of13 > 0 && of13 < all13 && c.MaxVersion == tls.VersionTLS13:
		return errors.New("ssl.cipher.suites has some suites of TLSv1.3, which can only be had all (TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, " +
			"TLS_CHACHA20_POLY1305_SHA256) or, without TLSv1.3, none")
	case of13 == 0:
		c.MaxVersion = tls.VersionTLS12
	case len(c.CipherSuites) == 0:
		c.MinVersion = tls.VersionTLS13
	}
	if c.MinVersion > c.MaxVersion {
		return errors.New("ssl.cipher.suites has no suite for the protocols of ssl.enabled.protocols")
	}
	return nil
}

func only13(s *tls.CipherSuite) bool {
	return len(s.SupportedVersions) == 1 && s.SupportedVersions[0] == tls.VersionTLS13
}

func suiteNames() []string {
	var names []string
	for name := range suites() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// clientAuth is how a server asks for the certificates of its clients.
func (s *Settings) clientAuth() (tls.ClientAuthType, error) {
	switch s.ClientAuth {
	case "", ClientAuthNone:
		return tls.NoClientCert, nil
	case ClientAuthRequested:
		return tls.VerifyClientCertIfGiven, nil
	case ClientAuthRequired:
		return tls.RequireAndVerifyClientCert, nil
	}
	return 0, fmt.Errorf("ssl.client.auth has %q; it is none, requested or required", s.ClientAuth)
}
