package doctor

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// broker is the facts of one running broker of a cluster that is in order.
func broker(change ...func(*facts)) *facts {
	f := &facts{now: now, cluster: &cluster{bootstrap: "k:9092", brokers: 3, clockKnown: true, clockError: 5 * time.Millisecond,
		topics: []topic{{name: "t", replicas: 3, minISR: 2, partitions: 1}}}}
	n := &node{where: "broker 1", guess: "4.3", metadataFrom: 30, settings: map[string]string{
		"auto.create.topics.enable": "false", "default.replication.factor": "3", "offsets.topic.replication.factor": "3", "super.users": "User:admin"},
		listeners: []listener{{name: "CLIENTS", protocol: "SASL_SSL", host: "k", port: 9092, mustReach: true, reached: true, anonymous: -1, tls: shows("k", 300)}},
		dirs:      []directory{{path: "/var/lib/kafka", total: 100 << 30, free: 50 << 30}}}
	f.nodes = append(f.nodes, n)
	for _, c := range change {
		c(f)
	}
	return f
}

// file is the facts of a server.properties that is in order.
func file(change ...func(*facts)) *facts {
	f := broker()
	f.cluster = nil
	n := f.nodes[0]
	n.file, n.guess, n.metadataFrom = "/etc/kafka/server.properties", "", 0
	n.settings["authorizer.class.name"] = authorizerClass
	n.settings["controller.quorum.voters"] = "1@a:9093,2@b:9093,3@c:9093"
	n.settings["min.insync.replicas"] = "2"
	n.settings["controller.listener.names"] = "CONTROLLER"
	n.secrets = []secret{{"/etc/kafka/server.properties", "passwords stand in it", 0o600}}
	n.openFiles = 1 << 20
	for _, c := range change {
		c(f)
	}
	return f
}

func shows(host string, days int) *tlsFacts {
	return &tlsFacts{leaf: &x509.Certificate{DNSNames: []string{host}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Duration(days) * 24 * time.Hour)}}
}

// set changes a setting of the only node.
func set(key, value string) func(*facts) {
	return func(f *facts) { f.nodes[0].settings[key] = value }
}

// on changes the only listener.
func on(change func(*listener)) func(*facts) {
	return func(f *facts) { change(&f.nodes[0].listeners[0]) }
}

func in(change func(*cluster)) func(*facts) {
	return func(f *facts) { change(f.cluster) }
}

func one(change func(*node)) func(*facts) {
	return func(f *facts) { change(f.nodes[0]) }
}

func plain(l *listener) { l.protocol, l.tls = "PLAINTEXT", nil }

