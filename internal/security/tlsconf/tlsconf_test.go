package tlsconf

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"
)

// handshake runs one over a pipe and returns what the server saw.
func handshake(server, client *tls.Config) (tls.ConnectionState, error) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	failed := make(chan error, 1)
	go func() {
		c := tls.Client(b, client)
		err := c.Handshake()
		if err == nil {
			_, err = c.Read(make([]byte, 1)) // a refused certificate is seen here with TLS 1.3
		}
		failed <- err
		b.Close()
	}()
	s := tls.Server(a, server)
	err := s.Handshake()
	if err == nil {
		_, _ = s.Write([]byte{1})
	}
	cerr := <-failed
	if err == nil {
		err = cerr
	}
	return s.ConnectionState(), err
}

func pemSettings(t *testing.T, id *identity) Settings {
	return Settings{
		Keystore:   Store{Type: "PEM", Certificates: id.chain(), Key: id.keyPEM(t, "")},
		Truststore: Store{Type: "PEM", Certificates: certPEM(id.ca)},
		VerifyName: true,
	}
}

func TestStores(t *testing.T) {
	ca := newAuthority(t)
	id := ca.issue(t, "broker")
	anchors, err := pkcs12.Modern.EncodeTrustStore([]*x509.Certificate{ca.cert}, secret)
	if err != nil {
		t.Fatal(err)
	}
	authorityFirst, err := pkcs12.Modern.Encode(id.key, ca.cert, []*x509.Certificate{id.cert, ca.cert}, secret)
	if err != nil {
		t.Fatal(err)
	}
	trust := map[string]Store{
		"pem":    {Type: "PEM", Location: file(t, []byte(certPEM(ca.cert)))},
		"inline": {Type: "PEM", Certificates: certPEM(ca.cert)},
		"pkcs12": {Type: "PKCS12", Location: file(t, anchors), Password: secret},
		"jks":    {Type: "JKS", Location: file(t, ca.jks(t)), Password: secret},
	}
	keys := map[string]Settings{
		"pem":           {Keystore: Store{Type: "PEM", Location: file(t, []byte(id.keyPEM(t, "")+id.chain()))}},
		"pem encrypted": {Keystore: Store{Type: "PEM", Location: file(t, []byte(id.chain()+id.keyPEM(t, "kp")))}, KeyPassword: "kp"},
		"inline":        {Keystore: Store{Type: "PEM", Certificates: id.chain(), Key: id.keyPEM(t, "kp")}, KeyPassword: "kp"},
		"pkcs12":        {Keystore: Store{Type: "PKCS12", Location: file(t, id.p12(t)), Password: secret}},
		"jks":           {Keystore: Store{Type: "JKS", Location: file(t, id.jks(t, secret)), Password: secret}},
		"jks, own key":  {Keystore: Store{Type: "JKS", Location: file(t, id.jks(t, "other")), Password: secret}, KeyPassword: "other"},
		// As Kafka's documentation makes it: keytool -importcert -alias CARoot, then the signed certificate.
		"pkcs12, authority first": {Keystore: Store{Type: "PKCS12", Location: file(t, authorityFirst), Password: secret}},
		"pkcs12 as jks":           {Keystore: Store{Type: "JKS", Location: file(t, id.p12(t)), Password: secret}},
	}
	for kname, s := range keys {
		for tname, store := range trust {
			s.Truststore, s.ClientAuth, s.VerifyName = store, ClientAuthRequired, true
			server, err := NewServer(s)
			if err != nil {
				t.Errorf("key %s, trust %s: %v", kname, tname, err)
				continue
			}
			client, err := Client(s)
			if err != nil {
				t.Errorf("client of key %s, trust %s: %v", kname, tname, err)
				continue
			}
			client.ServerName = "localhost"
			state, err := handshake(server.Config(), client)
			if err != nil || state.Version != tls.VersionTLS13 || len(state.PeerCertificates) == 0 {
				t.Errorf("key %s, trust %s: version %x, %v", kname, tname, state.Version, err)
			}
		}
	}
}

