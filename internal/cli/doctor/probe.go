package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/cli/client"
)

// probeWait bounds each connection that is tried.
const probeWait = 3 * time.Second

// probe looks at an advertised address from here, as anybody could: whether it answers, what its TLS side accepts and
// shows, and whether it talks to somebody without a name.
func probe(ctx context.Context, l *listener) {
	nc, err := (&net.Dialer{Timeout: probeWait}).DialContext(ctx, "tcp", l.address())
	if err != nil {
		l.failed = reason(err)
		return
	}
	_ = nc.Close()
	l.reached = true
	if l.tlsOn() {
		l.tls = probeTLS(ctx, l.address(), l.host)
	}
	if !l.saslOn() {
		l.anonymous = probeAnonymous(ctx, l.address(), l.tlsOn())
	}
}

func reason(err error) string {
	var op *net.OpError
	if errors.As(err, &op) && op.Err != nil {
		return op.Err.Error()
	}
	return err.Error()
}

// shown runs a handshake and returns the certificates that the server showed, nil if it did not come to that. What the
// server thinks of a client without a certificate is of no interest here.
func shown(ctx context.Context, address string, cfg *tls.Config) (chain []*x509.Certificate, err error) {
	ctx, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	cfg.InsecureSkipVerify = true //nolint:gosec // looks at the certificate instead of believing it
	cfg.VerifyPeerCertificate = func(raw [][]byte, _ [][]*x509.Certificate) error {
		for _, der := range raw {
			c, err := x509.ParseCertificate(der)
			if err != nil {
				return err
			}
			chain = append(chain, c)
		}
		return nil
	}
	nc, err := (&tls.Dialer{Config: cfg}).DialContext(ctx, "tcp", address)
	if err == nil {
		_ = nc.Close()
	}
	return chain, err
}

func probeTLS(ctx context.Context, address, host string) *tlsFacts {
	out := &tlsFacts{}
	name := ""
	if net.ParseIP(host) == nil {
		name = host
	}
	chain, err := shown(ctx, address, &tls.Config{ServerName: name, MinVersion: tls.VersionTLS10}) //nolint:gosec // to see what is accepted
	if len(chain) == 0 {
		out.failed = "no TLS handshake is possible"
		if err != nil {
			out.failed += ": " + reason(err)
		}
		return out
	}
	out.leaf, out.chain = chain[0], chain[1:]
	for version, what := range map[uint16]string{tls.VersionTLS10: "TLSv1", tls.VersionTLS11: "TLSv1.1"} {
		if chain, _ := shown(ctx, address, &tls.Config{ServerName: name, MinVersion: version, MaxVersion: version}); len(chain) > 0 { //nolint:gosec // so it does
			out.weak = append(out.weak, what)
		}
	}
	// One handshake for each, because a server picks one of many.
	for _, suite := range tls.InsecureCipherSuites() {
		if !weakSuite(suite.Name) {
			continue
		}
		cfg := &tls.Config{ServerName: name, MinVersion: tls.VersionTLS12, MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite.ID}}
		if chain, _ := shown(ctx, address, cfg); len(chain) > 0 {
			out.weak = append(out.weak, suite.Name)
		}
	}
	return out
}

// probeAnonymous asks for topics without saying who asks. -1: refused.
func probeAnonymous(ctx context.Context, address string, withTLS bool) int {
	opts := []kgo.Opt{kgo.SeedBrokers(address), kgo.DialTimeout(probeWait), kgo.RetryTimeout(probeWait), kgo.RequestRetries(0), kgo.ClientID("weir-doctor")}
	if withTLS {
		opts = append(opts, kgo.DialTLSConfig(&tls.Config{InsecureSkipVerify: true})) //nolint:gosec // an attacker would not mind
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return -1
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*probeWait)
	defer cancel()
	topics, err := kadm.NewClient(cl).ListTopics(ctx)
	if err != nil || len(topics) == 0 {
		return -1
	}
	return len(topics)
}

// probeAll looks at all listeners of all nodes, a few at a time.
func probeAll(ctx context.Context, nodes []*node) {
	var group sync.WaitGroup
	slots := make(chan struct{}, 8)
	for _, n := range nodes {
		for i := range n.listeners {
			l := &n.listeners[i]
			if l.host == "" {
				continue
			}
			group.Go(func() {
				slots <- struct{}{}
				defer func() { <-slots }()
				probe(ctx, l)
			})
		}
	}
	group.Wait()
}

// tryPasswords logs in with each of the known accounts, by each mechanism, one after the other.
func tryPasswords(ctx context.Context, p client.Properties) (taken []string) {
	for _, a := range accounts {
		for mechanism, module := range map[string]string{"PLAIN": "plain.PlainLoginModule", "SCRAM-SHA-256": "scram.ScramLoginModule", "SCRAM-SHA-512": "scram.ScramLoginModule"} {
			q := p.Clone()
			q["sasl.mechanism"] = mechanism
			q["sasl.jaas.config"] = "org.apache.kafka.common.security." + module + ` required username="` + a[0] + `" password="` + a[1] + `";`
			if login(ctx, q) {
				taken = append(taken, a[0])
				break
			}
		}
	}
	return taken
}

func login(ctx context.Context, p client.Properties) bool {
	opts, err := client.Options(p, client.AdminRole, io.Discard)
	if err != nil {
		return false
	}
	cl, err := kgo.NewClient(append(opts, kgo.RequestRetries(0), kgo.RetryTimeout(probeWait))...)
	if err != nil {
		return false
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*probeWait)
	defer cancel()
	return cl.Ping(ctx) == nil
}