// Every check fires on what it is for, with the severity and a word of the evidence; every one is silent on what is
// near to that and in order.
var cases = []struct {
	check    string
	facts    *facts
	severity Severity // "" for silence
	evidence string
}{
	{"settings", file(one(func(n *node) { n.loadError = "num.partitions: not a number" })), Warning, "num.partitions"},
	{"plaintext-listener", broker(on(plain)), Error, "listener CLIENTS takes connections"},
	{"plaintext-listener", file(on(plain)), Error, "PLAINTEXT, port 9092"},
	{"plaintext-listener", broker(on(plain), on(func(l *listener) { l.protocol = "SASL_PLAINTEXT" }), set("sasl.enabled.mechanisms", "PLAIN")), Error, "passwords or tokens"},
	{"plaintext-listener", broker(on(plain), on(func(l *listener) { l.bind = "127.0.0.1" })), "", ""},
	{"plaintext-listener", broker(on(plain), on(func(l *listener) { l.failed = "connection refused" })), "", ""},
	{"anonymous-access", broker(on(func(l *listener) { l.anonymous = 4 })), Error, "4 topics"},
	{"no-authorizer", broker(in(func(c *cluster) { c.noAuthorizer = true })), Error, "SECURITY_DISABLED"},
	{"no-authorizer", file(set("authorizer.class.name", "")), Error, "not set"},
	{"no-authorizer", file(set("authorizer.class.name", ""), on(func(l *listener) { l.bind = "127.0.0.1" })), Warning, "not set"},
	{"open-by-default", broker(set("allow.everyone.if.no.acl.found", "true")), Error, "open to everybody"},
	{"open-by-default", file(set("allow.everyone.if.no.acl.found", "false")), "", ""},
	{"super-users", broker(set("super.users", "User:admin;User:ANONYMOUS")), Error, "ANONYMOUS"},
	{"super-users", broker(set("super.users", "User:admin;User:ANONYMOUS-reader")), "", ""},
	{"open-rules", broker(in(func(c *cluster) {
		c.rules = []rule{{"User:*", "TOPIC", "*", "LITERAL", "WRITE", "*", true}}
	})), Error, "User:* may WRITE on topic *"},
	{"open-rules", broker(in(func(c *cluster) {
		c.rules = []rule{{"User:*", "TOPIC", "public", "LITERAL", "READ", "*", true}}
	})), Warning, "public"},
	{"open-rules", broker(in(func(c *cluster) {
		c.rules = []rule{{"User:a", "TOPIC", "*", "LITERAL", "ALL", "*", true}, {"User:*", "TOPIC", "*", "LITERAL", "ALL", "*", false}, {"User:*", "TOPIC", "*", "LITERAL", "DESCRIBE", "*", true}}
	})), "", ""},
	{"known-password", file(set("listener.name.clients.plain.sasl.jaas.config", `org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="admin-secret" user_bob="Vt7wQ2mZ0xYk";`)), Error, "password of admin"},
	{"known-password", file(set("ssl.keystore.password", "changeit")), Warning, "ssl.keystore.password"},
	{"known-password", broker(in(func(c *cluster) { c.taken = []string{"alice"} })), Error, "alice"},
	{"known-password", file(set("listener.name.clients.plain.sasl.jaas.config", `org.apache.kafka.common.security.plain.PlainLoginModule required username="admin" password="Vt7wQ2mZ0xYk";`),
		set("ssl.keystore.password", "q8Wz1LrT5nXc")), "", ""},
	{"secrets-readable", file(one(func(n *node) { n.secrets[0].mode = 0o644 })), Error, "mode 0644"},
	{"secrets-readable", file(one(func(n *node) { n.secrets[0].mode = 0o640 })), Warning, "group"},
	{"secrets-readable", file(one(func(n *node) { n.dirs[0].mode = 0o755 })), Warning, "look in"},
	{"nameless-clients", file(on(func(l *listener) { l.protocol = "SSL" })), Warning, "ANONYMOUS"},
	{"nameless-clients", file(on(func(l *listener) { l.protocol = "SSL" }), set("listener.name.clients.ssl.client.auth", "required")), "", ""},
	{"weak-tls", broker(on(func(l *listener) { l.tls.weak = []string{"TLSv1.1"} })), Error, "accepts TLSv1.1"},
	{"weak-tls", file(set("ssl.enabled.protocols", "TLSv1.2,TLSv1.1")), Error, "TLSv1.1"},
	{"weak-tls", file(set("ssl.cipher.suites", "TLS_RSA_WITH_AES_128_CBC_SHA")), Error, "TLS_RSA_WITH"},
	{"weak-tls", file(set("ssl.enabled.protocols", "TLSv1.2,TLSv1.3"), set("ssl.cipher.suites", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")), "", ""},
	{"certificate-end", broker(on(func(l *listener) { l.tls = shows("k", 20) })), Warning, "in 20 days"},
	{"certificate-end", broker(on(func(l *listener) { l.tls = shows("k", 3) })), Error, "in 3 days"},
	{"certificate-end", broker(on(func(l *listener) { l.tls = shows("k", -1) })), Error, "has ended"},
	{"certificate-end", broker(on(func(l *listener) { l.tls.leaf.NotBefore = now.Add(time.Hour) })), Error, "not valid before"},
	{"certificate-end", broker(on(func(l *listener) {
		l.tls.chain = []*x509.Certificate{{Subject: pkix.Name{CommonName: "root"}, NotAfter: now.Add(24 * time.Hour)}}
	})), Error, "authority root"},
	{"certificate-name", broker(on(func(l *listener) { l.tls = shows("other", 300) })), Error, "certificate is for other"},
	{"certificate-name", broker(on(func(l *listener) { l.tls.leaf = &x509.Certificate{NotAfter: now.Add(9000 * time.Hour)} })), Error, "no names at all"},
	{"certificate-name", broker(on(func(l *listener) { l.host = "10.0.0.1"; l.tls.leaf.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)} })), "", ""},
	{"certificate-unusable", file(on(func(l *listener) { l.tls = &tlsFacts{failed: "no such file"} })), Error, "no such file"},
	{"peer-names", file(set("ssl.endpoint.identification.algorithm", "")), Warning, "any certificate"},
	{"peer-names", file(set("ssl.endpoint.identification.algorithm", "https")), "", ""},
	{"advertised-address", broker(on(func(l *listener) { l.failed = "connection refused" })), Error, "cannot be reached"},
	{"advertised-address", broker(on(func(l *listener) { l.host = "localhost" })), Error, "their own machine"},
	{"advertised-address", broker(on(func(l *listener) { l.host = "localhost" }), in(func(c *cluster) { c.bootstrap = "localhost:9092" })), "", ""},
	{"advertised-address", broker(on(func(l *listener) { l.failed = "connection refused"; l.mustReach = false })), "", ""},
	{"advertised-address", file(on(func(l *listener) { l.host = "0.0.0.0" })), Error, "no address"},
	{"advertised-address", file(on(func(l *listener) { l.host = "localhost" })), Error, "sent to themselves"},
	{"advertised-address", file(on(func(l *listener) { l.failed = "the name does not resolve here" })), Error, "does not resolve"},
	{"advertised-address", file(on(func(l *listener) { l.host = "localhost"; l.bind = "127.0.0.1" })), "", ""},
	{"offline-partitions", broker(in(func(c *cluster) { c.topics[0].offline = []int32{3} })), Error, "t-3"},
	{"under-replicated", broker(in(func(c *cluster) { c.topics[0].under = []int32{0, 1, 2, 3, 4, 5, 6} })), Error, "7 partitions have fewer copies in sync than they should: t-0, t-1, t-2, t-3, t-4 and 2 more"},
	{"replication-factor", broker(set("offsets.topic.replication.factor", "5")), Error, "cannot be made"},
	{"replication-factor", broker(set("default.replication.factor", "5")), Warning, "cannot be made"},
	{"replication-factor", broker(set("default.replication.factor", "1")), Warning, "gone with its broker"},
	{"replication-factor", broker(in(func(c *cluster) { c.topics[0].replicas = 1 })), Warning, "kept once"},
	{"replication-factor", file(set("default.replication.factor", "1"), set("controller.quorum.voters", "1@a:9093")), "", ""},
	{"replication-factor", broker(in(func(c *cluster) { c.topics[0].replicas, c.brokers = 1, 1 }), set("default.replication.factor", "1"), set("offsets.topic.replication.factor", "1"),
		set("transaction.state.log.replication.factor", "1")), "", ""},
	{"min-insync-replicas", broker(in(func(c *cluster) { c.topics[0].minISR = 4 })), Error, "nothing can be written"},
	{"min-insync-replicas", broker(in(func(c *cluster) { c.topics[0].minISR = 3 })), Warning, "stops writes"},
	{"min-insync-replicas", broker(in(func(c *cluster) { c.topics[0].minISR = 1 })), Warning, "one broker only"},
	{"min-insync-replicas", file(set("min.insync.replicas", "3")), Warning, "stops writes"},
	{"min-insync-replicas", file(set("min.insync.replicas", "1")), Warning, "one broker only"},
	{"min-insync-replicas", file(set("min.insync.replicas", "4")), Error, "nothing can be written"},
	{"unclean-election", broker(set("unclean.leader.election.enable", "true")), Error, "acknowledged records"},
	{"unclean-election", broker(in(func(c *cluster) { c.topics[0].unclean = true })), Error, "1 topics elect"},
	{"volatile-data", broker(one(func(n *node) { n.dirs[0].volatile = "is under /tmp" })), Error, "is under /tmp"},
	{"disk-space", broker(one(func(n *node) { n.dirs[0].free = 8 << 30 })), Warning, "8.0 GiB of 100.0 GiB"},
	{"disk-space", broker(one(func(n *node) { n.dirs[0].free = 1 << 30 })), Error, "1.0 GiB"},
	{"disk-space", broker(one(func(n *node) { n.dirs[0].total, n.dirs[0].free = 0, 0 })), "", ""},
	{"file-limit", file(one(func(n *node) { n.openFiles = 1024 })), Warning, "1024 files"},
	{"clock", file(one(func(n *node) { n.clockUnkept = true })), Warning, "nothing keeps"},
	{"clock", broker(in(func(c *cluster) { c.clock = -3 * time.Second })), Warning, "-3s"},
	{"clock", broker(in(func(c *cluster) { c.clock = time.Hour })), Error, "1h0m0s"},
	{"clock", broker(in(func(c *cluster) { c.clock, c.clockError = 3*time.Second, 4*time.Second })), "", ""},
	{"auto-create-topics", broker(set("auto.create.topics.enable", "true")), Info, "mistyped"},
	{"old-version", broker(one(func(n *node) { n.guess = "3.6" })), Warning, "Kafka 3.6"},
	{"old-version", broker(one(func(n *node) { n.metadataFrom = 19 })), Warning, "metadata.version is 19"},
	{"old-version", file(set("zookeeper.connect", "z:2181")), Warning, "zookeeper.connect"},
	{"old-version", broker(one(func(n *node) { n.guess = "4.3" })), "", ""},
}

func TestChecks(t *testing.T) {
	fired := map[string]bool{}
	for _, c := range cases {
		found := slices.DeleteFunc(diagnose(c.facts).Findings, func(f Finding) bool { return f.Check != c.check })
		if c.severity == "" {
			if len(found) != 0 {
				t.Errorf("%s: %+v, want silence", c.check, found)
			}
			continue
		}
		fired[c.check] = true
		if len(found) != 1 || found[0].Severity != c.severity || !strings.Contains(found[0].Evidence, c.evidence) || found[0].Fix == "" || found[0].Where == "" {
			t.Errorf("%s: %+v, want one %s with %q", c.check, found, c.severity, c.evidence)
		}
	}
	for _, c := range checks {
		if !fired[c.name] {
			t.Errorf("no case in which %s fires", c.name)
		}
	}
	// Here all of them are silent.
	for _, f := range []*facts{broker(), file()} {
		if r := diagnose(f); len(r.Findings) != 0 || len(r.Checks) != len(checks) {
			t.Errorf("in order, and yet %+v", r.Findings)
		}
	}
}

// No finding shows a password.
func TestNoSecretsInFindings(t *testing.T) {
	const line = `org.apache.kafka.common.security.plain.PlainLoginModule required username="hunter" password="hunter-secret" user_hunter="hunter-secret";`
	var out strings.Builder
	r := diagnose(file(set("listener.name.clients.plain.sasl.jaas.config", line), set("ssl.key.password", "changeit")))
	r.table(&out)
	if err := r.json(&out); err != nil || strings.Contains(out.String(), "hunter-secret") || strings.Contains(out.String(), "changeit") || !strings.Contains(out.String(), "password of hunter") {
		t.Errorf("%v\n%s", err, out.String())
	}
}

func TestParseListeners(t *testing.T) {
	got := parseListeners(map[string]string{
		"listeners":                      "A://:1,b://127.0.0.1:2,C://0.0.0.0:3,broken,D://[::1]:4",
		"advertised.listeners":           "A://a.example:11,C://[2001:db8::1]:33",
		"listener.security.protocol.map": "A:SSL,B:PLAINTEXT,C:SASL_SSL,D:PLAINTEXT",
	})
	want := []listener{
		{name: "A", protocol: "SSL", host: "a.example", port: 11, anonymous: -1}, {name: "B", protocol: "PLAINTEXT", bind: "127.0.0.1", port: 2, anonymous: -1},
		{name: "C", protocol: "SASL_SSL", host: "2001:db8::1", port: 33, anonymous: -1}, {name: "D", protocol: "PLAINTEXT", bind: "::1", port: 4, anonymous: -1},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%+v", got)
	}
	if got[1].open() || !got[0].open() || !got[2].open() || got[3].open() {
		t.Error("which are open")
	}
}