// Stores as Java's own tool makes them.
func TestStoresOfKeytool(t *testing.T) {
	keytool, err := exec.LookPath("keytool")
	if err != nil {
		t.Skip("keytool is missing: it comes with a JDK")
	}
	for _, kind := range []string{"PKCS12", "JKS"} {
		path := filepath.Join(t.TempDir(), "ks")
		out, err := exec.Command(keytool, "-genkeypair", "-alias", "b", "-keyalg", "RSA", "-dname", "CN=broker, OU=x", "-ext", "SAN=dns:localhost",
			"-storetype", kind, "-keystore", path, "-storepass", secret, "-keypass", secret).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		s := Settings{Keystore: Store{Type: kind, Location: path, Password: secret}}
		server, err := NewServer(s)
		if err != nil {
			t.Errorf("%s: %v", kind, err)
			continue
		}
		trust := filepath.Join(t.TempDir(), "ts")
		crt := filepath.Join(t.TempDir(), "crt")
		for _, args := range [][]string{
			{"-exportcert", "-alias", "b", "-keystore", path, "-storepass", secret, "-file", crt},
			{"-importcert", "-noprompt", "-alias", "ca", "-file", crt, "-storetype", kind, "-keystore", trust, "-storepass", secret},
		} {
			if out, err := exec.Command(keytool, args...).CombinedOutput(); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
		}
		client, err := Client(Settings{Truststore: Store{Type: kind, Location: trust, Password: secret}, VerifyName: true})
		if err != nil {
			t.Fatalf("%s: %v", kind, err)
		}
		client.ServerName = "localhost"
		if _, err := handshake(server.Config(), client); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

func TestWrongStores(t *testing.T) {
	ca := newAuthority(t)
	id, other := ca.issue(t, "a"), ca.issue(t, "b")
	traditional := strings.ReplaceAll(id.keyPEM(t, ""), "PRIVATE KEY", "EC PRIVATE KEY")
	p12, jks := file(t, id.p12(t)), file(t, id.jks(t, secret))
	for _, c := range []struct {
		s    Settings
		want string
	}{
		{Settings{}, "needs a certificate"},
		{Settings{Keystore: Store{Type: "PKCS12", Location: p12, Password: "wrong-s3cret"}}, "password is wrong"},
		{Settings{Keystore: Store{Type: "JKS", Location: jks, Password: "wrong-s3cret"}}, "password is wrong"},
		{Settings{Keystore: Store{Type: "JKS", Location: jks, Password: secret}, KeyPassword: "wrong-s3cret"}, "cannot be decrypted"},
		{Settings{Keystore: Store{Type: "JKS", Location: jks}}, "SSL key store is specified, but key store password is not specified."},
		{Settings{Keystore: Store{Type: "JKS", Password: secret}}, "SSL key store is not specified, but key store password is specified."},
		{Settings{Keystore: Store{Type: "JKS", Location: "/does/not/exist", Password: secret}}, "no such file"},
		{Settings{Keystore: Store{Type: "JKS", Location: file(t, []byte(id.chain())), Password: secret}}, "PEM file, but its type is JKS"},
		{Settings{Keystore: Store{Type: "JKS", Location: file(t, []byte("hello")), Password: secret}}, "neither JKS nor PKCS12"},
		{Settings{Keystore: Store{Type: "PEM", Location: file(t, []byte(id.chain()))}}, "No matching PRIVATE KEY"},
		{Settings{Keystore: Store{Type: "PEM", Location: file(t, []byte(id.keyPEM(t, "")))}}, "No matching CERTIFICATE"},
		{Settings{Keystore: Store{Type: "PEM", Certificates: id.chain(), Key: traditional}}, "PKCS#8"},
		{Settings{Keystore: Store{Type: "PEM", Certificates: other.chain(), Key: id.keyPEM(t, "")}}, "does not belong"},
		{Settings{Keystore: Store{Type: "PEM", Certificates: id.chain(), Key: id.keyPEM(t, "kp")}}, "encrypted, but ssl.key.password"},
		{Settings{Keystore: Store{Type: "PEM", Certificates: id.chain(), Key: id.keyPEM(t, "kp")}, KeyPassword: "wrong-s3cret"}, "cannot be decrypted"},
		{Settings{Keystore: Store{Type: "JKS", Certificates: id.chain(), Key: id.keyPEM(t, "")}}, "only for PEM"},
		{Settings{Keystore: Store{Type: "PEM", Certificates: id.chain()}}, "private key is not specified"},
	} {
		_, err := NewServer(c.s)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("want %q, got %v", c.want, err)
		}
		if err != nil && strings.Contains(err.Error(), "s3cret") {
			t.Errorf("the error has a password in it: %v", err)
		}
	}
}

func TestProtocolsAndSuites(t *testing.T) {
	ca := newAuthority(t)
	s := pemSettings(t, ca.issue(t, "broker"))
	try := func(protocols, suites []string, max uint16) (tls.ConnectionState, error) {
		s.Protocols, s.CipherSuites = protocols, suites
		server, err := NewServer(s)
		if err != nil {
			return tls.ConnectionState{}, err
		}
		client := &tls.Config{RootCAs: pool([]*x509.Certificate{ca.cert}), ServerName: "localhost", MaxVersion: max, MinVersion: tls.VersionTLS10}
		return handshake(server.Config(), client)
	}
	both := []string{"TLSv1.2", "TLSv1.3"}
	const suite12 = "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
	all13 := []string{"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"}
	if st, err := try(both, nil, 0); err != nil || st.Version != tls.VersionTLS13 {
		t.Errorf("version %x, %v", st.Version, err)
	}
	if st, err := try([]string{"TLSv1.2"}, []string{suite12}, 0); err != nil || st.Version != tls.VersionTLS12 || tls.CipherSuiteName(st.CipherSuite) != suite12 {
		t.Errorf("version %x suite %x, %v", st.Version, st.CipherSuite, err)
	}
	if st, err := try(both, []string{suite12}, 0); err != nil || st.Version != tls.VersionTLS12 {
		t.Errorf("a list without suites of TLS 1.3: version %x, %v", st.Version, err)
	}
	if _, err := try(both, all13, tls.VersionTLS12); err == nil {
		t.Error("TLS 1.2 although the list has suites of TLS 1.3 only")
	}
	if _, err := try([]string{"TLSv1.3"}, nil, tls.VersionTLS12); err == nil {
		t.Error("a client of TLS 1.2 gets in where only 1.3 is enabled")
	}
	if _, err := try(both, nil, tls.VersionTLS11); err == nil {
		t.Error("a client of TLS 1.1 gets in")
	}
	for _, c := range []struct{ protocols, suites []string }{
		{[]string{"TLSv1.1"}, nil}, {[]string{"SSLv3"}, nil}, {both, []string{"TLS_RSA_WITH_RC4_128_SHA"}}, {both, []string{"x"}}, {both, all13[:1]},
		{[]string{"TLSv1.2"}, all13}, {[]string{"TLSv1.3"}, []string{suite12}},
	} {
		if _, err := try(c.protocols, c.suites, 0); err == nil || !strings.Contains(err.Error(), "ssl.") {
			t.Errorf("%v %v: %v", c.protocols, c.suites, err)
		}
	}
}

func TestClientAuth(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	id := ca.issue(t, "broker")
	expired := ca.issueAs(t, &x509.Certificate{Subject: pkix.Name{CommonName: "late"}, NotAfter: time.Now().Add(-time.Hour)})
	for _, c := range []struct {
		auth   string
		client *identity
		ok     bool
		seen   bool
	}{
		{ClientAuthNone, nil, true, false}, {ClientAuthNone, id, true, false},
		{ClientAuthRequested, nil, true, false}, {ClientAuthRequested, id, true, true}, {ClientAuthRequested, stranger.issue(t, "x"), false, false},
		{ClientAuthRequired, nil, false, false}, {ClientAuthRequired, id, true, true}, {ClientAuthRequired, stranger.issue(t, "x"), false, false},
		{ClientAuthRequired, expired, false, false},
	} {
		s := pemSettings(t, id)
		s.ClientAuth = c.auth
		server, err := NewServer(s)
		if err != nil {
			t.Fatal(err)
		}
		cs := Settings{Truststore: s.Truststore, VerifyName: true}
		if c.client != nil {
			cs.Keystore = Store{Type: "PEM", Certificates: c.client.chain(), Key: c.client.keyPEM(t, "")}
		}
		client, err := Client(cs)
		if err != nil {
			t.Fatal(err)
		}
		client.ServerName = "localhost"
		if c.client != nil { // a client that sends its certificate whether the server trusts its issuer or not
			cert := client.Certificates[0]
			client.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &cert, nil }
		}
		state, err := handshake(server.Config(), client)
		if (err == nil) != c.ok || c.ok && (len(state.PeerCertificates) > 0) != c.seen {
			t.Errorf("%s: %v, %d certificates", c.auth, err, len(state.PeerCertificates))
		}
	}
	s := pemSettings(t, id)
	s.ClientAuth = "maybe"
	if _, err := NewServer(s); err == nil {
		t.Error("ssl.client.auth=maybe is accepted")
	}
}

