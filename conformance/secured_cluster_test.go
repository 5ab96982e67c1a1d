//go:build conform

package conformance

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/weir-stream/weir/internal/kafkadist"
	"github.com/weir-stream/weir/internal/testkit/brokers"
	"github.com/weir-stream/weir/internal/testkit/certkit"
)

// securedTrio is three nodes that speak SASL_SSL among themselves and to clients, TLS with certificates of both sides between
// controllers, and ask an authorizer.
type securedTrio struct {
	t       *testing.T
	d       *kafkadist.Dist
	nodes   []*brokers.Broker
	dir, ca string
}

const (
	securedModules  = "org.apache.kafka.common.security."
	securedListener = "CLIENTS"
)

func newSecuredTrio(t *testing.T) *securedTrio {
	t.Helper()
	s := &securedTrio{t: t, d: dist(t, kafkadist.Current), dir: t.TempDir()}
	c := brokers.Config{Binary: binary(t), Dir: s.dir, Port: basePort + int(started.Add(6))*portsEach, Extra: map[string]string{securedListener: "SASL_SSL", "INTERNAL": "SASL_SSL"}}
	if selfComparison() {
		c.Binary, c.Dist, c.Heap = "", s.d, "384M"
	}
	ca := certkit.New(t)
	s.ca = certkit.File(t, s.dir, "ca.pem", ca.PEM)
	c.Props = map[string]string{
		"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:SSL,INTERNAL:SASL_SSL," + securedListener + ":SASL_SSL",
		"inter.broker.listener.name":     "INTERNAL",
		"ssl.keystore.type":              "PEM", "ssl.keystore.location": ca.Issue(t, "node").Keystore(t, s.dir, "node.pem"),
		"ssl.truststore.type": "PEM", "ssl.truststore.location": s.ca,
		"listener.name.controller.ssl.client.auth": "required", "ssl.principal.mapping.rules": "RULE:^CN=(.*)$/$1/,DEFAULT",
		"sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512", "sasl.mechanism.inter.broker.protocol": "PLAIN",
		"authorizer.class.name":       "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users":                 "User:node;User:admin",
		"delegation.token.secret.key": "the-same-on-all-three-nodes",
	}
	for _, l := range []string{"internal", strings.ToLower(securedListener)} {
		prefix := "listener.name." + l + "."
		c.Props[prefix+"plain.sasl.jaas.config"] = securedModules + `plain.PlainLoginModule required username="node" password="node-pw-5521" user_node="node-pw-5521" user_admin="admin-pw-7734";`
		for _, scram := range []string{"scram-sha-256", "scram-sha-512"} {
			c.Props[prefix+scram+".sasl.jaas.config"] = securedModules + "scram.ScramLoginModule required;"
		}
	}
	var err error
	if s.nodes, err = brokers.StartNodes(t.Context(), 3, c); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, n := range s.nodes {
			if t.Failed() {
				t.Logf("the end of %s's log:\n%s", n.Dir, n.LogTail(10))
			}
			n.Kill()
		}
	})
	return s
}

// login writes the file of somebody who logs in and returns its path.
func (s *securedTrio) login(name, mechanism, jaas string) string {
	return write(s.t, s.dir, name+".properties", strings.Join([]string{"security.protocol=SASL_SSL", "ssl.truststore.type=PEM", "ssl.truststore.location=" + s.ca,
		"sasl.mechanism=" + mechanism, "sasl.jaas.config=" + securedModules + jaas, "default.api.timeout.ms=20000", "request.timeout.ms=15000"}, "\n"))
}

// run runs one of Apache's tools as somebody, with a node of 1 to 3 to begin with, and wants its exit code and words in its output.
func (s *securedTrio) run(as string, node int, input string, code int, want []string, line string) string {
	s.t.Helper()
	args := strings.Fields(strings.ReplaceAll(line, "%D", s.dir))
	name := args[0]
	args = append([]string{"--bootstrap-server", s.nodes[node-1].At[securedListener], "--command-config", as}, args[1:]...)
	if class := toolClasses[name]; class != "" { // an assembled Kafka has no script of its own for it
		name, args = "kafka-run-class", append([]string{class}, args...)
	}
	out, got := tool(s.t, s.d, nil, input, name, args...)
	if got != code {
		s.t.Fatalf("as %s at node %d: %s: exit code %d, want %d:\n%s", filepath.Base(as), node, line, got, code, out)
	}
	for _, w := range want {
		if !strings.Contains(out, w) {
			s.t.Errorf("as %s at node %d: %s: no %q in\n%s", filepath.Base(as), node, line, w, out)
		}
	}
	return out
}

var toolClasses = map[string]string{"kafka-delegation-tokens": "org.apache.kafka.tools.DelegationTokenCommand"}

var tokenLine = regexp.MustCompile(`(?m)^(\S{22})\s+(\S{80,})\s+User:alice\s`)

