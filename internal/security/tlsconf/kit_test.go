package tlsconf

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"
)

const secret = "s3cret-of-the-store"

// authority is a certificate authority of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// identity is a certificate with its key, in the forms that stores hold.
type identity struct {
	cert *x509.Certificate
	ca   *x509.Certificate
	key  *ecdsa.PrivateKey
}

var serial int64

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, cert := sign(t, &x509.Certificate{Subject: pkix.Name{CommonName: "test CA"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	return &authority{cert, key}
}

func sign(t testing.TB, template *x509.Certificate, by *authority) (*ecdsa.PrivateKey, *x509.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial++
	template.SerialNumber = big.NewInt(serial)
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	template.NotBefore = time.Now().Add(-2 * time.Hour)
	parent, signer := template, key
	if by != nil {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return key, cert
}

func (a *authority) issue(t testing.TB, name string) *identity {
	t.Helper()
	return a.issueAs(t, &x509.Certificate{Subject: pkix.Name{CommonName: name, Organization: []string{"Weir"}}, DNSNames: []string{"localhost"}})
}

func (a *authority) issueAs(t testing.TB, template *x509.Certificate) *identity {
	t.Helper()
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	key, cert := sign(t, template, a)
	return &identity{cert, a.cert, key}
}

func certPEM(certs ...*x509.Certificate) string {
	var b bytes.Buffer
	for _, c := range certs {
		_ = pem.Encode(&b, &pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	}
	return b.String()
}

func (id *identity) pkcs8(t testing.TB) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(id.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func (id *identity) keyPEM(t testing.TB, password string) string {
	t.Helper()
	b := &pem.Block{Type: "PRIVATE KEY", Bytes: id.pkcs8(t)}
	if password != "" {
		der, err := pkcs8.MarshalPrivateKey(id.key, []byte(password), nil)
		if err != nil {
			t.Fatal(err)
		}
		b = &pem.Block{Type: "ENCRYPTED PRIVATE KEY", Bytes: der}
	}
	return string(pem.EncodeToMemory(b))
}

func (id *identity) chain() string { return certPEM(id.cert, id.ca) }

func (id *identity) p12(t testing.TB) []byte {
	t.Helper()
	data, err := pkcs12.Modern.Encode(id.key, id.cert, []*x509.Certificate{id.ca}, secret)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func (id *identity) jks(t testing.TB, keyPassword string) []byte {
	t.Helper()
	ks := keystore.New()
	chain := []keystore.Certificate{{Type: "X509", Content: id.cert.Raw}, {Type: "X509", Content: id.ca.Raw}}
	if err := ks.SetPrivateKeyEntry("broker", keystore.PrivateKeyEntry{CreationTime: time.Now(), PrivateKey: id.pkcs8(t), CertificateChain: chain}, []byte(keyPassword)); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := ks.Store(&b, []byte(secret)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func (a *authority) jks(t testing.TB) []byte {
	t.Helper()
	ks := keystore.New()
	if err := ks.SetTrustedCertificateEntry("ca", keystore.TrustedCertificateEntry{CreationTime: time.Now(), Certificate: keystore.Certificate{Type: "X509", Content: a.cert.Raw}}); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := ks.Store(&b, []byte(secret)); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func file(t testing.TB, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "store")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
