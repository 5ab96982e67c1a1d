package cli

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestJAASFileOfKafkaOpts: a node takes its users and its own login from the file that KAFKA_OPTS names, as Apache Kafka does; what
// the settings say counts before it.
func TestJAASFileOfKafkaOpts(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "kafka_server_jaas.conf")
	props := filepath.Join(dir, "server.properties")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const plain, scram = "org.apache.kafka.common.security.plain.PlainLoginModule", "org.apache.kafka.common.security.scram.ScramLoginModule"
	write(file, "KafkaServer { "+plain+" required username=\"admin\" password=\"s3cret\" user_admin=\"s3cret\"; "+scram+" required; };\n"+
		"own.KafkaServer { "+plain+" required user_bob=\"b0b\"; };\nClient { org.apache.zookeeper.server.auth.DigestLoginModule required; };\n")
	write(props, "broker.id=1\nlisteners=SASL_PLAINTEXT://127.0.0.1:0,OWN://127.0.0.1:0,SET://127.0.0.1:0,PLAINTEXT://127.0.0.1:0\n"+
		"listener.security.protocol.map=SASL_PLAINTEXT:SASL_PLAINTEXT,OWN:SASL_PLAINTEXT,SET:SASL_PLAINTEXT,PLAINTEXT:PLAINTEXT\n"+
		"sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256\ninter.broker.listener.name=PLAINTEXT\nlog.dirs="+dir+"\n"+
		"listener.name.set.plain.sasl.jaas.config="+plain+" required user_carol=\"c\";\n")
	t.Setenv("KAFKA_OPTS", "-Xmx1G "+jaasFlag+file)
	cfg, _, err := loadServerConfig(props, nil)
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]string{
		"SASL_PLAINTEXT PLAIN": `user_admin="s3cret"`, "SASL_PLAINTEXT SCRAM-SHA-256": scram, "OWN PLAIN": `user_bob="b0b"`, "OWN SCRAM-SHA-256": "", "SET PLAIN": "user_carol",
	} {
		listener, mechanism, _ := strings.Cut(key, " ")
		if got := cfg.ForListener(listener).ForMechanism(mechanism).String("sasl.jaas.config"); (want == "") != (got == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	for _, bad := range []string{"KafkaServer {", ""} {
		name := file
		if bad == "" {
			name = filepath.Join(dir, "none")
		} else {
			write(file, bad)
		}
		t.Setenv("KAFKA_OPTS", jaasFlag+name)
		if _, _, err := loadServerConfig(props, nil); err == nil || !slices.Contains(strings.Fields(settingErrors(props, err)), "KAFKA_OPTS") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
