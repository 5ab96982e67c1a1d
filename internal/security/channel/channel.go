// Package channel makes of a node's settings how each of its listeners is protected: TLS, the SASL mechanisms, the
// names of peers. It follows dynamic settings and changes of certificate files, and is also the client's side for
// nodes that dial each other (Dialer).
//
// It opens no listener and judges no rights. What it hands out refers to the settings of the moment; connections that
// are open keep what they were made with.
package channel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/security/principal"
	"github.com/weir-stream/weir/internal/security/sasl"
	"github.com/weir-stream/weir/internal/security/tlsconf"
)

// Users finds the SCRAM credential of a user. Where there is none it may return somebody else's as a pattern, with
// false. It must not wait.
type Users func(mechanism, user string) (sasl.Credential, bool)

// Tokens finds a delegation token that is alive by its id. It must not wait.
type Tokens func(id string) (sasl.Token, bool)

// Listeners is the protection of all listeners of a node. Safe for concurrent use.
type Listeners struct {
	users  Users
	tokens Tokens // nil: there are none
	logger *slog.Logger
	byName map[string]*listener
	// between are the ways to the listeners of other nodes, by listener.
	between map[string]*Dialer
	change  lifecycle.IOLock // one change at a time: files are read under it
	now     func() time.Time
}

// listener is one of them; nil parts are not used by its protocol.
type listener struct {
	name     string
	protocol string
	tls      *tlsconf.Server
	rules    *tlsconf.Rules
	auth     atomic.Pointer[sasl.Authenticator]
	scram    map[string]*sasl.Scram // made once, so that pretended salts stay
	keys     *sasl.KeySet
}

// New reads what the listeners of the settings need: stores, JAAS lines, key sets. Delegation tokens are taken by SCRAM
// where tokens is not nil. dial makes the connections to other nodes; nil: TCP.
func New(cfg *config.Set, users Users, tokens Tokens, dial Dial, logger *slog.Logger) (*Listeners, error) {
	ls := &Listeners{users: users, tokens: tokens, logger: logger, byName: map[string]*listener{}, between: map[string]*Dialer{}, change: lifecycle.NewIOLock(), now: time.Now}
	var errs []error
	for _, cl := range cfg.Node().Listeners {
		l, err := ls.build(cfg, cl)
		if err != nil {
			errs = append(errs, fmt.Errorf("listener %s (%s): %w", cl.Name, cl.Protocol, err))
			continue
		}
		ls.byName[cl.Name] = l
	}
	for _, l := range cfg.Node().Dialed() {
		d, err := NewDialer(cfg, l, dial)
		if err != nil && (cfg.Node().Alone || cfg.Node().Legacy) { // it may never have to: a file for one node need not say how
			d, err = &Dialer{listener: l, unusable: err}, nil
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("other nodes on listener %s (%s): %w", l.Name, l.Protocol, err))
			continue
		}
		ls.between[l.Name] = d
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return ls, checkInterBroker(cfg)
}

// Dialer is the way to a listener of other nodes: that between brokers, or the first one of controllers. It is nil for
// others.
func (ls *Listeners) Dialer(listener string) *Dialer { return ls.between[listener] }

func usesTLS(protocol string) bool { return protocol == config.SSL || protocol == config.SASLSSL }
func usesSASL(protocol string) bool {
	return protocol == config.SASLPlaintext || protocol == config.SASLSSL
}

func (ls *Listeners) build(cfg *config.Set, cl config.Listener) (*listener, error) {
	l := &listener{name: cl.Name, protocol: cl.Protocol, scram: map[string]*sasl.Scram{}}
	if usesTLS(cl.Protocol) {
		scope := cfg.ForListener(cl.Name)
		var err error
		if l.rules, err = tlsconf.ParseRules(scope.String("ssl.principal.mapping.rules")); err != nil {
			return nil, err
		}
		if l.tls, err = tlsconf.NewServer(tlsSettings(scope, cl.Protocol)); err != nil {
			return nil, err
		}
	}
	if usesSASL(cl.Protocol) {
		auth, err := ls.authenticator(cfg, l)
		if err != nil {
			return nil, err
		}
		l.auth.Store(auth)
	}
	return l, nil
}

// tlsSettings are the ssl.* settings of a listener. As in Apache Kafka a listener of SASL_SSL asks for certificates
// only if that is set for it by name.
func tlsSettings(v config.Scope, protocol string) tlsconf.Settings {
	s := tlsconf.Settings{
		Keystore: tlsconf.Store{Type: v.String("ssl.keystore.type"), Location: v.String("ssl.keystore.location"), Password: v.String("ssl.keystore.password"),
			Certificates: v.String("ssl.keystore.certificate.chain"), Key: v.String("ssl.keystore.key")},
		Truststore: tlsconf.Store{Type: v.String("ssl.truststore.type"), Location: v.String("ssl.truststore.location"), Password: v.String("ssl.truststore.password"),
			Certificates: v.String("ssl.truststore.certificates")},
		KeyPassword: v.String("ssl.key.password"), ClientAuth: v.String("ssl.client.auth"), Protocols: v.List("ssl.enabled.protocols"),
		CipherSuites: v.List("ssl.cipher.suites"), VerifyName: strings.EqualFold(v.String("ssl.endpoint.identification.algorithm"), "https"),
		AllowDNChanges: v.Bool("ssl.allow.dn.changes"), AllowSANChanges: v.Bool("ssl.allow.san.changes"),
	}
	if protocol == config.SASLSSL && !v.IsOwn("ssl.client.auth") {
		s.ClientAuth = tlsconf.ClientAuthNone
	}
	return s
}

