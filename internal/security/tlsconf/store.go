package tlsconf

import (
	"bytes"
	"crypto"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/pavlo-v-chernykh/keystore-go/v4"
	"github.com/youmark/pkcs8"
	"software.sslmate.com/src/go-pkcs12"
)

// maxStoreBytes bounds the file of a store: no real one comes near.
const maxStoreBytes = 16 << 20

const typePEM = "PEM"

// errPassword stands for what the libraries say when a password does not fit, which may echo parts of the store.
var errPassword = errors.New("its password is wrong, or the file is damaged")

// keyPair reads the key and chain of a key store; nil if none is given.
func (s *Store) keyPair(keyPassword string) (*tls.Certificate, error) {
	const what = "SSL key store"
	pemType := strings.EqualFold(s.Type, typePEM)
	switch {
	case s.Key != "" || s.Certificates != "":
		if err := s.checkInline(pemType); err != nil {
			return nil, err
		}
		return pemPair([]byte(s.Certificates), []byte(s.Key), keyPassword)
	case s.Location == "" && s.Password != "":
		return nil, errors.New(what + " is not specified, but key store password is specified.")
	case s.Location == "":
		return nil, nil
	case pemType && s.Password != "":
		return nil, errors.New(what + " password cannot be specified with PEM format, only key password may be specified.")
	case !pemType && s.Password == "":
		return nil, errors.New(what + " is specified, but key store password is not specified.")
	}
	data, err := readStore(s.Location)
	if err != nil {
		return nil, err
	}
	var pair *tls.Certificate
	if pemType {
		pair, err = pemPair(data, data, keyPassword)
	} else {
		pair, err = binaryPair(data, s.Type, s.Password, keyPassword)
	}
	if err != nil {
		return nil, fmt.Errorf("key store %s: %w", s.Location, err)
	}
	return pair, nil
}

func (s *Store) checkInline(pemType bool) error {
	switch {
	case s.Key == "":
		return errors.New("SSL certificate chain is specified, but private key is not specified")
	case !pemType:
		return errors.New("SSL private key can be specified only for PEM, but key store type is " + s.Type + ".")
	case s.Certificates == "":
		return errors.New("SSL private key is specified, but certificate chain is not specified.")
	case s.Location != "":
		return errors.New("Both SSL key store location and separate private key are specified.")
	case s.Password != "":
		return errors.New("SSL key store password cannot be specified with PEM format, only key password may be specified.")
	}
	return nil
}

// anchors reads the certificates of a trust store; nil if none is given.
func (s *Store) anchors() ([]*x509.Certificate, error) {
	pemType := strings.EqualFold(s.Type, typePEM)
	switch {
	case s.Certificates != "" && !pemType:
		return nil, errors.New("SSL trust store certs can be specified only for PEM, but trust store type is " + s.Type + ".")
	case s.Certificates != "" && s.Location != "":
		return nil, errors.New("Both SSL trust store location and separate trust certificates are specified.")
	case s.Certificates != "" && s.Password != "", pemType && s.Location != "" && s.Password != "":
		return nil, errors.New("SSL trust store password cannot be specified for PEM format.")
	case s.Certificates != "":
		return pemCertificates([]byte(s.Certificates))
	case s.Location == "" && s.Password != "":
		return nil, errors.New("SSL trust store is not specified, but trust store password is specified.")
	case s.Location == "":
		return nil, nil
	}
	data, err := readStore(s.Location)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	if pemType {
		certs, err = pemCertificates(data)
	} else {
		certs, err = binaryAnchors(data, s.Type, s.Password)
	}
	if err == nil && len(certs) == 0 {
		err = errors.New("it has no certificate")
	}
	if err != nil {
		return nil, fmt.Errorf("trust store %s: %w", s.Location, err)
	}
	return certs, nil
}

func readStore(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", path)
	case info.Size() > maxStoreBytes:
		return nil, fmt.Errorf("%s has %d bytes, more than a key or trust store can have", path, info.Size())
	}
	return os.ReadFile(path)
}

// pemPair makes a pair of a chain and a key in PEM, which may be one text.
func pemPair(chain, key []byte, password string) (*tls.Certificate, error) {
	certs, err := pemCertificates(chain)
	if err != nil {
		return nil, err
	}
	k, err := pemKey(key, password)
	if err != nil {
		return nil, err
	}
	return pair(k, certs)
}

func pemCertificates(text []byte) ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for rest := text; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("a certificate in PEM: %w", err)
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("No matching CERTIFICATE entries in PEM file")
	}
	return out, nil
}

func pemKey(text []byte, password string) (crypto.PrivateKey, error) {
	for rest := text; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			return nil, errors.New("No matching PRIVATE KEY entries in PEM file")
		}
		switch b.Type {
		case "ENCRYPTED PRIVATE KEY":
			if password == "" {
				return nil, errors.New("the private key is encrypted, but ssl.key.password is not specified")
			}
			k, err := pkcs8.ParsePKCS8PrivateKey(b.Bytes, []byte(password))
			if err != nil {
				return nil, errors.New("the private key cannot be decrypted with ssl.key.password (it has to be PKCS#8 with PBES2)")
			}
			return k, nil
		case "PRIVATE KEY":
			k, err := x509.ParsePKCS8PrivateKey(b.Bytes)
			if err != nil {
				return nil, errors.New("the private key is not valid PKCS#8")
			}
			return k, nil
		case "RSA PRIVATE KEY", "EC PRIVATE KEY":
			return nil, fmt.Errorf("the private key is in the form %q; it has to be PKCS#8 (openssl pkcs8 -topk8)", b.Type)
		}
	}
}

