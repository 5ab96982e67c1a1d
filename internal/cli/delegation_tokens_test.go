package cli

import (
	"context"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// TestDelegationTokensAgainstKafka is TestACLsAgainstKafka for kafka-delegation-tokens, and for what clients can do with a
// token.
func TestDelegationTokensAgainstKafka(t *testing.T) {
	n, settings := newSecuredNode(t)
	for i, line := range settings {
		settings[i] = strings.Replace(line, "controller.quorum.voters=1@", "controller.quorum.bootstrap.servers=", 1)
	}
	runKafka(t, n.plain, settings)
	s := tokenScript(t, n)
	if *recordGolden {
		s.oracle = startOracle(t, s.dir)
	}
	s.play(t)
}

// TestDelegationTokens is the same on a node of this project.
func TestDelegationTokens(t *testing.T) {
	n, settings := newSecuredNode(t)
	runWeir(t, n.plain, settings)
	tokenScript(t, n).play(t)
}

// awaitToken waits until the broker knows a token: Apache Kafka's answers before it does.
func awaitToken(t *testing.T, n securedNode, id string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(n.sasl), kgo.SASL(plain.Auth{User: "admin", Pass: "admin-pw"}.AsMechanism()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for {
		tokens, err := kadm.NewClient(cl).DescribeDelegationTokens(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if slices.ContainsFunc(tokens, func(d kadm.DelegationToken) bool { return d.TokenID == id }) {
			return
		}
	}
}

var createdToken = regexp.MustCompile(`(?m)^(\S{22})\s+(\S{88})\s`)

// tokenScript is a script in which @ID and @HMAC are of the token that was made last, and @token the broker as who has it.
func tokenScript(t *testing.T, n securedNode) *toolScript {
	s := securityScript(t, "testdata/tokens", n)
	s.words["@stolen"] = []string{"--bootstrap-server", n.sasl, "--command-config", filepath.Join(s.dir, "stolen")}
	s.words["@token"] = []string{"--bootstrap-server", n.sasl, "--command-config", filepath.Join(s.dir, "token")}
	s.lasting = func(t *testing.T, command string, r result) {
		m := createdToken.FindStringSubmatch(r.stdout)
		if m == nil || !strings.Contains(command, "--create") {
			return
		}
		s.insert["@ID"], s.insert["@HMAC"] = m[1], m[2]
		s.write(t, "token", `security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-256\nsasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule `+
			`required username="`+m[1]+`" password="`+m[2]+`" tokenauth="true";\n`)
		awaitToken(t, n, m[1])
		s.write(t, "stolen", `security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-512\nsasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule `+
			`required username="`+m[1]+`" password="guess" tokenauth="true";\n`)
	}
	s.alike = func(text string) string {
		text = clientLog.ReplaceAllString(text, "")
		text = tokenIDs.ReplaceAllString(withoutTrace(text), "$1(id)")
		text = tokenHMACs.ReplaceAllString(text, "(hmac)")
		return tokenDates.ReplaceAllString(strings.ReplaceAll(text, "java.util.concurrent.ExecutionException: ", ""), "(date)")
	}
	return s
}

var (
	tokenIDs   = regexp.MustCompile(`(?m)(^|tokenId : )[A-Za-z0-9_-]{22}`)
	tokenHMACs = regexp.MustCompile(`[A-Za-z0-9+/]{64}(M{24}|[A-Za-z0-9+/]{22}==)`)
	clientLog  = regexp.MustCompile(`(?m)^(\[TIME\] |org.apache.kafka.common.errors.SaslAuth).*\n`) // what the Java client says besides
	tokenDates = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d`)
)
