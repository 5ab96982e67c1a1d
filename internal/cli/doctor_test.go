package cli

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weir-stream/weir/internal/cli/doctor"
)

// examine runs weir doctor against a cluster and returns the checks that found something, but for those about the
// machine of the test.
func examine(t *testing.T, args ...string) ([]string, doctor.Report, int) {
	t.Helper()
	out, code := weirMain(t, "", append([]string{"doctor", "-o", "json"}, args...)...)
	var r doctor.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%d %v\n%s", code, err, out)
	}
	var names []string
	for _, f := range r.Findings {
		if f.Check != "volatile-data" && f.Check != "disk-space" {
			names = append(names, f.Check)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), r, code
}

// openNode are the settings of a node on which all is open, and its addresses.
func openNode(t *testing.T) (plain, sasl string, settings []string) {
	t.Helper()
	n, settings := newSecuredNode(t)
	settings = slices.DeleteFunc(settings, func(s string) bool { return strings.HasPrefix(s, "authorizer") || strings.HasPrefix(s, "super.users") })
	for i, s := range settings {
		settings[i] = strings.ReplaceAll(s, `user_admin="admin-pw"`, `user_admin="admin-secret"`)
	}
	return n.plain, n.sasl, append(settings, "unclean.leader.election.enable=true", "default.replication.factor=3", "auto.create.topics.enable=true")
}

func checkOpen(t *testing.T, plain, sasl string) {
	t.Helper()
	mustWeir(t, "", "kafka-topics", "--create", "--topic", "t", "--replication-factor", "1", "--config", "min.insync.replicas=2", "--bootstrap-server", plain)
	config := filepath.Join(t.TempDir(), "mallory")
	s := &toolScript{dir: filepath.Dir(config)}
	s.write(t, "mallory", `security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule `+
		`required username="mallory" password="mallory-pw";\n`)
	got, r, code := examine(t, "--bootstrap-server", sasl, "--command-config", config, "--try-passwords")
	want := []string{"anonymous-access", "auto-create-topics", "known-password", "min-insync-replicas", "no-authorizer", "replication-factor", "unclean-election"}
	if code != 1 || !slices.Equal(got, want) || len(r.Unknown) != 0 {
		t.Errorf("code %d, unknown %v\ngot  %v\nwant %v\n%+v", code, r.Unknown, got, want, r.Findings)
	}
}

func checkSecured(t *testing.T, dir string, port int) {
	t.Helper()
	admin := []string{"--bootstrap-server", fmt.Sprintf("localhost:%d", port), "--command-config", filepath.Join(dir, "client.properties")}
	got, r, _ := examine(t, append(admin, "--try-passwords")...)
	if len(got) != 0 || len(r.Unknown) != 0 {
		t.Errorf("unknown %v, found %+v", r.Unknown, r.Findings)
	}
	mustWeir(t, "", append([]string{"kafka-acls", "--add", "--allow-principal", "User:*", "--operation", "Read", "--topic", "*"}, admin...)...)
	if got, r, code := examine(t, admin...); code != 1 || !slices.Equal(got, []string{"open-rules"}) {
		t.Errorf("code %d, %+v", code, r.Findings)
	} else {
		for _, f := range r.Findings {
			if f.Check == "open-rules" { // the fix is a command that mends it
				mustWeir(t, "y\n", append(strings.Fields(strings.NewReplacer("'", "", "kafka-acls --bootstrap", "kafka-acls --force --bootstrap").Replace(f.Fix)), admin[2:]...)...)
			}
		}
	}
	if got, _, _ := examine(t, admin...); len(got) != 0 {
		t.Errorf("after the fix: %v", got)
	}
}

// TestDoctor looks at a node on which everything is open, and at one that weir security init made.
func TestDoctor(t *testing.T) {
	plain, sasl, settings := openNode(t)
	runWeir(t, plain, settings)
	checkOpen(t, plain, sasl)
	dir := filepath.Join(t.TempDir(), "secured")
	port := portsFor(t, 0, 1, 2)
	mustWeir(t, "", "security", "init", dir, "--port", fmt.Sprint(port))
	runFiles(t, filepath.Join(dir, "server.properties"))
	awaitCluster(t, filepath.Join(dir, "client.properties"), 1)
	checkSecured(t, dir, port)
	if out, code := weirMain(t, "", "doctor", filepath.Join(dir, "server.properties")); code != 1 || strings.Count(out, "ERROR") != strings.Count(out, "volatile-data")+strings.Count(out, "disk-space") {
		t.Errorf("%d %s", code, out)
	}
}

// TestDoctorAgainstKafka looks at Apache Kafka in the same way.
func TestDoctorAgainstKafka(t *testing.T) {
	plain, sasl, settings := openNode(t)
	for i, line := range settings { // the quorum of a formatted standalone node is dynamic
		settings[i] = strings.Replace(line, "controller.quorum.voters=1@", "controller.quorum.bootstrap.servers=", 1)
	}
	runKafka(t, plain, settings)
	checkOpen(t, plain, sasl)
	dir := filepath.Join(t.TempDir(), "secured")
	port := portsFor(t, 0, 1, 2)
	mustWeir(t, "", "security", "init", dir, "--port", fmt.Sprint(port))
	runKafkaFile(t, filepath.Join(dir, "server.properties"))
	awaitCluster(t, filepath.Join(dir, "client.properties"), 1)
	checkSecured(t, dir, port)
}
