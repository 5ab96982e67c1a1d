package main

import (
	"crypto/tls"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/certs"
	"github.com/weir-stream/weir/internal/testkit/brokers"
	"github.com/weir-stream/weir/internal/testkit/kwire"
)

// tlsListener is the listener of both brokers that has TLS, with the defaults of either: TLS 1.3.
const tlsListener = "TLS"

// makeCertificate makes a certificate for both brokers in dir, and says how a client trusts it.
func makeCertificate(dir string) (props map[string]string, client *tls.Config, err error) {
	authority, err := certs.Open(dir, "bench", time.Now())
	if err != nil {
		return nil, nil, err
	}
	issued, err := authority.Issue(certs.Node{Name: "broker"}, time.Now())
	if err != nil {
		return nil, nil, err
	}
	return map[string]string{"ssl.keystore.type": "PEM", "ssl.keystore.location": issued.Keystore}, &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12}, nil
}

// dial is how a load reaches an address.
func (l load) dial(addr string) (*kwire.Conn, error) {
	if l.tls == nil {
		return kwire.Dial(addr)
	}
	return kwire.DialTLS(addr, l.tls)
}

// of is where a load finds a single broker.
func (l load) of(b *brokers.Broker) at {
	if l.tls == nil {
		return only(b)
	}
	return func(int32) string { return b.At[tlsListener] }
}

// securedLoads are loads through TLS.
func securedLoads(quick bool, client *tls.Config) []load {
	out := []load{{1024, 6, 0, 1, client}}
	if !quick {
		out = append(out, load{100, 1, 0, 1, client}, load{1024, 6, 3, -1, client})
	}
	return out
}
