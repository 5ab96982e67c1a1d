package config

import (
	"strings"
	"testing"
)

// Every row of the gate must stop the start when its key is given, and no default may.
func TestSecurityGate(t *testing.T) {
	for _, line := range []string{
		"ssl.engine.factory.class=a.B", "ssl.provider=BC", "security.providers=a.B",
		"sasl.kerberos.service.name=kafka", "sasl.login.class=a.B", "sasl.login.callback.handler.class=a.B", "sasl.client.callback.handler.class=a.B",
		"sasl.oauthbearer.jwt.validator.class=a.B",
		"principal.builder.class=a.B", "client.quota.callback.class=a.B",
		"quota.producer.default=1000", "quota.consumer.default=1000", "create.topic.policy.class.name=a.B", "alter.config.policy.class.name=a.B",
		"listener.name.plaintext.ssl.engine.factory.class=a.B", "listener.name.plaintext.sasl.kerberos.service.name=kafka",
		"sasl.enabled.mechanisms=GSSAPI,PLAIN", "listener.name.plaintext.sasl.enabled.mechanisms=X", "ssl.enabled.protocols=TLSv1.2,TLSv1.1", "ssl.protocol=SSLv3",
		"listener.name.plaintext.plain.sasl.server.callback.handler.class=a.B", "ssl.keystore.type=JCEKS", "ssl.truststore.type=BKS",
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
	err := s.ValidateBroker(map[string]string{"listener.name.plaintext.ssl.engine.factory.class": "a.B"}, true)
	if err == nil || !strings.Contains(err.Error(), "Java classes") {
		t.Errorf("err = %v", err)
	}
}
