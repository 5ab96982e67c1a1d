// Package certs keeps the secrets of one cluster in one folder: a certificate
// authority of its own, a certificate and key for each node, and random
// passwords for the accounts that the service itself needs. Files are PEM as
// Kafka reads it (ssl.keystore.type=PEM), only their owner can read them, and
// each is replaced whole, so that a crash leaves the old one or the new one.
//
// It knows no Kafka settings and never restarts anything: whoever renews a
// certificate tells the broker.
package certs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// How long certificates hold, and how long before their end they are made anew.
const (
	CALifetime   = 10 * 365 * 24 * time.Hour
	NodeLifetime = 397 * 24 * time.Hour
	RenewBefore  = 60 * 24 * time.Hour
)

// backdate lets a peer whose clock is a little behind accept a new certificate.
const backdate = 5 * time.Minute

// Names of the files in the folder of a cluster's certificates.
const (
	CAFile    = "ca.pem"
	caKeyFile = "ca.key"
)

// Authority is the certificate authority of one cluster. It is safe for
// concurrent use as long as one process uses the folder.
type Authority struct {
	dir  string
	cert *x509.Certificate
	pem  []byte
	key  *ecdsa.PrivateKey
}

// Open reads the authority in dir, or makes one named after the cluster if the
// folder has none. Half an authority (a certificate without its key, or the
// other way round) is an error: a new one would lock out every client.
func Open(dir, cluster string, now time.Time) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	a, err := read(dir)
	if errors.Is(err, fs.ErrNotExist) {
		if err := create(dir, cluster, now); err != nil {
			return nil, fmt.Errorf("certificates: %w", err)
		}
		a, err = read(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("certificates: %w", err)
	}
	return a, nil
}

// read loads the pair. Only when neither file is there does the error say that
// nothing exists.
func read(dir string) (*Authority, error) {
	certText, certErr := os.ReadFile(filepath.Join(dir, CAFile))
	keyText, keyErr := os.ReadFile(filepath.Join(dir, caKeyFile))
	switch {
	case errors.Is(certErr, fs.ErrNotExist) && keyErr == nil:
		return nil, fmt.Errorf("%s has %s but no %s: put the certificate back from a copy", dir, caKeyFile, CAFile)
	case certErr != nil:
		return nil, certErr
	case errors.Is(keyErr, fs.ErrNotExist):
		return nil, fmt.Errorf("%s has %s but no %s: put the key back from a copy", dir, CAFile, caKeyFile)
	case keyErr != nil:
		return nil, keyErr
	}
	cert, err := parseCert(certText)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, CAFile), err)
	}
	key, err := parseKey(keyText)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, caKeyFile), err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, fmt.Errorf("%s: the key is not the key of %s", filepath.Join(dir, caKeyFile), CAFile)
	}
	return &Authority{dir: dir, cert: cert, pem: certText, key: key}, nil
}

func create(dir, cluster string, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "CA of " + cluster, Organization: []string{"Weir"}},
		NotBefore:             now.Add(-backdate),
		NotAfter:              now.Add(CALifetime),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	certText, err := sign(template, template, key, key)
	if err != nil {
		return err
	}
	keyText, err := keyPEM(key)
	if err != nil {
		return err
	}
	// The key first: a certificate without key cannot be mended, and with the
	// key alone nobody has been given the certificate yet.
	if err := WritePrivate(filepath.Join(dir, caKeyFile), keyText); err != nil {
		return err
	}
	return WritePrivate(filepath.Join(dir, CAFile), certText)
}

// sign makes a certificate with a random serial number.
func sign(template, parent *x509.Certificate, key, parentKey *ecdsa.PrivateKey) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return nil, err
	}
	template.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, parentKey)
	if err != nil {
		return nil, err
	}
	return certPEM(der), nil
}

// Path is the authority's certificate: what clients and nodes trust.
func (a *Authority) Path() string { return filepath.Join(a.dir, CAFile) }

// NotAfter is when the authority's certificate ends.
func (a *Authority) NotAfter() time.Time { return a.cert.NotAfter }