// TestSecuredClusterTools: Apache's own tools against three secured nodes, each command at another node than the one before. With
// WEIR_CONFORM_SUBJECT=apache the same is asked of three nodes of Apache Kafka.
func TestSecuredClusterTools(t *testing.T) {
	s := newSecuredTrio(t)
	admin := s.login("admin", "PLAIN", `plain.PlainLoginModule required username="admin" password="admin-pw-7734";`)
	alice := s.login("alice", "SCRAM-SHA-512", `scram.ScramLoginModule required username="alice" password="alice-pw-1290";`)
	wrong := s.login("wrong", "SCRAM-SHA-512", `scram.ScramLoginModule required username="alice" password="alice-pw-1291";`)
	ok := func(as string, node int, line string, want ...string) string {
		t.Helper()
		return s.run(as, node, "", 0, want, line)
	}
	refused := func(as string, node int, line string, want ...string) {
		t.Helper()
		s.run(as, node, "", 1, want, line)
	}
	ok(admin, 1, "kafka-configs --alter --entity-type users --entity-name alice --add-config SCRAM-SHA-512=[password=alice-pw-1290]", "Completed updating config for user alice.")
	ok(admin, 2, "kafka-topics --create --topic orders --partitions 3 --replication-factor 3 --config min.insync.replicas=2", "Created topic orders.")
	refused(wrong, 3, "kafka-topics --list", "Authentication failed")
	if out := ok(alice, 3, "kafka-topics --list"); strings.Contains(out, "orders") {
		t.Errorf("alice sees\n%s", out)
	}
	s.run(alice, 1, "one\n", 0, []string{"TOPIC_AUTHORIZATION_FAILED"}, "kafka-console-producer --topic orders")
	ok(admin, 2, "kafka-acls --add --allow-principal User:alice --producer --topic orders", "Adding ACLs for resource")
	ok(admin, 3, "kafka-acls --add --allow-principal User:alice --consumer --topic orders --group billing", "Adding ACLs for resource")
	ok(admin, 1, "kafka-acls --list --topic orders", "User:alice, host=*, operation=WRITE, permissionType=ALLOW", "operation=READ")
	ok(admin, 2, "kafka-configs --alter --entity-type users --entity-name alice --add-config producer_byte_rate=1048576,consumer_byte_rate=2097152", "Completed updating config for user alice.")
	ok(admin, 3, "kafka-configs --describe --entity-type users --entity-name alice", "producer_byte_rate=1048576", "SCRAM-SHA-512=iterations=4096")
	s.run(alice, 3, "one\ntwo\nthree\n", 0, nil, "kafka-console-producer --topic orders --command-property acks=all")
	ok(alice, 1, "kafka-console-consumer --topic orders --group billing --from-beginning --max-messages 3 --timeout-ms 30000", "one", "two", "three", "Processed a total of 3 messages")
	ok(alice, 2, "kafka-consumer-groups --describe --group billing", "billing", "orders")
	s.run(alice, 3, "", 0, []string{"GroupAuthorizationException"}, "kafka-consumer-groups --describe --group other") // the tool's own exit code

	// A token that node 1 makes is good at the others.
	made := tokenLine.FindStringSubmatch(ok(alice, 1, "kafka-delegation-tokens --create --max-life-time-period -1", "User:alice"))
	if made == nil {
		t.Fatal("no token")
	}
	bearer := s.login("bearer", "SCRAM-SHA-512", fmt.Sprintf(`scram.ScramLoginModule required username="%s" password="%s" tokenauth="true";`, made[1], made[2]))
	ok(bearer, 3, "kafka-console-consumer --topic orders --group billing --max-messages 1 --from-beginning --timeout-ms 5000 --command-property enable.auto.commit=false")
	if out := ok(bearer, 2, "kafka-topics --list"); !strings.Contains(out, "orders") {
		t.Errorf("who has alice's token sees\n%s", out)
	}
	refused(bearer, 1, "kafka-delegation-tokens --create --max-life-time-period -1", "UnsupportedByAuthenticationException")
	ok(alice, 2, "kafka-delegation-tokens --renew --renew-time-period 3600000 --hmac "+made[2], "Completed renew operation")
	ok(alice, 3, "kafka-delegation-tokens --describe --owner-principal User:alice", made[1])
	ok(alice, 3, "kafka-delegation-tokens --expire --expiry-time-period -1 --hmac "+made[2], "Completed expire operation")
	refused(bearer, 2, "kafka-topics --list", "Authentication failed")

	// Work of an administrator, with copies that go over SASL_SSL.
	write(t, s.dir, "move.json", `{"version":1,"partitions":[{"topic":"orders","partition":0,"replicas":[2,3]},{"topic":"orders","partition":1,"replicas":[3,1]}]}`)
	refused(alice, 1, "kafka-reassign-partitions --execute --reassignment-json-file %D/move.json", "ClusterAuthorizationException")
	ok(admin, 2, "kafka-reassign-partitions --execute --reassignment-json-file %D/move.json", "Successfully started partition reassignments for orders-0,orders-1")
	eventually(t, "the reassignment is over", func() bool {
		out := ok(admin, 3, "kafka-reassign-partitions --verify --reassignment-json-file %D/move.json")
		return strings.Contains(out, "orders-0 is completed") && strings.Contains(out, "orders-1 is completed")
	})
	// What is taken away is gone at every node.
	ok(admin, 1, "kafka-acls --remove --force --allow-principal User:alice --producer --topic orders", "")
	s.run(alice, 3, "four\n", 0, []string{"ClusterAuthorizationException"}, "kafka-console-producer --topic orders")
	ok(admin, 2, "kafka-configs --alter --entity-type users --entity-name alice --delete-config SCRAM-SHA-512", "Completed updating config for user alice.")
	refused(alice, 3, "kafka-topics --list", "Authentication failed")
}
