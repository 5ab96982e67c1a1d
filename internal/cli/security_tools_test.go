package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// securedNode are the addresses of one node with Kafka's authorizer: plain text, where everybody is the super user
// ANONYMOUS; SASL with the users admin (a super user), alice and mallory; the controller.
type securedNode struct{ plain, sasl, controller string }

func newSecuredNode(t testing.TB) (n securedNode, settings []string) {
	t.Helper()
	ports := freePorts(t, 3)
	at := func(i int) string { return fmt.Sprintf("127.0.0.1:%d", ports[i]) }
	n = securedNode{at(0), at(1), at(2)}
	return n, []string{
		"process.roles=broker,controller", "node.id=1", "controller.quorum.voters=1@" + n.controller,
		"listeners=PLAINTEXT://" + n.plain + ",SASL://" + n.sasl + ",CONTROLLER://" + n.controller,
		"controller.listener.names=CONTROLLER",
		"listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL:SASL_PLAINTEXT",
		"listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		`listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required ` +
			`user_admin="admin-pw" user_alice="alice-pw" user_mallory="mallory-pw";`,
		"listener.name.sasl.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
		"listener.name.sasl.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;",
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users=User:ANONYMOUS;User:admin", "delegation.token.secret.key=tokens-are-made-of-this",
		"offsets.topic.num.partitions=1", "offsets.topic.replication.factor=1",
		"transaction.state.log.num.partitions=1", "transaction.state.log.replication.factor=1", "transaction.state.log.min.isr=1",
	}
}

// securityScript is a script for a secured node, in the folder data.
func securityScript(t *testing.T, data string, n securedNode) *toolScript {
	s := &toolScript{broker: n.plain, dir: t.TempDir(), members: map[string]func(){}, data: data, words: map[string][]string{}, insert: map[string]string{}}
	s.words["@C"] = []string{"--bootstrap-controller", n.controller}
	for _, user := range []string{"admin", "alice", "mallory"} {
		s.write(t, user, `security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule `+
			`required username="`+user+`" password="`+user+`-pw";\n`)
		s.words["@"+user] = []string{"--bootstrap-server", n.sasl, "--command-config", filepath.Join(s.dir, user)}
	}
	return s
}

// TestACLsAgainstKafka holds kafka-acls against what Apache Kafka's tool said (-record asks it anew), on a node of this
// project and on one of Apache Kafka.
func TestACLsAgainstKafka(t *testing.T) {
	n, settings := newSecuredNode(t)
	for i, line := range settings { // the quorum of a formatted standalone node is dynamic
		settings[i] = strings.Replace(line, "controller.quorum.voters=1@", "controller.quorum.bootstrap.servers=", 1)
	}
	runKafka(t, n.plain, settings)
	s := securityScript(t, "testdata/acls", n)
	s.alike = withoutOrder
	if *recordGolden {
		s.oracle = startOracle(t, s.dir)
	}
	s.play(t)
}

// TestSecurityToolsOfJavaAgainstKafka runs Apache Kafka's own tools on a node of this project, and holds what they say against
// what they said on a node of Apache Kafka.
func TestSecurityToolsOfJavaAgainstKafka(t *testing.T) {
	kafkaDist(t)
	if *recordGolden {
		t.Skip("with -record the outputs come from a node of Apache Kafka; WEIR_KAFKA_DIST alone compares")
	}
	for _, data := range []string{"testdata/acls", "testdata/tokens"} {
		t.Run(filepath.Base(data), func(t *testing.T) {
			n, settings := newSecuredNode(t)
			runWeir(t, n.plain, settings)
			s := securityScript(t, data, n)
			s.alike = withoutOrder
			if data == "testdata/tokens" {
				s = tokenScript(t, n)
			}
			s.oracle = startOracle(t, s.dir)
			s.play(t)
		})
	}
}

// TestACLs is the same on a node of this project.
func TestACLs(t *testing.T) {
	n, settings := newSecuredNode(t)
	runWeir(t, n.plain, settings)
	s := securityScript(t, "testdata/acls", n)
	s.alike = withoutOrder
	s.play(t)
}

var (
	onlySupports = regexp.MustCompile(`(only supports operations \[)([^\]]*)`)
	denied       = regexp.MustCompile(`(Exception: )(Request Request\(.*\) needs .* permission\.|Cluster authorization failed\.)`)
)

// withoutOrder puts lists of rules into one order, since Apache Kafka's is that of its objects' places in memory, and
// leaves out stack traces and how Java prints a request.
func withoutOrder(text string) string {
	text = onlySupports.ReplaceAllStringFunc(withoutTrace(text), func(line string) string {
		m := onlySupports.FindStringSubmatch(line)
		words := strings.Split(m[2], ", ")
		slices.Sort(words)
		return m[1] + strings.Join(words, ", ")
	})
	text = denied.ReplaceAllString(text, "$1(denied)")
	command, rest, _ := strings.Cut(text, "\n")
	end := strings.LastIndex(rest, "# exit")
	if i := strings.Index(rest, "# stderr"); i >= 0 {
		end = i
	}
	if end == 0 {
		return text
	}
	blocks := strings.Split(strings.TrimSuffix(rest[:end], "\n\n"), "\n\n")
	for i, b := range blocks {
		lines := strings.Split(b, "\n")
		for first := 0; first < len(lines); first++ {
			last := first
			for last < len(lines) && strings.HasPrefix(strings.TrimPrefix(lines[last], " "), "\t(") {
				lines[last] = strings.TrimPrefix(lines[last], " ")
				last++
			}
			slices.Sort(lines[first:last])
			first = max(first, last-1)
		}
		blocks[i] = strings.Join(lines, "\n")
	}
	slices.Sort(blocks)
	return command + "\n" + strings.Join(blocks, "\n\n") + "\n" + rest[end:]
}

