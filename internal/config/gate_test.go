package config

import (
	"os"
	"path/filepath"
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
		"listener.name.plaintext.plain.sasl.server.callback.handler.class=a.B", "sasl.oauthbearer.jwt.retriever.class=org.apache.kafka.common.security.oauthbearer.JwtBearerJwtRetriever", "ssl.keystore.type=JCEKS", "ssl.truststore.type=BKS",
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

// TestNoAddressesWhileRunning: where keys and tokens come from stands in the node's own file only, under whatever prefix (CVE-2025-27817).
func TestNoAddressesWhileRunning(t *testing.T) {
	s := mustLoad(t, combined)
	for _, key := range []string{"sasl.oauthbearer.jwks.endpoint.url", "sasl.oauthbearer.token.endpoint.url", "sasl.oauthbearer.client.credentials.client.secret"} {
		for _, prefix := range []string{"", "listener.name.plaintext.", "listener.name.plaintext.oauthbearer.", "listener.name.PLAINTEXT.OAUTHBEARER."} {
			err := s.ValidateBroker(map[string]string{prefix + key: "file:///etc/passwd"}, true)
			if err == nil || !strings.Contains(err.Error(), "Cannot update these configs dynamically") {
				t.Errorf("%s%s: %v", prefix, key, err)
			}
		}
	}
}

// TestConfigProvidersReadNothing: what looks like a reference to a file or to the environment is a text like any other
// (CVE-2024-31141).
func TestConfigProvidersReadNothing(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secrets.properties")
	if err := os.WriteFile(file, []byte("key=s3cret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("WEIR_TEST_SECRET", "s3cret")
	for _, value := range []string{"${file:" + file + ":key}", "${env:WEIR_TEST_SECRET}", "${directory:" + filepath.Dir(file) + ":secrets.properties}", "${WEIR_TEST_SECRET}", "$WEIR_TEST_SECRET"} {
		set, notices, err := tryLoad(t, "config.providers=file,env,directory\nconfig.providers.file.class=org.apache.kafka.common.config.provider.FileConfigProvider\n"+
			"config.providers.env.class=org.apache.kafka.common.config.provider.EnvVarConfigProvider\nbroker.rack="+value)
		if err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		if got := set.String("broker.rack"); got != value {
			t.Errorf("%s became %s", value, got)
		}
		for _, n := range notices {
			if strings.Contains(n.String(), "s3cret") {
				t.Errorf("a notice has the secret: %s", n)
			}
		}
	}
}
