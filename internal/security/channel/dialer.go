package channel

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/security/sasl"
	"github.com/weir-stream/weir/internal/security/tlsconf"
)

// Dialer is the client's side of a listener: how this node reaches the same listener of other nodes. It follows settings
// and files that change, for connections to come. Safe for concurrent use.
type Dialer struct {
	listener config.Listener
	tls      *tlsconf.Outgoing           // nil: none
	login    atomic.Pointer[sasl.Client] // nil: none
	dial     Dial
	// unusable is why the settings do not do; nothing else is there then.
	unusable error
}

// Dial makes a bare connection to host:port.
type Dial func(ctx context.Context, address string) (net.Conn, error)

func dialTCP(ctx context.Context, address string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, "tcp", address)
}

// NewDialer makes the Dialer of the inter-broker listener or, for a controller's listener, of that one. dial is what its
// connections are made by; nil: TCP.
func NewDialer(cfg *config.Set, listener config.Listener, dial Dial) (*Dialer, error) {
	if dial == nil {
		dial = dialTCP
	}
	d := &Dialer{listener: listener, dial: dial}
	var err error
	if usesTLS(listener.Protocol) {
		if d.tls, err = tlsconf.NewOutgoing(tlsSettings(cfg.ForListener(listener.Name), listener.Protocol)); err != nil {
			return nil, err
		}
	}
	if usesSASL(listener.Protocol) {
		client, err := d.client(cfg)
		if err != nil {
			return nil, err
		}
		d.login.Store(client)
	}
	return d, nil
}

// client is who this node is to others. As in Apache Kafka no listener has a mechanism of its own for that.
func (d *Dialer) client(cfg *config.Set) (*sasl.Client, error) {
	key := "sasl.mechanism.inter.broker.protocol"
	if d.listener.Controller {
		key = "sasl.mechanism.controller.protocol"
	}
	mechanism := cfg.String(key)
	scope := cfg.ForListener(d.listener.Name).ForMechanism(mechanism)
	jaas, err := jaasOf(scope, mechanism)
	if err == nil {
		var c *sasl.Client
		switch {
		case mechanism == sasl.OAuthBearer:
			c, err = bearerClient(scope, jaas)
		case scope.IsOwn("sasl.login.callback.handler.class"):
			err = errors.New("sasl.login.callback.handler.class: Weir runs no Java classes")
		default:
			c, err = sasl.NewClient(mechanism, jaas)
		}
		if err == nil {
			return c, nil
		}
	}
	return nil, fmt.Errorf("%s=%s: %w", key, mechanism, err)
}

// bearerClient signs in with tokens from where the settings say. Options of the JAAS line are what the settings leave open, as in Kafka.
func bearerClient(v config.Scope, jaas *sasl.JAAS) (*sasl.Client, error) {
	if jaas == nil {
		return nil, fmt.Errorf("sasl.jaas.config is not given; it has to be \"%s required;\"", sasl.OAuthLoginModule)
	}
	url, class := v.String("sasl.oauthbearer.token.endpoint.url"), v.String("sasl.oauthbearer.jwt.retriever.class")
	if file := strings.HasPrefix(url, "file:"); file && strings.HasSuffix(class, ".ClientCredentialsJwtRetriever") || !file && strings.HasSuffix(class, ".FileJwtRetriever") {
		return nil, fmt.Errorf("sasl.oauthbearer.token.endpoint.url is not for sasl.oauthbearer.jwt.retriever.class=%s: a file is for FileJwtRetriever, https for ClientCredentialsJwtRetriever", class)
	}
	hc, err := httpClient(v, jaas)
	if err != nil {
		return nil, err
	}
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse } // a secret goes nowhere else
	or := func(setting, option string) string {
		if s := v.String(setting); s != "" {
			return s
		}
		return jaas.Options[option]
	}
	tokens, err := sasl.NewTokenSource(sasl.TokenSourceConfig{
		URL: url, ClientID: or("sasl.oauthbearer.client.credentials.client.id", "clientId"),
		ClientSecret: or("sasl.oauthbearer.client.credentials.client.secret", "clientSecret"), Scope: or("sasl.oauthbearer.scope", "scope"),
		Client: hc, Now: time.Now,
	})
	if err != nil {
		return nil, err
	}
	return sasl.NewBearer(tokens), nil
}

