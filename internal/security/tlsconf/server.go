package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/weir-stream/weir/internal/lifecycle"
)

// Server is the TLS side of a listener. Connections that are open keep what they were made with. Safe for concurrent
// use.
type Server struct {
	holder
	config *tls.Config
}

// Outgoing is the TLS side of a node that dials others; it takes on new stores as a Server does. Safe for concurrent
// use.
type Outgoing struct{ holder }

// holder has the material of the moment and replaces it.
type holder struct {
	current atomic.Pointer[material]
	load    func(Settings) (*material, error)

	mu lifecycle.IOLock // one change at a time, since files are read under it; a handshake takes none
}

// material is what was made of one set of settings and files.
type material struct {
	settings Settings
	config   *tls.Config
	leaf     *x509.Certificate // nil: none, which only a client may have
	stamps   []stamp
}

// stamp is how a file looked when it was read.
type stamp struct {
	path string
	size int64
	at   time.Time
}

func stampOf(path string) (stamp, bool) {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{path: path}, false
	}
	return stamp{path: path, size: info.Size(), at: info.ModTime()}, true
}

// NewServer reads the stores of s.
func NewServer(s Settings) (*Server, error) {
	srv := &Server{}
	if err := srv.init(s, loadServer); err != nil {
		return nil, err
	}
	srv.config = &tls.Config{
		MinVersion: tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return srv.current.Load().config, nil
		},
	}
	return srv, nil
}

// NewOutgoing reads the stores of s. Without a key store the node shows no certificate.
func NewOutgoing(s Settings) (*Outgoing, error) {
	o := &Outgoing{}
	return o, o.init(s, loadClient)
}

func (h *holder) init(s Settings, load func(Settings) (*material, error)) error {
	h.load, h.mu = load, lifecycle.NewIOLock()
	m, err := load(s)
	if err == nil {
		h.current.Store(m)
	}
	return err
}

// Config is whom to trust and what to show at this moment, as the caller's own; the caller sets ServerName.
func (o *Outgoing) Config() *tls.Config { return o.current.Load().config.Clone() }

// Config is what tls.Server takes; it follows every change.
func (s *Server) Config() *tls.Config { return s.config }

// NotAfter is when the certificate ends.
func (s *Server) NotAfter() time.Time { return s.current.Load().leaf.NotAfter }

// Chain is the certificate of the moment and, after it, those that come with it.
func (s *Server) Chain() ([]*x509.Certificate, error) {
	var out []*x509.Certificate
	for _, der := range s.current.Load().config.Certificates[0].Certificate {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// Check reads the stores of next and tells whether Change would take them; it changes nothing.
func (h *holder) Check(next Settings) error {
	_, err := h.replacement(next)
	return err
}

// Change takes new settings for connections to come. On an error the old ones stay.
func (h *holder) Change(next Settings) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	m, err := h.replacement(next)
	if err == nil {
		h.current.Store(m)
	}
	return err
}

// Refresh reads the files again if one of them has changed since they were read, and tells whether new ones are in
// use. A file that is being written may be caught half: the old certificate stays and the next call tries again.
func (h *holder) Refresh() (changed bool, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := h.current.Load()
	same := !slices.ContainsFunc(now.stamps, func(old stamp) bool {
		is, ok := stampOf(old.path)
		return ok && is != old
	})
	if same {
		return false, nil
	}
	m, err := h.replacement(now.settings)
	if err != nil {
		return false, err
	}
	h.current.Store(m)
	return true, nil
}

func (h *holder) replacement(next Settings) (*material, error) {
	m, err := h.load(next)
	if err != nil {
		return nil, err
	}
	return m, compatible(h.current.Load().leaf, m.leaf, &next)
}

// compatible holds Kafka's rule that a certificate is replaced by one for the same name.
func compatible(old, next *x509.Certificate, s *Settings) error {
	if old == nil || next == nil {
		return nil
	}
	if was, is := DistinguishedName(old.RawSubject), DistinguishedName(next.RawSubject); was != is && !s.AllowDNChanges {
		return fmt.Errorf("Keystore DistinguishedName does not match: existing={DN=%s}, new={DN=%s}", was, is)
	}
	if s.AllowSANChanges {
		return nil
	}
	have := names(next)
	for _, n := range names(old) {
		if !slices.Contains(have, n) {
			return fmt.Errorf("Keystore SubjectAltNames do not match: existing=%v, new=%v", names(old), have)
		}
	}
	return nil
}

func names(c *x509.Certificate) []string {
	out := slices.Concat(c.DNSNames, c.EmailAddresses)
	for _, ip := range c.IPAddresses {
		out = append(out, ip.String())
	}
	for _, u := range c.URIs {
		out = append(out, u.String())
	}
	return out
}

// read begins the material of s: how its files look, before they are read, so that a change in between is seen.
func (s Settings) read() *material {
	m := &material{settings: s}
	for _, path := range []string{s.Keystore.Location, s.Truststore.Location} {
		if path != "" {
			at, _ := stampOf(path)
			m.stamps = append(m.stamps, at)
		}
	}
	return m
}

// loadServer makes the material of a server.
func loadServer(s Settings) (*material, error) {
	m := s.read()
	c, err := s.base()
	if err != nil {
		return nil, err
	}
	if c.ClientAuth, err = s.clientAuth(); err != nil {
		return nil, err
	}
	cert, err := s.Keystore.keyPair(s.KeyPassword)
	switch {
	case err != nil:
		return nil, err
	case cert == nil:
		return nil, errors.New("a TLS listener needs a certificate, but neither ssl.keystore.location nor ssl.keystore.key is given")
	}
	anchors, err := s.Truststore.anchors()
	if err != nil {
		return nil, err
	}
	if anchors != nil {
		c.ClientCAs = pool(anchors)
	}
	c.Certificates = []tls.Certificate{*cert}
	// Small records at the beginning would help a browser to show the first line earlier; here they cost more than that.
	c.DynamicRecordSizingDisabled = true
	m.config, m.leaf = c, cert.Leaf
	return m, nil
}

// loadClient makes the material of a client.
func loadClient(s Settings) (*material, error) {
	m := s.read()
	var err error
	if m.config, err = Client(s); err != nil {
		return nil, err
	}
	if certs := m.config.Certificates; len(certs) > 0 {
		m.leaf = certs[0].Leaf
	}
	return m, nil
}

func pool(certs []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}

// Client makes the configuration of a client: whom it trusts and, if a key store is given, who it is. The caller
// sets ServerName.
func Client(s Settings) (*tls.Config, error) {
	c, err := s.base()
	if err != nil {
		return nil, err
	}
	cert, err := s.Keystore.keyPair(s.KeyPassword)
	if err != nil {
		return nil, err
	}
	if cert != nil {
		c.Certificates = []tls.Certificate{*cert}
	}
	anchors, err := s.Truststore.anchors()
	if err != nil {
		return nil, err
	}
	if anchors != nil {
		c.RootCAs = pool(anchors)
	}
	if !s.VerifyName {
		// The chain is verified all the same, only the name is not.
		c.InsecureSkipVerify = true
		roots := c.RootCAs
		c.VerifyConnection = func(cs tls.ConnectionState) error { return verifyChain(cs, roots) }
	}
	return c, nil
}

func verifyChain(cs tls.ConnectionState, roots *x509.CertPool) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("the server sent no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range cs.PeerCertificates[1:] {
		between.AddCert(c)
	}
	_, err := cs.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	return err
}
