//go:build conform

package conformance

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/weir-stream/weir/conformance/scenarios"
	"github.com/weir-stream/weir/conformance/script"
	"github.com/weir-stream/weir/internal/testkit/brokers"
)

// secured is a broker with Kafka's authorizer where everybody without a proof is a super user.
var secured = map[string]string{
	"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
	"super.users":           "User:ANONYMOUS",
}

// TestSecured plays the scenarios about access control lists against Apache Kafka and the subject, both with Kafka's
// authorizer, and compares what they said.
func TestSecured(t *testing.T) {
	compareSecured(t, scenarios.Secured(), secured)
}

// TestRights asks every API with each single right and compares the outcomes.
func TestRights(t *testing.T) {
	compareSecured(t, scenarios.Rights(), map[string]string{
		"authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users":           "User:admin", "allow.everyone.if.no.acl.found": "true",
	})
}

func compareSecured(t *testing.T, all []script.Scenario, props map[string]string) {
	t.Helper()
	explained := explanations(t)
	only := regexp.MustCompile(os.Getenv("WEIR_CONFORM_ONLY"))
	ref := remembered(t, "", only)
	if ref == nil {
		ref = play(t, "reference", all, func(t *testing.T) *brokers.Broker { return apache(t, props) }, only)
		remember(t, "", ref)
	}
	sub := play(t, "subject", all, func(t *testing.T) *brokers.Broker { return subject(t, props) }, only)
	if len(ref) == 0 || len(sub) == 0 {
		t.Fatal("a side could not be asked")
	}
	for _, name := range slices.Sorted(maps.Keys(ref)) {
		t.Run(name, func(t *testing.T) { judge(t, explained, ref[name], sub[name]) })
	}
}
