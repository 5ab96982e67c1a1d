package sasl

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestJAASFile(t *testing.T) {
	got, err := ParseJAASFile(`// as in Kafka's documentation
KafkaServer {
    org.apache.kafka.common.security.plain.PlainLoginModule required
    username="admin"
    password="ad\"min{}; secret"
    user_admin='x'; // one of two
    org.apache.kafka.common.security.scram.ScramLoginModule required;
};
internal.KafkaServer{org.apache.kafka.common.security.plain.PlainLoginModule sufficient user_n=p{};
/* of another program */ Client { org.apache.zookeeper.server.auth.DigestLoginModule required username="zk"; };`)
	if err == nil || got != nil {
		t.Errorf("a section without end is %v", got)
	}
	got, err = ParseJAASFile(`KafkaServer { ` + PlainLoginModule + ` required username="admin" password="ad\"min{}; secret" user_admin='x'; ` + ScramLoginModule + ` required; };
internal.KafkaServer{` + PlainLoginModule + ` sufficient user_n=p;}; Client { org.apache.zookeeper.server.auth.DigestLoginModule required username="zk"; };`)
	want := map[string][]JAAS{
		"KafkaServer":          {{PlainLoginModule, map[string]string{"username": "admin", "password": `ad"min{}; secret`, "user_admin": "x"}}, {ScramLoginModule, map[string]string{}}},
		"internal.KafkaServer": {{PlainLoginModule, map[string]string{"user_n": "p"}}},
		"Client":               {{"org.apache.zookeeper.server.auth.DigestLoginModule", map[string]string{"username": "zk"}}},
	}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("%v %s", err, diff)
	}
	for _, entries := range got {
		for _, j := range entries[:1] {
			again, err := ParseJAAS(j.Text())
			if strings.HasPrefix(j.Module, "org.apache.kafka") != (err == nil) || err == nil && cmp.Diff(j, again) != "" {
				t.Errorf("%s: %v", j.Text(), err)
			}
		}
	}
	for _, bad := range []string{"KafkaServer", "KafkaServer {", "KafkaServer { x }", "KafkaServer { x required s3cret }; ", "KafkaServer { x required k=; };", "KafkaServer { };;", "{ };", "a { b c; };", "a { b required k='s3cret; };"} {
		if _, err := ParseJAASFile(bad); err == nil || strings.Contains(err.Error(), "='s3cret") {
			t.Errorf("%s: %v", bad, err)
		}
	}
	if got, err := ParseJAASFile("KafkaServer { };"); err != nil || len(got["KafkaServer"]) != 0 {
		t.Errorf("%v %v", got, err)
	}
}

func FuzzJAASFile(f *testing.F) {
	f.Add(`KafkaServer { ` + PlainLoginModule + ` required user_a="b"; };`)
	f.Add(`"a" {};//`)
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseJAASFile(text)
		if err != nil {
			return
		}
		for _, entries := range all {
			for _, j := range entries {
				if again, err := ParseJAAS(j.Text()); err == nil && cmp.Diff(j, again) != "" {
					t.Errorf("%q is written as %q", text, j.Text())
				}
			}
		}
	})
}
