package config

import (
	"strings"
	"testing"
)

// combined is the least file of a node with both roles.
const combined = "process.roles=broker,controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\ncontroller.quorum.bootstrap.servers=localhost:9093\n" +
	"listeners=PLAINTEXT://:9092,CONTROLLER://:9093\nadvertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093\n"

func tryLoad(t *testing.T, file string) (*Set, []Notice, error) {
	t.Helper()
	props, err := ParseProperties([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	return Load(props, nil)
}

func mustLoad(t *testing.T, file string) *Set {
	t.Helper()
	s, _, err := tryLoad(t, file)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Each case adds lines to the combined file; the error must have all of the words.
func TestRefusedFiles(t *testing.T) {
	for _, c := range []struct{ name, add, want string }{
		{"two listeners on one port", "listeners=PLAINTEXT://:9092,CONTROLLER://:9092", "listeners|9092|different port|PLAINTEXT and CONTROLLER"},
		{"one name twice", "listeners=PLAINTEXT://:9092,PLAINTEXT://:9094,CONTROLLER://:9093", "listeners|PLAINTEXT stands there twice"},
		{"no port", "listeners=PLAINTEXT://localhost,CONTROLLER://:9093", "listeners|PLAINTEXT://localhost|NAME://host:port"},
		{"port out of range", "listeners=PLAINTEXT://localhost:99999,CONTROLLER://:9093", "listeners|0 to 65535"},
		{"unmapped name", "listeners=INTERNAL://:9092,CONTROLLER://:9093", "listeners|INTERNAL|listener.security.protocol.map"},
		{"unknown protocol", "listener.security.protocol.map=PLAINTEXT:PLAIN,CONTROLLER:PLAINTEXT", "listener.security.protocol.map|PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"},
		{"advertised elsewhere", "advertised.listeners=OTHER://h:1\nlistener.security.protocol.map=OTHER:PLAINTEXT,PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT", "advertised.listeners|OTHER://h:1|PLAINTEXT,CONTROLLER"},
		{"advertised wildcard", "advertised.listeners=PLAINTEXT://0.0.0.0:9092", "advertised.listeners|0.0.0.0|nonroutable"},
		{"inter-broker name", "inter.broker.listener.name=NONE", "inter.broker.listener.name|NONE"},
		{"controller listener not bound", "listeners=PLAINTEXT://:9092", "controller.listener.names|CONTROLLER|must appear in listeners"},
		{"only controller listeners", "listeners=CONTROLLER://:9093\nadvertised.listeners=CONTROLLER://localhost:9093", "advertised.listeners|at least one"},
		{"not a voter", "controller.quorum.voters=2@h:9093", "controller.quorum.voters|2@h:9093|node.id 1"},
		{"ids differ", "broker.id=7", "node.id|1|broker.id|7"},
		{"no quorum", "controller.quorum.bootstrap.servers=", "controller.quorum.bootstrap.servers|controller.quorum.voters"},
		{"early start", "early.start.listeners=CONTROLLER, internal", "early.start.listeners contains listener INTERNAL"},
		{"mechanism", "sasl.enabled.mechanisms=PLAIN,GSSAPI", "sasl.enabled.mechanisms|GSSAPI|OAUTHBEARER"},
		{"number", "num.partitions=many", "num.partitions|many|INT"},
		{"range", "log.segment.bytes=10", "log.segment.bytes|10|at least 1048576"},
		{"choice", "compression.type=zip", "compression.type|zip|uncompressed, zstd, lz4, snappy, gzip, producer"},
		{"retention 0", "log.retention.hours=0", "log.retention.hours|0|unlimited (-1)"},
		{"heartbeat", "broker.session.timeout.ms=1000", "broker.session.timeout.ms|1000|broker.heartbeat.interval.ms"},
		{"durability", "weir.durability=always", "weir.durability|always|page-cache, fsync"},
		{"role", "process.roles=broker,king", "process.roles|king|broker, controller"},
	} {
		_, _, err := tryLoad(t, combined+c.add)
		if err == nil {
			t.Errorf("%s: accepted", c.name)
			continue
		}
		for _, w := range strings.Split(c.want, "|") {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%s: %q lacks %q", c.name, err, w)
			}
		}
	}
}

func TestMissingKeys(t *testing.T) {
	for file, want := range map[string]string{
		"process.roles=broker,controller\ncontroller.listener.names=C":                              `"node.id"`,
		"process.roles=broker,controller\nnode.id=1":                                                `"controller.listener.names"`,
		"process.roles=broker\nnode.id=1\ncontroller.listener.names=C\nlisteners=PLAINTEXT://:9092": "controller.quorum.bootstrap.servers",
	} {
		if _, _, err := tryLoad(t, file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: err = %v, want %s", file, err, want)
		}
	}
}

func TestEveryWrongValueIsReported(t *testing.T) {
	_, _, err := tryLoad(t, "num.partitions=x\nlog.retention.ms=y\nsasl.kerberos.service.name=kafka")
	if n := len(Errors(err)); n != 3 {
		t.Errorf("%d errors: %v", n, err)
	}
}

func TestRolesAndLoneliness(t *testing.T) {
	for _, c := range []struct {
		name, file string
		alone      bool
	}{
		{"bootstrap server is itself", combined, true},
		{"bootstrap server is another", combined + "controller.quorum.bootstrap.servers=other:9999", false},
		{"several bootstrap servers", combined + "controller.quorum.bootstrap.servers=a:9093,b:9093,c:9093", false},
		{"only voter", combined + "controller.quorum.voters=1@localhost:9093", true},
		{"one voter of three", combined + "controller.quorum.voters=1@a:9093,2@b:9093,3@c:9093", false},
		{"broker alone", "process.roles=broker\nnode.id=5\ncontroller.listener.names=CONTROLLER\ncontroller.quorum.voters=1@a:9093\nlisteners=PLAINTEXT://h:9092", false},
		{"controller alone", "process.roles=controller\nnode.id=1\ncontroller.listener.names=CONTROLLER\ncontroller.quorum.voters=1@a:9093\nlisteners=CONTROLLER://h:9093", false},
	} {
		if got := mustLoad(t, c.file).Node().Alone; got != c.alone {
			t.Errorf("%s: alone = %v", c.name, got)
		}
	}
}

func TestOldAddresses(t *testing.T) {
	n := mustLoad(t, "broker.id=3\nhost.name=10.0.0.1\nport=9095\nadvertised.host.name=kafka.example\nadvertised.port=29095\nzookeeper.connect=z:2181").Node()
	if n.ID != 3 || n.Listeners[0].String() != "PLAINTEXT://10.0.0.1:9095" || n.Advertised[0].String() != "PLAINTEXT://kafka.example:29095" {
		t.Errorf("node = %+v", n)
	}
}

func TestAnEmptyFileIsANode(t *testing.T) {
	n := mustLoad(t, "").Node()
	if !n.Alone || n.ID != 0 || n.LogDirs[0] != "/tmp/kafka-logs" || n.Advertised[0].Host == "" || n.Advertised[0].Port != 9092 {
		t.Errorf("node = %+v", n)
	}
}

func TestIPv4AndIPv6MayShareAPort(t *testing.T) {
	file := "listeners=A://127.0.0.1:9092,B://[::1]:9092\nadvertised.listeners=A://127.0.0.1:9092,B://[::1]:9092\ninter.broker.listener.name=A\nlistener.security.protocol.map=A:PLAINTEXT,B:PLAINTEXT"
	if n := mustLoad(t, file).Node(); len(n.Advertised) != 2 || n.Advertised[1].Address() != "[::1]:9092" {
		t.Errorf("advertised = %v", n.Advertised)
	}
	if _, _, err := tryLoad(t, strings.ReplaceAll(file, "[::1]", "127.0.0.2")); err == nil {
		t.Error("two IPv4 addresses share a port")
	}
}

// What nodes dial: the first listener of controllers, which a broker alone does not have itself, and that between brokers.
// The only controller dials no other.
func TestDialedListeners(t *testing.T) {
	const files = "ssl.keystore.type=PEM\nssl.keystore.location=/k.pem\n"
	three := "controller.quorum.voters=1@a:9093,2@b:9093,3@c:9093\n" + files
	for _, c := range []struct{ lines, want string }{
		{three + "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:SSL", "CONTROLLER:SSL PLAINTEXT:PLAINTEXT"},
		{three + "listener.security.protocol.map=PLAINTEXT:SSL,CONTROLLER:PLAINTEXT", "CONTROLLER:PLAINTEXT PLAINTEXT:SSL"},
		{three + "process.roles=controller\nlisteners=CONTROLLER://:9093\nadvertised.listeners=CONTROLLER://a:9093\nlistener.security.protocol.map=CONTROLLER:SSL", "CONTROLLER:SSL"},
		{three + "process.roles=broker\nnode.id=4\nlisteners=PLAINTEXT://:9092\nlistener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:SSL", "CONTROLLER:SSL PLAINTEXT:PLAINTEXT"},
		{"controller.quorum.voters=1@localhost:9093\n" + files + "listener.security.protocol.map=PLAINTEXT:SSL,CONTROLLER:SSL", "PLAINTEXT:SSL"},
	} {
		set, _, err := tryLoad(t, combined+c.lines)
		if err != nil {
			t.Errorf("%s: %v", c.lines, err)
			continue
		}
		var got []string
		for _, l := range set.Node().Dialed() {
			if l.Controller != (l.Name == "CONTROLLER") {
				t.Errorf("%s: %v", c.lines, l)
			}
			got = append(got, l.Name+":"+l.Protocol)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: %v", c.lines, got)
		}
	}
	// A cluster that could never elect a leader; Apache Kafka starts, and tries for ever.
	scram := "listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:SASL_SSL\nsasl.enabled.mechanisms=SCRAM-SHA-512\nsasl.mechanism.controller.protocol=SCRAM-SHA-512\n"
	for voters, ok := range map[string]bool{"1@a:9093,2@b:9093": false, "1@a:9093": true} {
		_, _, err := tryLoad(t, combined+files+scram+"controller.quorum.voters="+voters)
		if (err == nil) != ok || err != nil && !strings.Contains(err.Error(), "sasl.mechanism.controller.protocol") {
			t.Errorf("SCRAM among %s: %v", voters, err)
		}
	}
	broker := "process.roles=broker\nnode.id=4\nlisteners=PLAINTEXT://:9092\n"
	if _, _, err := tryLoad(t, combined+three+broker+"listener.security.protocol.map=PLAINTEXT:PLAINTEXT"); err == nil || !strings.Contains(err.Error(), "controller.listener.names") {
		t.Errorf("without a protocol for controllers: %v", err)
	}
}