// apply takes on settings, or only tells whether it would.
func (d *Dialer) apply(next *config.Set, change bool) error {
	var errs []error
	if d.tls != nil {
		act := d.tls.Check
		if change {
			act = d.tls.Change
		}
		errs = append(errs, act(tlsSettings(next.ForListener(d.listener.Name), d.listener.Protocol)))
	}
	if d.login.Load() != nil {
		client, err := d.client(next)
		if err == nil && change {
			d.login.Store(client)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Dial connects to a listener at host:port, with TLS where it has that. ctx bounds the handshake too.
func (d *Dialer) Dial(ctx context.Context, address string) (net.Conn, error) {
	if d.unusable != nil {
		return nil, fmt.Errorf("%w with listener %s: %w", tlsconf.ErrHandshake, d.listener.Name, d.unusable)
	}
	nc, err := d.dial(ctx, address)
	if err != nil || d.tls == nil {
		return nc, err
	}
	conf := d.tls.Config()
	if conf.ServerName, _, err = net.SplitHostPort(address); err != nil {
		_ = nc.Close() // never used
		return nil, err
	}
	c := tls.Client(nc, conf)
	if err := c.HandshakeContext(ctx); err != nil {
		_ = nc.Close() // its handshake failed
		if ctx.Err() != nil {
			return nil, fmt.Errorf("TLS handshake: %w", err)
		}
		return nil, fmt.Errorf("%w: %w", tlsconf.ErrHandshake, err)
	}
	return c, nil
}

// Request sends a request on the connection that is being made and waits for its answer.
type Request func(ctx context.Context, req kmsg.Request) (kmsg.Response, error)

// NeedsLogin reports whether a connection has to be logged in before it can be used.
func (d *Dialer) NeedsLogin() bool { return d.login.Load() != nil }

// Login shows the other node who this one is, by SaslHandshake version 1 and SaslAuthenticate version 2. Where the
// session ends (connections.max.reauth.ms of the other node), until is when to make a new connection, well before.
func (d *Dialer) Login(ctx context.Context, request Request) (until time.Time, err error) {
	login := d.login.Load()
	if login == nil {
		return time.Time{}, nil
	}
	hs := kmsg.NewPtrSASLHandshakeRequest()
	hs.Version, hs.Mechanism = 1, login.Mechanism()
	resp, err := request(ctx, hs)
	if err != nil {
		return time.Time{}, err
	}
	if h := resp.(*kmsg.SASLHandshakeResponse); h.ErrorCode != 0 {
		return time.Time{}, fmt.Errorf("%w: the other node has no SASL mechanism %s, it has %v", ErrRefused, hs.Mechanism, h.SupportedMechanisms)
	}
	talk, err := login.Begin()
	if err != nil {
		return time.Time{}, err
	}
	message, err := talk.First(ctx)
	for err == nil {
		req := kmsg.NewPtrSASLAuthenticateRequest()
		req.Version, req.SASLAuthBytes = 2, message
		if resp, err = request(ctx, req); err != nil {
			return time.Time{}, err
		}
		a := resp.(*kmsg.SASLAuthenticateResponse)
		if a.ErrorCode != 0 {
			return time.Time{}, fmt.Errorf("%w as %s by SASL mechanism %s: %s", ErrRefused, login.User(), login.Mechanism(), text(a.ErrorMessage))
		}
		var done bool
		if message, done, err = talk.Next(a.SASLAuthBytes); done && err == nil {
			return sessionEnd(a.SessionLifetimeMillis), nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: %w", ErrRefused, err)
}

// ErrRefused is wrapped where the other node does not take the login, or is not who it has to be.
var ErrRefused = errors.New("authentication failed")

// sessionEnd is when a session is renewed: after a part of its life, as in Apache Kafka not all at one time.
func sessionEnd(lifetimeMs int64) time.Time {
	if lifetimeMs <= 0 {
		return time.Time{}
	}
	part := 0.85 + 0.1*rand.Float64()
	return time.Now().Add(time.Duration(float64(lifetimeMs)*part) * time.Millisecond)
}

func text(s *string) string {
	if s == nil {
		return "no reason given"
	}
	return *s
}