func TestClientVerifies(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	server, err := NewServer(pemSettings(t, ca.issue(t, "broker")))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		trust  *authority
		name   string
		verify bool
		ok     bool
	}{{ca, "localhost", true, true}, {ca, "elsewhere", true, false}, {ca, "elsewhere", false, true}, {stranger, "localhost", true, false}, {stranger, "localhost", false, false}} {
		client, err := Client(Settings{Truststore: Store{Type: "PEM", Certificates: certPEM(c.trust.cert)}, VerifyName: c.verify})
		if err != nil {
			t.Fatal(err)
		}
		client.ServerName = c.name
		if _, err := handshake(server.Config(), client); (err == nil) != c.ok {
			t.Errorf("%s, verify %v: %v", c.name, c.verify, err)
		}
	}
}

func TestRefresh(t *testing.T) {
	ca := newAuthority(t)
	first := ca.issue(t, "broker")
	path := file(t, []byte(first.chain()+first.keyPEM(t, "")))
	s, err := NewServer(Settings{Keystore: Store{Type: "PEM", Location: path}})
	if err != nil {
		t.Fatal(err)
	}
	put := func(text string, at time.Duration) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Now().Add(at)); err != nil {
			t.Fatal(err)
		}
	}
	if changed, err := s.Refresh(); changed || err != nil {
		t.Errorf("nothing changed, but: %v %v", changed, err)
	}
	second := ca.issueAs(t, &x509.Certificate{Subject: first.cert.Subject, DNSNames: first.cert.DNSNames, NotAfter: time.Now().Add(100 * time.Hour)})
	put(second.chain(), time.Minute) // half written
	if _, err := s.Refresh(); err == nil || s.NotAfter() != first.cert.NotAfter {
		t.Errorf("half a file is taken: %v", err)
	}
	put(second.chain()+second.keyPEM(t, ""), 2*time.Minute)
	if changed, err := s.Refresh(); !changed || err != nil || s.NotAfter() != second.cert.NotAfter {
		t.Errorf("a new file is not taken: %v %v", changed, err)
	}
	client, err := Client(Settings{Truststore: Store{Type: "PEM", Certificates: certPEM(ca.cert)}, VerifyName: true})
	if err != nil {
		t.Fatal(err)
	}
	client.ServerName = "localhost"
	var shown *x509.Certificate
	client.VerifyConnection = func(cs tls.ConnectionState) error { shown = cs.PeerCertificates[0]; return nil }
	if _, err := handshake(s.Config(), client); err != nil || !shown.Equal(second.cert) {
		t.Errorf("the old certificate is served: %v", err)
	}
	put(ca.issue(t, "somebody else").chain(), 3*time.Minute)
	stranger := ca.issue(t, "somebody else")
	put(stranger.chain()+stranger.keyPEM(t, ""), 4*time.Minute)
	if _, err := s.Refresh(); err == nil || !strings.Contains(err.Error(), "DistinguishedName does not match") {
		t.Errorf("a certificate of another name is taken: %v", err)
	}
	next := Settings{Keystore: Store{Type: "PEM", Location: path}, AllowDNChanges: true}
	if err := s.Check(next); err != nil {
		t.Error(err)
	}
	if err := s.Change(next); err != nil || s.NotAfter() != stranger.cert.NotAfter {
		t.Error(err)
	}
	fewer := ca.issueAs(t, &x509.Certificate{Subject: stranger.cert.Subject})
	if err := s.Change(Settings{Keystore: Store{Type: "PEM", Certificates: fewer.chain(), Key: fewer.keyPEM(t, "")}}); err == nil || !strings.Contains(err.Error(), "SubjectAltNames") {
		t.Errorf("a certificate without the names of the old one is taken: %v", err)
	}
}

