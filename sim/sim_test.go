package sim

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/cryptotest"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"
)

// faultsFor is how long a cluster has faults, in virtual time.
const faultsFor = 25 * time.Second

// runSeed simulates one seed and gives what is wrong.
func runSeed(t *testing.T, seed uint64) *outcome {
	cryptotest.SetGlobalRandom(t, seed)
	var out *outcome
	synctest.Test(t, func(t *testing.T) { out = newCluster(t, seed).simulate(faultsFor) })
	if len(out.broken) > 0 {
		return out
	}
	for i := range registerCount {
		switch out.regs.linearizable(i, out.logged[i]) {
		case porcupine.Illegal:
			out.broken = append(out.broken, fmt.Sprintf("Linearizable: the history of register %d is not", i))
		case porcupine.Unknown:
			t.Logf("register %d: porcupine took too long", i)
		}
	}
	return out
}

// TestCluster simulates whole clusters. WEIR_SIM_SEED runs one seed, WEIR_SIM_SEEDS so many from WEIR_SIM_FROM (1) on;
// WEIR_SIM_TRACE shows all that happens while it does.
func TestCluster(t *testing.T) {
	few := uint64(4)
	if testing.Short() {
		few = 1
	}
	first, count := number("WEIR_SIM_FROM", 1), number("WEIR_SIM_SEEDS", few)
	if seed := number("WEIR_SIM_SEED", 0); seed > 0 {
		first, count = seed, 1
	}
	covered := coverage{map[string]int{}, map[string]int{}}
	for seed := first; seed < first+count; seed++ {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			begin := time.Now()
			out := runSeed(t, seed)
			covered.add(out.reached)
			t.Logf("%d acknowledged, %v virtual, %v real", out.acked, out.took, time.Since(begin))
			if len(out.broken) == 0 {
				return
			}
			t.Errorf("%s\nreplay: WEIR_SIM_SEED=%d go test ./sim -run 'TestCluster$' -count=1", strings.Join(out.broken, "\n"), seed)
			writeTrace(t, seed, out)
		})
	}
	t.Log("reached:\n" + covered.String())
	if count < enoughSeeds {
		return
	}
	for _, label := range sometimes {
		t.Run("sometimes/"+strings.ReplaceAll(label, " ", "-"), func(t *testing.T) {
			if covered.seeds[label] == 0 {
				t.Errorf("%q was never reached in %d seeds: what it would show is not tested", label, count)
			}
		})
	}
}

// writeTrace leaves the trace of a failed seed in a file, and its end in the test's output.
func writeTrace(t *testing.T, seed uint64, out *outcome) {
	dir := os.Getenv("WEIR_SIM_TRACES")
	if dir == "" {
		dir = os.TempDir()
	}
	name := fmt.Sprintf("%s/weir-sim-%d.trace", dir, seed)
	if err := os.WriteFile(name, []byte(strings.Join(out.trace, "\n")+"\n"), 0o644); err != nil {
		t.Log(err)
	}
	for _, line := range out.trace[max(0, len(out.trace)-40):] {
		t.Log(line)
	}
	t.Logf("the whole trace is in %s", name)
}

func number(name string, otherwise uint64) uint64 {
	if n, err := strconv.ParseUint(os.Getenv(name), 10, 64); err == nil {
		return n
	}
	return otherwise
}
