package channel

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/security/sasl"
	"github.com/weir-stream/weir/internal/security/tlsconf"
)

// Dialer is the client's side of a listener: how this node reaches the same listener of other nodes. Safe for
// concurrent use; made anew when the settings change.
type Dialer struct {
	tls   *tls.Config // nil: none
	login *sasl.Client
	dial  net.Dialer
}

// NewDialer makes the Dialer of the inter-broker listener or, for a controller's listener, of that one.
func NewDialer(cfg *config.Set, listener config.Listener) (*Dialer, error) {
	d := &Dialer{}
	scope := cfg.ForListener(listener.Name)
	if usesTLS(listener.Protocol) {
		c, err := tlsconf.Client(tlsSettings(scope, listener.Protocol))
		if err != nil {
			return nil, fmt.Errorf("listener %s: %w", listener.Name, err)
		}
		d.tls = c
	}
	if usesSASL(listener.Protocol) {
		mechanism := scope.String("sasl.mechanism.inter.broker.protocol")
		if listener.Controller {
			mechanism = scope.String("sasl.mechanism.controller.protocol")
		}
		jaas, err := jaasOf(scope.ForMechanism(mechanism), mechanism)
		if err != nil {
			return nil, fmt.Errorf("listener %s: %w", listener.Name, err)
		}
		if d.login, err = sasl.NewClient(mechanism, jaas); err != nil {
			return nil, fmt.Errorf("listener %s: %w", listener.Name, err)
		}
	}
	return d, nil
}

// Dial connects to a listener at host:port, with TLS where it has that. ctx bounds the handshake too.
func (d *Dialer) Dial(ctx context.Context, address string) (net.Conn, error) {
	nc, err := d.dial.DialContext(ctx, "tcp", address)
	if err != nil || d.tls == nil {
		return nc, err
	}
	conf := d.tls.Clone()
	if conf.ServerName, _, err = net.SplitHostPort(address); err != nil {
		_ = nc.Close() // never used
		return nil, err
	}
	c := tls.Client(nc, conf)
	if err := c.HandshakeContext(ctx); err != nil {
		_ = nc.Close() // its handshake failed
		return nil, fmt.Errorf("TLS handshake with %s: %w", address, err)
	}
	return c, nil
}

// Request sends a request on the connection that is being made and waits for its answer.
type Request func(ctx context.Context, req kmsg.Request) (kmsg.Response, error)

// NeedsLogin reports whether a connection has to be logged in before it can be used.
func (d *Dialer) NeedsLogin() bool { return d.login != nil }

// Login shows the other node who this one is, by SaslHandshake version 1 and SaslAuthenticate version 2.
func (d *Dialer) Login(ctx context.Context, request Request) error {
	if d.login == nil {
		return nil
	}
	hs := kmsg.NewPtrSASLHandshakeRequest()
	hs.Version, hs.Mechanism = 1, d.login.Mechanism()
	resp, err := request(ctx, hs)
	if err != nil {
		return err
	}
	if h := resp.(*kmsg.SASLHandshakeResponse); h.ErrorCode != 0 {
		return fmt.Errorf("the other node has no SASL mechanism %s, it has %v", hs.Mechanism, h.SupportedMechanisms)
	}
	talk, err := d.login.Begin()
	if err != nil {
		return err
	}
	message, err := talk.First()
	for err == nil {
		req := kmsg.NewPtrSASLAuthenticateRequest()
		req.Version, req.SASLAuthBytes = 2, message
		if resp, err = request(ctx, req); err != nil {
			return err
		}
		a := resp.(*kmsg.SASLAuthenticateResponse)
		if a.ErrorCode != 0 {
			return fmt.Errorf("authentication failed: %s", text(a.ErrorMessage))
		}
		var done bool
		if message, done, err = talk.Next(a.SASLAuthBytes); done && err == nil {
			return nil
		}
	}
	return err
}

func text(s *string) string {
	if s == nil {
		return "no reason given"
	}
	return *s
}