// pair checks that key and chain belong together.
func pair(key crypto.PrivateKey, chain []*x509.Certificate) (*tls.Certificate, error) {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, errors.New("its private key cannot sign")
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !public.Equal(chain[0].PublicKey) {
		return nil, errors.New("its private key does not belong to its first certificate")
	}
	out := &tls.Certificate{PrivateKey: signer, Leaf: chain[0]}
	for _, c := range chain {
		out.Certificate = append(out.Certificate, c.Raw)
	}
	return out, nil
}

// isJKS tells the two binary formats apart by their first bytes, since files of type JKS are often PKCS12 and Java
// takes either under both names.
func isJKS(data []byte, storeType string) (bool, error) {
	switch {
	case bytes.HasPrefix(data, []byte{0xfe, 0xed, 0xfe, 0xed}):
		return true, nil
	case len(data) > 0 && data[0] == 0x30:
		return false, nil
	case bytes.HasPrefix(data, []byte{0xce, 0xce, 0xce, 0xce}):
		return false, errors.New("it is of type JCEKS; Weir reads JKS, PKCS12 and PEM")
	case bytes.Contains(data[:min(len(data), 4096)], []byte("-----BEGIN")):
		return false, errors.New("it is a PEM file, but its type is " + storeType)
	}
	return false, errors.New("it is neither JKS nor PKCS12")
}

func binaryPair(data []byte, storeType, password, keyPassword string) (*tls.Certificate, error) {
	jks, err := isJKS(data, storeType)
	if err != nil {
		return nil, err
	}
	if keyPassword == "" {
		keyPassword = password
	}
	if jks {
		return jksPair(data, password, keyPassword)
	}
	key, leaf, rest, err := pkcs12.DecodeChain(data, password)
	if err != nil {
		return nil, pkcs12Error(err)
	}
	return pair(key, chainOf(key, append([]*x509.Certificate{leaf}, rest...)))
}

// chainOf orders the certificates of a store: that of the key, its issuer, and so on. A store that was made as Kafka's
// documentation has it (the authority imported first, then the signed certificate) has the authority in front, and beside the chain.
// Where none belongs to the key, they stay as they are.
func chainOf(key crypto.PrivateKey, certs []*x509.Certificate) []*x509.Certificate {
	signer, ok := key.(crypto.Signer)
	if !ok {
		return certs
	}
	public, ok := signer.Public().(interface{ Equal(crypto.PublicKey) bool })
	if !ok {
		return certs
	}
	i := slices.IndexFunc(certs, func(c *x509.Certificate) bool { return public.Equal(c.PublicKey) })
	if i < 0 {
		return certs
	}
	chain := []*x509.Certificate{certs[i]}
	for last := certs[i]; len(chain) < len(certs); {
		i := slices.IndexFunc(certs, func(c *x509.Certificate) bool {
			return !slices.ContainsFunc(chain, c.Equal) && bytes.Equal(c.RawSubject, last.RawIssuer) && last.CheckSignatureFrom(c) == nil
		})
		if i < 0 {
			break
		}
		last = certs[i]
		chain = append(chain, last)
	}
	return chain
}

func pkcs12Error(err error) error {
	if errors.Is(err, pkcs12.ErrIncorrectPassword) || errors.Is(err, pkcs12.ErrDecryption) {
		return errPassword
	}
	return err
}

func loadJKS(data []byte, password string) (keystore.KeyStore, error) {
	ks := keystore.New(keystore.WithOrderedAliases())
	if err := ks.Load(bytes.NewReader(data), []byte(password)); err != nil {
		return ks, errPassword
	}
	return ks, nil
}

func jksPair(data []byte, password, keyPassword string) (*tls.Certificate, error) {
	ks, err := loadJKS(data, password)
	if err != nil {
		return nil, err
	}
	for _, alias := range ks.Aliases() {
		if !ks.IsPrivateKeyEntry(alias) {
			continue
		}
		e, err := ks.GetPrivateKeyEntry(alias, []byte(keyPassword))
		if err != nil {
			return nil, errors.New("its key " + alias + " cannot be decrypted with ssl.key.password")
		}
		key, err := x509.ParsePKCS8PrivateKey(e.PrivateKey)
		if err != nil {
			return nil, errors.New("its key " + alias + " is not valid")
		}
		var chain []*x509.Certificate
		for _, c := range e.CertificateChain {
			cert, err := x509.ParseCertificate(c.Content)
			if err != nil {
				return nil, err
			}
			chain = append(chain, cert)
		}
		if len(chain) == 0 {
			return nil, errors.New("its key " + alias + " has no certificate")
		}
		return pair(key, chain)
	}
	return nil, errors.New("it has no private key")
}

func binaryAnchors(data []byte, storeType, password string) ([]*x509.Certificate, error) {
	jks, err := isJKS(data, storeType)
	if err != nil {
		return nil, err
	}
	if !jks {
		certs, err := pkcs12.DecodeTrustStore(data, password)
		if err != nil {
			if _, _, _, keyed := pkcs12.DecodeChain(data, password); keyed == nil {
				return nil, errors.New("it has a key; a trust store of type PKCS12 has nothing but certificates that keytool -importcert put there")
			}
			return nil, pkcs12Error(err)
		}
		return certs, nil
	}
	if password == "" {
		return nil, errors.New("a trust store of type JKS needs its password")
	}
	ks, err := loadJKS(data, password)
	if err != nil {
		return nil, err
	}
	var out []*x509.Certificate
	for _, alias := range ks.Aliases() {
		if !ks.IsTrustedCertificateEntry(alias) {
			continue
		}
		e, err := ks.GetTrustedCertificateEntry(alias)
		if err != nil {
			return nil, err
		}
		c, err := x509.ParseCertificate(e.Certificate.Content)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}