// Pool holds the authority alone.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Node says for whom a certificate is.
type Node struct {
	// Name is the common name and the name of the file.
	Name string
	// Hosts are names and addresses by which the node is reached, beyond
	// localhost and the loopback addresses.
	Hosts []string
	// Dir is the folder of the file; empty: that of the authority.
	Dir string
}

// Issued is a node's certificate on disk.
type Issued struct {
	// Keystore holds the private key and the chain, Truststore the authority.
	Keystore, Truststore string
	NotAfter             time.Time
	// Renewed is true when this call made the certificate.
	Renewed bool
}

// Issue returns the certificate of a node, making one when there is none, when
// it ends within RenewBefore, when it lacks a host, or when it is of another
// authority. The file holds the key and the certificate, replaced as one.
func (a *Authority) Issue(node Node, now time.Time) (Issued, error) {
	return a.issued(node, now, true)
}

// Renew makes a new certificate and key of a node, whatever there is.
func (a *Authority) Renew(node Node, now time.Time) (Issued, error) {
	return a.issued(node, now, false)
}

func (a *Authority) issued(node Node, now time.Time, keep bool) (Issued, error) {
	dir := node.Dir
	if dir == "" {
		dir = a.dir
	}
	out := Issued{Keystore: filepath.Join(dir, node.Name+".pem"), Truststore: a.Path()}
	if filepath.Base(node.Name) != node.Name || node.Name == "" || node.Name == "." || node.Name == ".." {
		return out, fmt.Errorf("certificate for %q: the name must be fit for a file", node.Name)
	}
	hosts := append([]string{"localhost", "127.0.0.1", "::1"}, node.Hosts...)
	if cert, err := a.current(out.Keystore); keep && err == nil && now.Before(cert.NotAfter.Add(-RenewBefore)) && covers(cert, hosts) {
		out.NotAfter = cert.NotAfter
		return out, nil
	}
	notAfter := now.Add(NodeLifetime)
	if notAfter.After(a.cert.NotAfter) {
		notAfter = a.cert.NotAfter
	}
	if !now.Before(notAfter) {
		return out, fmt.Errorf("certificate for %s: the authority itself ended on %s", node.Name, a.cert.NotAfter.Format(time.DateOnly))
	}
	text, err := a.issue(node.Name, hosts, now, notAfter)
	if err != nil {
		return out, fmt.Errorf("certificate for %s: %w", node.Name, err)
	}
	if err := WritePrivate(out.Keystore, text); err != nil {
		return out, fmt.Errorf("certificate for %s: %w", node.Name, err)
	}
	out.NotAfter, out.Renewed = notAfter.Truncate(time.Second).UTC(), true
	return out, nil
}

func (a *Authority) issue(name string, hosts []string, now, notAfter time.Time) ([]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: name},
		NotBefore: now.Add(-backdate),
		NotAfter:  notAfter,
		KeyUsage:  x509.KeyUsageDigitalSignature,
		// Nodes are clients of each other too.
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	cert, err := sign(template, a.cert, key, a.key)
	if err != nil {
		return nil, err
	}
	keyText, err := keyPEM(key)
	if err != nil {
		return nil, err
	}
	return slices.Concat(keyText, cert, a.pem), nil
}

// current is the certificate in a keystore, if this authority signed it and
// the key belongs to it.
func (a *Authority) current(file string) (*x509.Certificate, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	cert, err := parseCert(text)
	if err != nil {
		return nil, err
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(cert.PublicKey) {
		return nil, errors.New("key and certificate are no pair")
	}
	return cert, cert.CheckSignatureFrom(a.cert)
}

func covers(cert *x509.Certificate, hosts []string) bool {
	return !slices.ContainsFunc(hosts, func(h string) bool { return cert.VerifyHostname(h) != nil })
}

// Fingerprint is the SHA-256 of the authority's certificate, for people to compare.
func (a *Authority) Fingerprint() string {
	sum := sha256.Sum256(a.cert.Raw)
	return hex.EncodeToString(sum[:])
}