// checkInterBroker holds Kafka's rule that brokers sign in with a mechanism that they offer.
func checkInterBroker(cfg *config.Set) error {
	n := cfg.Node()
	l, ok := n.ListenerNamed(n.InterBroker)
	if !ok || !usesSASL(l.Protocol) {
		return nil
	}
	mechanism := cfg.String("sasl.mechanism.inter.broker.protocol")
	if offered := cfg.ForListener(l.Name).List("sasl.enabled.mechanisms"); !slices.Contains(offered, mechanism) {
		return fmt.Errorf("sasl.mechanism.inter.broker.protocol must be included in sasl.enabled.mechanisms when SASL is used for inter-broker communication: "+
			"it is %s, listener %s has %s", mechanism, l.Name, strings.Join(offered, ","))
	}
	return nil
}

// Wrap is the TLS handshake of a listener as its server side runs it, with the peer's name; nil if it has none.
func (ls *Listeners) Wrap(name string) func(context.Context, net.Conn) (net.Conn, string, error) {
	l := ls.byName[name]
	if l == nil || l.tls == nil {
		return nil
	}
	return l.wrap
}

func (l *listener) wrap(ctx context.Context, nc net.Conn) (net.Conn, string, error) {
	c, err := tlsconf.Serve(ctx, nc, l.tls.Config())
	if err != nil {
		return nil, "", err
	}
	who := principal.Anonymous
	if certs := c.ConnectionState().PeerCertificates; len(certs) > 0 && !usesSASL(l.protocol) {
		name, err := l.rules.Name(tlsconf.DistinguishedName(certs[0].RawSubject))
		if err != nil {
			return nil, "", err
		}
		if name != "" {
			who.Name = name
		}
	}
	return c, who.String(), nil
}

// SASL is the mechanisms of a listener at the moment of a call; nil if it asks nobody who they are.
func (ls *Listeners) SASL(name string) func() *sasl.Authenticator {
	l := ls.byName[name]
	if l == nil || !usesSASL(l.protocol) {
		return nil
	}
	return l.auth.Load
}

// Expiry is when the certificates of the listeners end, by listener.
func (ls *Listeners) Expiry() map[string]time.Time {
	out := map[string]time.Time{}
	for name, l := range ls.byName {
		if l.tls != nil {
			out[name] = l.tls.NotAfter()
		}
	}
	return out
}

// Check tells whether Change would take the settings whole; it changes nothing.
func (ls *Listeners) Check(next *config.Set) error { return ls.apply(next, false) }

// Change takes on what can change while a node runs: stores, client authentication, mechanisms and their users, for
// connections to come. What cannot be used leaves things as they are and is in the error.
func (ls *Listeners) Change(next *config.Set) error { return ls.apply(next, true) }

func (ls *Listeners) apply(next *config.Set, change bool) error {
	ls.change.Lock()
	defer ls.change.Unlock()
	var errs []error
	for name, l := range ls.byName {
		if err := ls.applyTo(l, next, change); err != nil {
			errs = append(errs, fmt.Errorf("listener %s: %w", name, err))
		}
	}
	for name, d := range ls.between {
		if err := d.apply(next, change); err != nil {
			errs = append(errs, fmt.Errorf("other nodes on listener %s: %w", name, err))
		}
	}
	return errors.Join(errs...)
}

func (ls *Listeners) applyTo(l *listener, next *config.Set, change bool) error {
	var errs []error
	if l.tls != nil {
		settings, act := tlsSettings(next.ForListener(l.name), l.protocol), l.tls.Check
		if change {
			act = l.tls.Change
		}
		errs = append(errs, act(settings))
	}
	if usesSASL(l.protocol) {
		auth, err := ls.authenticator(next, l)
		if err == nil && change {
			l.auth.Store(auth)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// filesEvery is how often the files of stores are looked at.
const filesEvery = 5 * time.Second

// Run takes on new certificates when their files change, until ctx ends.
func (ls *Listeners) Run(ctx context.Context) {
	for name, l := range ls.byName {
		if l.keys != nil {
			if err := l.keys.Prefetch(ctx); err != nil {
				ls.logger.Warn("the public keys of tokens cannot be fetched; tokens are refused until they can", "listener", name, "err", err)
			}
		}
	}
	tick := time.NewTicker(filesEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			ls.Refresh()
		}
	}
}

// Refresh looks at the files once.
func (ls *Listeners) Refresh() {
	ls.change.Lock()
	defer ls.change.Unlock()
	for name, l := range ls.byName {
		if l.tls != nil && ls.refresh(l.tls, name, "clients") {
			ls.logger.Info("the certificate was replaced, since its file has changed", "listener", name, "not_after", l.tls.NotAfter())
		}
	}
	for name, d := range ls.between {
		if d.tls != nil && ls.refresh(d.tls, name, "other nodes") {
			ls.logger.Info("the certificate that is shown to other nodes and the authorities that are trusted were read again, since a file has changed", "listener", name)
		}
	}
}

func (ls *Listeners) refresh(h interface{ Refresh() (bool, error) }, listener, towards string) bool {
	changed, err := h.Refresh()
	if err != nil {
		ls.logger.Warn("a changed key or trust store cannot be used, the old one stays", "listener", listener, "towards", towards, "err", err)
	}
	return changed && err == nil
}
