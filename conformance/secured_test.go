//go:build conform

package conformance

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/weir-stream/weir/conformance/scenarios"
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
	explained := explanations(t)
	only := regexp.MustCompile(os.Getenv("WEIR_CONFORM_ONLY"))
	ref := play(t, "reference", scenarios.Secured(), func(t *testing.T) *brokers.Broker { return apache(t, secured) }, only)
	sub := play(t, "subject", scenarios.Secured(), func(t *testing.T) *brokers.Broker { return subject(t, secured) }, only)
	if len(ref) == 0 || len(sub) == 0 {
		t.Fatal("a side could not be asked")
	}
	for _, name := range slices.Sorted(maps.Keys(ref)) {
		t.Run(name, func(t *testing.T) { judge(t, explained, ref[name], sub[name]) })
	}
}