// TestACLsAsk has the questions before rules are removed, as Apache Kafka's tool asks them in a terminal.
func TestACLsAsk(t *testing.T) {
	n, settings := newSecuredNode(t)
	runWeir(t, n.plain, settings)
	run := func(input, line string) result {
		return runTool(t, newACLsTool, input, append([]string{"--bootstrap-server", n.plain}, strings.Fields(line)...)...)
	}
	left := func(want string) {
		t.Helper()
		wantResult(t, run("", "--list"), want+"# exit: 0\n")
	}
	of := func(topic, operation string) string {
		return "Current ACLs for resource `ResourcePattern(resourceType=TOPIC, name=" + topic + ", patternType=LITERAL)`:\n" +
			"\t(principal=User:a, host=*, operation=" + operation + ", permissionType=ALLOW)\n\n"
	}
	if r := run("", "--add --allow-principal User:a --operation Read --topic t1 --topic t2"); r.exit != 0 {
		t.Fatal(r)
	}
	ask := "Are you sure you want to remove ACLs: \n \t(principal=User:a, host=*, operation=READ, permissionType=ALLOW)\n" +
		" from resource filter `ResourcePattern(resourceType=TOPIC, name=t1, patternType=LITERAL)`? (y/n)\n"
	wantResult(t, run("n\n", "--remove --allow-principal User:a --operation Read --topic t1"), ask+"# exit: 0\n")
	wantResult(t, run("yes\n", "--remove --allow-principal User:a --operation Read --topic t1"), ask+"# exit: 0\n")
	left(of("t1", "READ") + of("t2", "READ"))
	wantResult(t, run("Y\r\n", "--remove --allow-principal User:a --operation Read --topic t1"), ask+"# exit: 0\n")
	left(of("t2", "READ"))
	all := func(topic string) string {
		return "Are you sure you want to delete all ACLs for resource filter `ResourcePattern(resourceType=TOPIC, name=" + topic + ", patternType=LITERAL)`? (y/n)\n"
	}
	wantResult(t, run("n\ny", "--remove --topic t1 --topic t2"), all("t1")+all("t2")+"# exit: 0\n")
	left("")
	if r := run("", "--remove --topic t1"); r.exit != 1 || !strings.HasPrefix(r.stdout, all("t1")+"Error while executing ACL command: There is no answer") {
		t.Errorf("without an answer: %v", r)
	}
}

// TestAuditLogOfANode has what a node writes down of a login that fails and of a denial, with the names in docs/SECURITY.md.
func TestAuditLogOfANode(t *testing.T) {
	n, settings := newSecuredNode(t)
	file := filepath.Join(t.TempDir(), "audit", "weir.log")
	runWeir(t, n.plain, append(settings, "weir.audit.destination=file", "weir.audit.file="+file, "weir.audit.events=denied,login-failed,login"))
	s := securityScript(t, "", n)
	s.write(t, "thief", `security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule `+
		`required username="alice" password="guessed-pw";\n`)
	thief := runTool(t, newACLsTool, "", "--bootstrap-server", n.sasl, "--command-config", filepath.Join(s.dir, "thief"), "--list")
	denied := runTool(t, newACLsTool, "", append(s.words["@mallory"], "--list")...)
	if thief.exit != 1 || denied.exit != 1 {
		t.Fatalf("%v\n%v", thief, denied)
	}
	want := []string{
		`"event":"authentication","outcome":"failed","principal":"User:alice","client_address":"127.0.0.1","listener":"SASL","mechanism":"PLAIN","reason":"authentication failed: Authentication failed: Invalid username or password"}`,
		`"event":"authentication","outcome":"succeeded","principal":"User:mallory","client_address":"127.0.0.1","listener":"SASL","mechanism":"PLAIN"}`,
		`"event":"authorization","outcome":"denied","principal":"User:mallory","client_address":"127.0.0.1","client_id":"adminclient-1","listener":"SASL","api":"DescribeAcls","operation":"DESCRIBE","resource_type":"CLUSTER","resource":"kafka-cluster"}`,
	}
	var text string
	for deadline := time.Now().Add(20 * time.Second); ; {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text = string(data)
		if !slices.ContainsFunc(want, func(line string) bool { return !strings.Contains(text, line) }) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the audit log lacks something:\n%s", text)
		}
	}
	if strings.Contains(text, "-pw") {
		t.Errorf("a password is in the audit log:\n%s", text)
	}
}
