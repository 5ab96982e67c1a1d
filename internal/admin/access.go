// Package admin is what the service asks of a cluster, over the Kafka protocol
// and nothing else: who is there, where partitions lie, moving them, accounts,
// rights, settings. It works with every Kafka of version 4 and later.
//
// It decides nothing and retries nothing beyond what the client does; every
// call is bounded by its context.
package admin

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/weir-stream/weir/internal/config"
)

// Access is a way into a cluster: what a client.properties file says.
type Access struct {
	Bootstrap []string
	// CAFile and User are empty for plain text without an account.
	CAFile   string
	User     string
	Password string
}

const loginModule = "org.apache.kafka.common.security.scram.ScramLoginModule"

var jaasPattern = regexp.MustCompile(`^` + regexp.QuoteMeta(loginModule) + ` required username="([^"\\]*)" password="([^"\\]*)";$`)

// Properties is the access in the form that Kafka's own clients read. Names
// and passwords must hold no quotes or backslashes.
func (a Access) Properties() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, "bootstrap.servers=%s\n", strings.Join(a.Bootstrap, ","))
	if a.CAFile == "" {
		return []byte(b.String() + "security.protocol=PLAINTEXT\n")
	}
	fmt.Fprintf(&b, "security.protocol=SASL_SSL\nssl.truststore.type=PEM\nssl.truststore.location=%s\n", strings.ReplaceAll(a.CAFile, `\`, `\\`))
	fmt.Fprintf(&b, "sasl.mechanism=SCRAM-SHA-512\nsasl.jaas.config=%s required username=\"%s\" password=\"%s\";\n", loginModule, a.User, a.Password)
	return []byte(b.String())
}

// ReadAccess reads what Properties writes.
func ReadAccess(file string) (Access, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return Access{}, fmt.Errorf("access: %w", err)
	}
	props, err := config.ParseProperties(text)
	if err != nil {
		return Access{}, fmt.Errorf("access: %s: %w", file, err)
	}
	p := props.Map()
	if p["bootstrap.servers"] == "" {
		return Access{}, fmt.Errorf("access: %s has no bootstrap.servers", file)
	}
	a := Access{Bootstrap: strings.Split(p["bootstrap.servers"], ",")}
	switch p["security.protocol"] {
	case "", "PLAINTEXT":
		return a, nil
	case "SASL_SSL":
	default:
		return Access{}, fmt.Errorf("access: %s: security.protocol %s: want PLAINTEXT or SASL_SSL", file, p["security.protocol"])
	}
	m := jaasPattern.FindStringSubmatch(p["sasl.jaas.config"])
	if m == nil || p["sasl.mechanism"] != "SCRAM-SHA-512" || p["ssl.truststore.location"] == "" {
		return Access{}, fmt.Errorf("access: %s: want SCRAM-SHA-512, a PEM truststore and a login with username and password", file)
	}
	a.CAFile, a.User, a.Password = p["ssl.truststore.location"], m[1], m[2]
	return a, nil
}

// TLS is the configuration to reach a broker with, nil for plain text.
func (a Access) TLS() (*tls.Config, error) {
	if a.CAFile == "" {
		return nil, nil
	}
	text, err := os.ReadFile(a.CAFile)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, errors.New(a.CAFile + " holds no certificate")
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// Options are the options of a client with this access.
func (a Access) Options() ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(a.Bootstrap...)}
	conf, err := a.TLS()
	if err != nil {
		return nil, fmt.Errorf("access: %w", err)
	}
	if conf != nil {
		opts = append(opts, kgo.DialTLSConfig(conf), kgo.SASL(scram.Auth{User: a.User, Pass: a.Password}.AsSha512Mechanism()))
	}
	return opts, nil
}