func TestDistinguishedName(t *testing.T) {
	email := pkix.AttributeTypeAndValue{Type: asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}, Value: "a@b"}
	for _, c := range []struct {
		name pkix.Name
		want string
	}{
		{pkix.Name{CommonName: "alice", OrganizationalUnit: []string{"ops"}, Organization: []string{"Weir"}, Country: []string{"DE"}}, "CN=alice,OU=ops,O=Weir,C=DE"},
		{pkix.Name{CommonName: `a,b+c"d\e<f>;`}, `CN=a\,b\+c\"d\\e\<f\>\;`},
		{pkix.Name{CommonName: " #x "}, `CN=\ #x\ `},
		{pkix.Name{CommonName: "#x"}, `CN=\#x`},
		{pkix.Name{CommonName: "Jürgen", Locality: []string{"Köln"}, Province: []string{"NRW"}, StreetAddress: []string{"s"}}, "CN=Jürgen,STREET=s,L=Köln,ST=NRW"},
		{pkix.Name{CommonName: "a", ExtraNames: []pkix.AttributeTypeAndValue{email}}, "1.2.840.113549.1.9.1=#0c03614062,CN=a"},
	} {
		der, err := asn1.Marshal(c.name.ToRDNSequence())
		if err != nil {
			t.Fatal(err)
		}
		got := DistinguishedName(der)
		parts := strings.Split(got, ",")
		if len(c.name.ExtraNames) > 0 && len(parts) == 2 { // the library decides on the order of what stands beside
			if got != c.want && parts[1]+","+parts[0] != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		} else if got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
	if DistinguishedName([]byte{0x30, 0x80}) != "" {
		t.Error("a broken name has a text")
	}
}

