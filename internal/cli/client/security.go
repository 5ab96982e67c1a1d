package client

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

func securityOptions(p Properties) ([]kgo.Opt, error) {
	protocol := strings.ToUpper(strings.TrimSpace(p["security.protocol"]))
	var opts []kgo.Opt
	switch protocol {
	case "", "PLAINTEXT", "SASL_PLAINTEXT":
	case "SSL", "SASL_SSL":
		cfg, err := TLSConfig(p)
		if err != nil {
			return nil, err
		}
		dial, err := p.Millis("socket.connection.setup.timeout.ms", 10*time.Second)
		if err != nil {
			return nil, err
		}
		dialer := &tls.Dialer{NetDialer: &net.Dialer{Timeout: dial}, Config: cfg}
		opts = append(opts, kgo.Dialer(dialer.DialContext))
	default:
		return nil, ConfigError(fmt.Sprintf("Invalid value %s for configuration security.protocol: "+
			"String must be one of (case insensitive): SASL_SSL, PLAINTEXT, SSL, SASL_PLAINTEXT", p["security.protocol"]))
	}
	if strings.HasPrefix(protocol, "SASL") {
		mechanism, err := saslMechanism(p)
		if err != nil {
			return nil, err
		}
		opts = append(opts, kgo.SASL(mechanism))
	}
	return opts, nil
}

func saslMechanism(p Properties) (sasl.Mechanism, error) {
	name := strings.ToUpper(strings.TrimSpace(p["sasl.mechanism"]))
	switch name {
	case "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512":
	case "":
		return nil, ConfigError("sasl.mechanism is not set: PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 are known (the default, GSSAPI, is not)")
	default:
		return nil, ConfigError("sasl.mechanism " + name + " is not supported: PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512 are")
	}
	line := p["sasl.jaas.config"]
	if line == "" {
		return nil, ConfigError("sasl.jaas.config is not set: " + name + " needs a user name and a password")
	}
	jaas, err := ParseJAAS(line)
	if err != nil {
		return nil, err
	}
	user, pass := jaas.Options["username"], jaas.Options["password"]
	if user == "" {
		return nil, ConfigError("sasl.jaas.config has no username")
	}
	switch name {
	case "PLAIN":
		return plain.Auth{User: user, Pass: pass}.AsMechanism(), nil
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: pass, IsToken: jaas.Options["tokenauth"] == "true"}.AsSha256Mechanism(), nil
	}
	return scram.Auth{User: user, Pass: pass, IsToken: jaas.Options["tokenauth"] == "true"}.AsSha512Mechanism(), nil
}

// TLSConfig reads the ssl.* settings of a client. Key and trust stores must be PEM, as files or as text in the
// properties; the Java forms JKS and PKCS12 are refused with a sentence on how to convert them.
func TLSConfig(p Properties) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	roots, err := trustedRoots(p)
	if err != nil {
		return nil, err
	}
	cfg.RootCAs = roots
	cert, err := clientCertificate(p)
	if err != nil {
		return nil, err
	}
	if cert != nil {
		cfg.Certificates = []tls.Certificate{*cert}
	}
	if algorithm, ok := p["ssl.endpoint.identification.algorithm"]; ok && strings.TrimSpace(algorithm) == "" {
		trustWithoutName(cfg)
	}
	return cfg, nil
}

// trustWithoutName verifies the chain but not the host name, which is what an empty
// ssl.endpoint.identification.algorithm asks for.
func trustWithoutName(cfg *tls.Config) {
	cfg.InsecureSkipVerify = true
	cfg.VerifyConnection = func(cs tls.ConnectionState) error {
		if len(cs.PeerCertificates) == 0 {
			return errors.New("tls: the server sent no certificate")
		}
		opts := x509.VerifyOptions{Roots: cfg.RootCAs, Intermediates: x509.NewCertPool()}
		for _, c := range cs.PeerCertificates[1:] {
			opts.Intermediates.AddCert(c)
		}
		_, err := cs.PeerCertificates[0].Verify(opts)
		return err
	}
}

func trustedRoots(p Properties) (*x509.CertPool, error) {
	text := p["ssl.truststore.certificates"]
	if file := p["ssl.truststore.location"]; file != "" {
		data, err := readStore(file, "ssl.truststore", p["ssl.truststore.type"])
		if err != nil {
			return nil, err
		}
		text = string(data)
	}
	if text == "" {
		return nil, nil // the system's
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(text)) {
		return nil, ConfigError("No certificates were found in the PEM trust store of ssl.truststore")
	}
	return pool, nil
}

func clientCertificate(p Properties) (*tls.Certificate, error) {
	chain, key := p["ssl.keystore.certificate.chain"], p["ssl.keystore.key"]
	if file := p["ssl.keystore.location"]; file != "" {
		data, err := readStore(file, "ssl.keystore", p["ssl.keystore.type"])
		if err != nil {
			return nil, err
		}
		chain, key = string(data), string(data)
	}
	if chain == "" && key == "" {
		return nil, nil
	}
	if block, _ := pem.Decode([]byte(key)); block != nil && strings.Contains(block.Type, "ENCRYPTED") {
		return nil, ConfigError("The private key of ssl.keystore is encrypted, which is not supported: decrypt it with " +
			"\"openssl pkey -in FILE -out FILE\"")
	}
	cert, err := tls.X509KeyPair([]byte(chain), []byte(key))
	if err != nil {
		return nil, ConfigError("ssl.keystore holds no usable certificate and key: " + err.Error())
	}
	return &cert, nil
}

func readStore(file, setting, kind string) ([]byte, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, ConfigError(fmt.Sprintf("Failed to load %s.location %s: %v", setting, file, err))
	}
	if block, _ := pem.Decode(data); block == nil {
		if kind == "" {
			kind = "JKS"
		}
		return nil, ConfigError(fmt.Sprintf("%s.location %s is not PEM (%s.type is %s): convert it with "+
			"\"openssl pkcs12 -in STORE.p12 -out STORE.pem -nodes\" and set %s.type=PEM", setting, file, setting, kind, setting))
	}
	return data, nil
}
