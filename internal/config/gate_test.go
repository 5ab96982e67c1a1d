package config

import (
	"strings"
	"testing"
)

// Every row of the gate must stop the start when its key is given, and no default may.
func TestSecurityGate(t *testing.T) {
	for _, line := range []string{
		"ssl.keystore.location=/k", "ssl.client.auth=required",
		"sasl.enabled.mechanisms=PLAIN", "sasl.jaas.config=secret required", "security.inter.broker.protocol=SSL", "security.providers=a.B",
		"principal.builder.class=a.B", "connections.max.reauth.ms=1000", "delegation.token.secret.key=s3cret", "client.quota.callback.class=a.B",
		"quota.producer.default=1000", "quota.consumer.default=1000", "create.topic.policy.class.name=a.B", "alter.config.policy.class.name=a.B",
		"listener.name.plaintext.ssl.keystore.location=/k", "listener.name.plaintext.plain.sasl.jaas.config=topsecret",
		"listeners=SSL://:9092", "listeners=SASL_PLAINTEXT://:9092\nsecurity.inter.broker.protocol=SASL_PLAINTEXT",
	} {
		_, _, err := tryLoad(t, line)
		key, value, _ := strings.Cut(line, "=")
		switch {
		case err == nil:
			t.Errorf("%s does not stop the start", line)
		case !strings.Contains(err.Error(), "Weir"):
			t.Errorf("%s: %v", line, err)
		case strings.Contains(key, "jaas") || strings.Contains(key, "secret"):
			if strings.Contains(err.Error(), value) {
				t.Errorf("%s: the error shows the secret: %v", key, err)
			}
		}
	}
	for i := range securityDefs {
		d := &securityDefs[i]
		if d.Null || d.Required || d.Default == "" {
			continue
		}
		if _, _, err := tryLoad(t, d.Name+"="+d.Default); err != nil {
			t.Errorf("the default of %s stops the start: %v", d.Name, err)
		}
	}
}

func TestGateHoldsForDynamicSettings(t *testing.T) {
	s := mustLoad(t, combined)
	err := s.ValidateBroker(map[string]string{"listener.name.plaintext.ssl.keystore.location": "/k"}, true)
	if err == nil || !strings.Contains(err.Error(), "TLS") {
		t.Errorf("err = %v", err)
	}
}
