package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const twoListeners = combined + `listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093,SECURE://localhost:9094
advertised.listeners=PLAINTEXT://localhost:9092,SECURE://localhost:9094
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL
ssl.client.auth=requested
sasl.enabled.mechanisms=PLAIN
connections.max.reauth.ms=1000
listener.name.secure.ssl.client.auth=required
listener.name.secure.sasl.enabled.mechanisms=SCRAM-SHA-512,PLAIN
listener.name.secure.plain.connections.max.reauth.ms=2000
listener.name.secure.plain.sasl.jaas.config=s3cret
listener.name.secure.max.connections=7
`

func TestScope(t *testing.T) {
	s := mustLoad(t, twoListeners)
	secure, plain := s.ForListener("SECURE"), s.ForListener("PLAINTEXT")
	if secure.String("ssl.client.auth") != "required" || plain.String("ssl.client.auth") != "requested" {
		t.Error("the prefix of a listener does not count, or counts for all")
	}
	if !slices.Equal(secure.List("sasl.enabled.mechanisms"), []string{"SCRAM-SHA-512", "PLAIN"}) || secure.Int("max.connections") != 7 {
		t.Errorf("mechanisms %v", secure.List("sasl.enabled.mechanisms"))
	}
	if got := secure.ForMechanism("PLAIN").Millis("connections.max.reauth.ms"); got != 2*time.Second {
		t.Errorf("of PLAIN: %v", got)
	}
	if got := secure.ForMechanism("SCRAM-SHA-512").Millis("connections.max.reauth.ms"); got != time.Second {
		t.Errorf("of SCRAM: %v", got)
	}
	if secure.ForMechanism("PLAIN").String("sasl.jaas.config") != "s3cret" || secure.Is("sasl.jaas.config") {
		t.Error("the JAAS line of a mechanism is that of all, or of none")
	}
	if !secure.IsOwn("ssl.client.auth") || plain.IsOwn("ssl.client.auth") {
		t.Error("IsOwn is wrong")
	}
	next, bad := s.WithDynamic(nil, map[string]string{"listener.name.secure.ssl.client.auth": "none"})
	if len(bad) > 0 || next.ForListener("SECURE").String("ssl.client.auth") != "none" {
		t.Errorf("a dynamic setting of a listener does not count: %v", bad)
	}
}

// What is described of listeners' settings shows no secret.
func TestDescribedListenerSettings(t *testing.T) {
	s, _ := mustLoad(t, twoListeners).WithDynamic(nil, map[string]string{"listener.name.secure.ssl.keystore.password": "s3cret", "listener.name.secure.ssl.keystore.location": "/k"})
	found := map[string]Entry{}
	for _, e := range s.DescribeBroker(nil) {
		found[e.Name] = e
		for _, syn := range e.Synonyms {
			if syn.Value != nil && strings.Contains(*syn.Value, "s3cret") {
				t.Errorf("%s shows a secret", e.Name)
			}
		}
		if e.Value != nil && strings.Contains(*e.Value, "s3cret") {
			t.Errorf("%s shows a secret", e.Name)
		}
	}
	if e := found["listener.name.secure.ssl.keystore.location"]; e.Value == nil || *e.Value != "/k" || e.Source != SourceDynamicBroker || e.ReadOnly {
		t.Errorf("%+v", e)
	}
	if e := found["listener.name.secure.ssl.keystore.password"]; e.Value != nil || !e.Sensitive || e.Source != SourceDynamicBroker {
		t.Errorf("%+v", e)
	}
	if e := found["listener.name.secure.plain.sasl.jaas.config"]; e.Value != nil || !e.Sensitive {
		t.Errorf("%+v", e)
	}
}

func TestSettingsOfNoListenerAreNoticed(t *testing.T) {
	_, notices, err := tryLoad(t, twoListeners+"listener.name.SECURE.ssl.client.auth=required\nlistener.name.other.ssl.client.auth=required\n")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, notice := range notices {
		if strings.Contains(notice.Text, "there is no such listener") {
			n++
		}
	}
	if n != 2 {
		t.Errorf("%d notices of: %v", n, notices)
	}
}