// The rules and names of Apache Kafka's documentation.
func TestRules(t *testing.T) {
	const docs = `RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/, RULE:^CN=(.*?),OU=(.*?),O=(.*?),L=(.*?),ST=(.*?),C=(.*?)$/$1@$2/L, RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/$1/L, DEFAULT`
	for _, c := range []struct{ rules, dn, want string }{
		{"DEFAULT", "CN=a,OU=b", "CN=a,OU=b"},
		{"", "CN=a", "CN=a"},
		{docs, "CN=serviceuser,OU=ServiceUsers,O=Unknown,L=Unknown,ST=Unknown,C=Unknown", "serviceuser"},
		{docs, "CN=adminUser,OU=Admin,O=Unknown,L=Unknown,ST=Unknown,C=Unknown", "adminuser@admin"},
		{docs, "OU=x,cn=Jim.B", "jim.b"},
		{docs, "OU=x", "OU=x"},
		{`RULE:^CN=(.*)$/$1/U`, "CN=ab", "AB"},
		{`RULE:^CN=(.*)\/x$/$1 \$2 $3/`, "CN=a/x", "a $2 $3"},
	} {
		rs, err := ParseRules(c.rules)
		if err != nil {
			t.Errorf("%s: %v", c.rules, err)
			continue
		}
		if got, err := rs.Name(c.dn); err != nil || got != c.want {
			t.Errorf("%s of %s: %q, want %q, %v", c.rules, c.dn, got, c.want, err)
		}
	}
	rs, _ := ParseRules(`RULE:^CN=(.*)$/$1/`)
	if _, err := rs.Name("OU=a"); err == nil {
		t.Error("a name that no rule matches has a user")
	}
	for _, bad := range []string{"x", "RULE:", "RULE:^CN=(.*)$", "RULE:^CN=(.*$/$1/", "DEFAULT x", "RULE:a/b/L, y", "RULE:a(?=b)/$1/"} {
		if _, err := ParseRules(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func FuzzRules(f *testing.F) {
	f.Add(`RULE:^CN=(.*?),OU=(.*?)$/$1@$2/L, DEFAULT`, "CN=a,OU=b")
	f.Fuzz(func(_ *testing.T, rules, dn string) {
		if rs, err := ParseRules(rules); err == nil {
			_, _ = rs.Name(dn)
		}
	})
}

func FuzzDistinguishedName(f *testing.F) {
	der, _ := asn1.Marshal(pkix.Name{CommonName: "a", Country: []string{"DE"}}.ToRDNSequence())
	f.Add(der)
	f.Fuzz(func(_ *testing.T, der []byte) { DistinguishedName(der) })
}

// FuzzStores reads key and trust stores of all forms: whatever is in them, there is an answer, in bounded memory.
func FuzzStores(f *testing.F) {
	ca := newAuthority(f)
	id := ca.issue(f, "a")
	f.Add([]byte(id.chain()+id.keyPEM(f, "")), uint8(0))
	f.Add(id.p12(f), uint8(1))
	f.Add(id.jks(f, secret), uint8(2))
	f.Add([]byte{0xfe, 0xed, 0xfe, 0xed, 0, 0, 0, 2, 0x7f, 0xff, 0xff, 0xff}, uint8(2))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), uint8(0))
	f.Fuzz(func(_ *testing.T, data []byte, form uint8) {
		switch form % 3 {
		case 0:
			if _, err := pemCertificates(data); err == nil {
				_, _ = pemPair(data, data, secret)
			}
		case 1:
			_, _ = binaryPair(data, "PKCS12", secret, "")
			_, _ = binaryAnchors(data, "PKCS12", secret)
		case 2:
			_, _ = binaryPair(data, "JKS", secret, secret)
			_, _ = binaryAnchors(data, "JKS", secret)
		}
	})
}
