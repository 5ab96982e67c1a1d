package channel

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/security/sasl"
	"github.com/weir-stream/weir/internal/security/tlsconf"
)

// authenticator makes the mechanisms of a listener.
func (ls *Listeners) authenticator(cfg *config.Set, l *listener) (*sasl.Authenticator, error) {
	auth := sasl.NewAuthenticator()
	names := cfg.ForListener(l.name).List("sasl.enabled.mechanisms")
	if len(names) == 0 {
		return nil, errors.New("sasl.enabled.mechanisms is empty")
	}
	for _, name := range names {
		begin, err := ls.mechanism(cfg, l, name)
		if err != nil {
			return nil, fmt.Errorf("SASL mechanism %s: %w", name, err)
		}
		auth.Add(name, cfg.ForListener(l.name).ForMechanism(name).Millis("connections.max.reauth.ms"), begin)
	}
	return auth, nil
}

func (ls *Listeners) mechanism(cfg *config.Set, l *listener, name string) (func() sasl.Conversation, error) {
	if !slices.Contains(sasl.Known, name) {
		return nil, fmt.Errorf("Weir has no such mechanism; sasl.enabled.mechanisms can have %s", strings.Join(sasl.Known, ", "))
	}
	scope := cfg.ForListener(l.name).ForMechanism(name)
	jaas, err := jaasOf(scope, name)
	if err != nil {
		return nil, err
	}
	if name != sasl.OAuthBearer && scope.IsOwn("sasl.server.callback.handler.class") {
		return nil, errors.New("sasl.server.callback.handler.class: Weir runs no Java classes")
	}
	switch name {
	case sasl.Plain:
		if jaas == nil {
			return nil, fmt.Errorf("its users are not given: set listener.name.%s.plain.sasl.jaas.config to \"%s required user_NAME=\\\"PASSWORD\\\";\"",
				strings.ToLower(l.name), sasl.PlainLoginModule)
		}
		return sasl.NewPlainUsers(jaas.PlainUsers()).Begin, nil
	case sasl.OAuthBearer:
		return ls.bearer(scope, l, jaas)
	}
	if l.scram[name] == nil {
		s, err := sasl.NewScram(name, func(user string) (sasl.Credential, bool) { return ls.users(name, user) })
		if err != nil {
			return nil, err
		}
		if ls.tokens != nil {
			s.AcceptTokens(ls.tokens)
		}
		l.scram[name] = s
	}
	return l.scram[name].Begin, nil
}

// jaasOf reads the JAAS line of a mechanism; nil if there is none.
func jaasOf(scope config.Scope, mechanism string) (*sasl.JAAS, error) {
	text := scope.String("sasl.jaas.config")
	if text == "" {
		return nil, nil
	}
	j, err := sasl.ParseJAAS(text)
	if err == nil {
		err = j.For(mechanism)
	}
	if err != nil {
		return nil, fmt.Errorf("sasl.jaas.config: %w", err)
	}
	return &j, nil
}

// bearer makes OAUTHBEARER. The key set is made once and lives as long as the listener.
func (ls *Listeners) bearer(v config.Scope, l *listener, jaas *sasl.JAAS) (func() sasl.Conversation, error) {
	if l.keys == nil {
		keys, err := ls.keySet(v, jaas)
		if err != nil {
			return nil, err
		}
		l.keys = keys
		for _, key := range []string{"sasl.oauthbearer.expected.audience", "sasl.oauthbearer.expected.issuer"} {
			if !v.Is(key) || len(v.List("sasl.oauthbearer.expected.audience")) == 0 && strings.HasSuffix(key, "audience") {
				ls.logger.Warn("tokens are judged without "+key+", which is strongly discouraged", "listener", l.name)
			}
		}
	}
	validator := &sasl.Validator{
		Keys: l.keys, Issuer: v.String("sasl.oauthbearer.expected.issuer"), Audience: v.List("sasl.oauthbearer.expected.audience"),
		Skew:       time.Duration(v.Int("sasl.oauthbearer.clock.skew.seconds")) * time.Second,
		ScopeClaim: v.String("sasl.oauthbearer.scope.claim.name"), SubjectClaim: v.String("sasl.oauthbearer.sub.claim.name"), Now: ls.now,
	}
	return validator.Begin, nil
}

func (ls *Listeners) keySet(v config.Scope, jaas *sasl.JAAS) (*sasl.KeySet, error) {
	url := v.String("sasl.oauthbearer.jwks.endpoint.url")
	if url == "" {
		return nil, errors.New("sasl.oauthbearer.jwks.endpoint.url is not set; unsecured tokens are not accepted")
	}
	client, err := httpClient(v, jaas)
	if err != nil {
		return nil, err
	}
	return sasl.NewKeySet(sasl.KeySetConfig{
		URL: url, Refresh: v.Millis("sasl.oauthbearer.jwks.endpoint.refresh.ms"), Backoff: v.Millis("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms"),
		MaxBackoff: v.Millis("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms"), Client: client, Now: ls.now,
	})
}

const fetchTimeout = 10 * time.Second

// httpClient asks for key sets. Whom it trusts can be given by ssl.truststore.* in the JAAS line, as in Kafka. It
// follows redirects to https only.
func httpClient(v config.Scope, jaas *sasl.JAAS) (*http.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if jaas != nil {
		store := tlsconf.Store{Type: jaas.Options["ssl.truststore.type"], Location: jaas.Options["ssl.truststore.location"],
			Password: jaas.Options["ssl.truststore.password"], Certificates: jaas.Options["ssl.truststore.certificates"]}
		c, err := tlsconf.Client(tlsconf.Settings{Truststore: store, VerifyName: true})
		if err != nil {
			return nil, fmt.Errorf("sasl.jaas.config: %w", err)
		}
		conf = c
	}
	connect, read := fetchTimeout, fetchTimeout
	if v.Is("sasl.login.connect.timeout.ms") {
		connect = v.Millis("sasl.login.connect.timeout.ms")
	}
	if v.Is("sasl.login.read.timeout.ms") {
		read = v.Millis("sasl.login.read.timeout.ms")
	}
	return &http.Client{
		Timeout: connect + read,
		Transport: &http.Transport{TLSClientConfig: conf, TLSHandshakeTimeout: connect, ResponseHeaderTimeout: read,
			DialContext: (&net.Dialer{Timeout: connect}).DialContext, Proxy: http.ProxyFromEnvironment},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if req.URL.Scheme != "https" || len(via) > 3 {
				return errors.New("it redirects to where no keys are fetched from")
			}
			return nil
		},
	}, nil
}
