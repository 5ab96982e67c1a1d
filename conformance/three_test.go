//go:build conform

package conformance

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"github.com/weir-stream/weir/conformance/scenarios"
	"github.com/weir-stream/weir/conformance/script"
	"github.com/weir-stream/weir/internal/kafkadist"
	"github.com/weir-stream/weir/internal/testkit/brokers"
)

// TestThreeNodes plays the scenarios of three nodes against three nodes of Apache Kafka and three of the subject, and
// compares what they said. The variables of TestScenarios hold here too.
func TestThreeNodes(t *testing.T) {
	explained := explanations(t)
	only := regexp.MustCompile(os.Getenv("WEIR_CONFORM_ONLY"))
	apacheNodes := func() brokers.Config { return brokers.Config{Dist: dist(t, kafkadist.Current), Heap: "256M"} }
	ref := remembered(t, "three-", only)
	if ref == nil {
		ref = playThree(t, "reference", apacheNodes(), only)
		remember(t, "three-", ref)
	}
	c := brokers.Config{}
	if selfComparison() {
		c = apacheNodes()
	} else {
		c.Binary = binary(t)
	}
	sub := playThree(t, "subject", c, only)
	for _, name := range slices.Sorted(maps.Keys(ref)) {
		t.Run(name, func(t *testing.T) { judge(t, explained, ref[name], sub[name]) })
	}
}

// playThree runs the scenarios against three nodes, which end with it.
func playThree(t *testing.T, side string, c brokers.Config, only *regexp.Regexp) map[string]script.Transcript {
	out := map[string]script.Transcript{}
	t.Run(side, func(t *testing.T) {
		begin := time.Now()
		c.Dir, c.Port = t.TempDir(), basePort+int(started.Add(3))*portsEach
		// What moves by itself is at rest, and the first answer after an election does not wait for the coordinators' partitions.
		c.Props = map[string]string{"auto.leader.rebalance.enable": "false", "offsets.topic.num.partitions": "4"}
		running, err := brokers.StartNodes(t.Context(), 3, c)
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			for _, n := range running {
				if t.Failed() {
					t.Logf("the end of %s's log:\n%s", n.Dir, n.LogTail(10))
				}
				n.Kill()
			}
		}()
		var nodes []script.Node
		for _, n := range running {
			nodes = append(nodes, script.Node{
				Addr: n.Addr, Controller: fmt.Sprintf("127.0.0.1:%d", n.Controller), DataDir: n.DataDir(),
				Stop: n.Stop, Start: func() error { return n.Run(t.Context()) },
			})
		}
		t.Logf("three nodes of %s started in %.1fs", running[0].Name(), time.Since(begin).Seconds())
		for _, sc := range scenarios.Three() {
			if !only.MatchString(sc.Name) {
				continue
			}
			begin := time.Now()
			out[sc.Name] = script.PlayNodes(sc, nodes)
			t.Logf("%-20s %4d answers in %5.1fs", sc.Name, len(out[sc.Name].Entries), time.Since(begin).Seconds())
			dump(t, side, out[sc.Name])
		}
	})
	return out
}
