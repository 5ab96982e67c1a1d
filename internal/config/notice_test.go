package config

import (
	"strings"
	"testing"
)

func TestNotices(t *testing.T) {
	for line, want := range map[string]string{
		"log.retention.housr=1":              "log.retention.housr|unknown|nearest known one is log.retention.hours",
		"num.partition=1":                    "num.partition|nearest known one is num.partitions",
		"completely.different=1":             "completely.different|unknown setting, not used",
		"retention.ms=1":                     "retention.ms|topics|log.retention.ms",
		"inter.broker.protocol.version=2.5":  "inter.broker.protocol.version|removed in Kafka 4.0",
		"confluent.metrics.enable=1":         "confluent.metrics.enable|Confluent",
		"super.users=User:a":                 "super.users|no effect",
		"num.partitions=1\nnum.partitions=2": "num.partitions|twice|lines 7 and 8|last one",
	} {
		_, notices, err := tryLoad(t, combined+line)
		if err != nil {
			t.Errorf("%s: %v", line, err)
			continue
		}
		var got []string
		for _, n := range notices {
			got = append(got, n.String())
		}
		if len(got) != 1 {
			t.Errorf("%s: notices = %q", line, got)
			continue
		}
		for _, w := range strings.Split(want, "|") {
			if !strings.Contains(got[0], w) {
				t.Errorf("%s: %q lacks %q", line, got[0], w)
			}
		}
	}
}

func TestAuthorizer(t *testing.T) {
	s, notices, err := tryLoad(t, combined+"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\nsuper.users=User:a;User:b\nallow.everyone.if.no.acl.found=true")
	if err != nil || len(notices) > 0 {
		t.Fatalf("err = %v, notices = %v", err, notices)
	}
	if users, open := s.Authorizer(); users != "User:a;User:b" || !open {
		t.Errorf("super users %q, open %v", users, open)
	}
	for _, other := range []string{"kafka.security.authorizer.AclAuthorizer", "com.example.Mine"} {
		if _, _, err := tryLoad(t, combined+"authorizer.class.name="+other); err == nil || !strings.Contains(err.Error(), other) || !strings.Contains(err.Error(), "StandardAuthorizer") {
			t.Errorf("%s: %v", other, err)
		}
	}
}

func TestKeysOfAListener(t *testing.T) {
	if _, notices, err := tryLoad(t, combined+"listener.name.plaintext.max.connections=5"); err != nil || len(notices) != 0 {
		t.Errorf("%v %v", notices, err)
	}
	if _, _, err := tryLoad(t, combined+"listener.name.plaintext.max.connections=five"); err == nil {
		t.Error("a wrong value under a listener's prefix is accepted")
	}
	if _, notices, _ := tryLoad(t, combined+"listener.name.plaintext.max.conections=5"); len(notices) != 1 {
		t.Errorf("notices = %v", notices)
	}
}

func TestOverridesWin(t *testing.T) {
	props, _ := ParseProperties([]byte(combined + "num.partitions=3"))
	s, notices, err := Load(props, []string{"num.partitions=5", "log.dirs=/a,/b"})
	if err != nil || len(notices) != 0 || s.Int("num.partitions") != 5 || len(s.Node().LogDirs) != 2 {
		t.Errorf("%v %v %v", err, notices, s)
	}
	if _, _, err := Load(props, []string{"nonsense"}); err == nil || !strings.Contains(err.Error(), "key=value") {
		t.Errorf("err = %v", err)
	}
}

func TestExplainSaysWhatIsAllowed(t *testing.T) {
	_, _, err := tryLoad(t, "num.partitions=x")
	if got := Explain(err); !strings.Contains(got, "a whole number in [1,...]") {
		t.Errorf("explained as %q", got)
	}
}

func TestEveryDefaultIsValid(t *testing.T) {
	for _, tab := range []*table{brokerTable, topicTable, groupTable, clientMetricsTable} {
		for i := range tab.defs {
			d := &tab.defs[i]
			if d.Null || d.Required || d.Type == List && d.Default == "" {
				continue
			}
			if v, err := d.Parse(d.Default); err != nil || d.Text(v) != d.Default {
				t.Errorf("the default of %s: %v, %q", d.Name, err, d.Text(v))
			}
		}
	}
	for i := range topicTable.defs {
		if d := &topicTable.defs[i]; d.Server != "" && LookupBroker(d.Server) == nil {
			t.Errorf("%s has the unknown server default %s", d.Name, d.Server)
		}
	}
	for i := range groupTable.defs {
		if d := &groupTable.defs[i]; d.Server != "" && LookupBroker(d.Server) == nil {
			t.Errorf("%s has the unknown server default %s", d.Name, d.Server)
		}
	}
}
