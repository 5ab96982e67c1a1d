package reconcile

import (
	"slices"
	"strings"
	"testing"

	"github.com/weir-stream/weir/internal/controlplane/plan"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/testkit/clustermodel"
)

// TestMovesInBatches: no more partitions move at once than may, all arrive,
// and those that had not begun stay when the operation is cancelled.
func TestMovesInBatches(t *testing.T) {
	drain := func(p plan.Picture) spec.Plan { return plan.Scale(p, plan.ScaleRequest{Remove: []int32{4}}) }
	for cancel, want := range map[bool]string{false: "SUCCEEDED", true: "CANCELLED"} {
		w := begin(t, 4, drain)
		most, looks := 0, 0
		w.Stray = func(w *clustermodel.World) {
			moving := 0
			for _, p := range w.Partitions {
				if len(p.Adding)+len(p.Removing) > 0 {
					moving++
				}
			}
			most = max(most, moving)
		}
		waits := func() {
			if looks++; cancel && looks == 1 {
				if err := Cancel(t.Context(), w, "c1", "op-1"); err != nil {
					t.Error(err)
				}
			}
		}
		if err := runMoving(t, w, 2, waits); err != nil {
			t.Fatal(err)
		}
		left := 0
		for _, p := range w.Partitions {
			if slices.Contains(p.Replicas, 4) {
				left++
			}
		}
		if got := outcome(t, w); !strings.HasPrefix(got, want) || most != 2 || cancel != (left > 0) {
			t.Errorf("%d moved at once, %d are left on broker 4: %s", most, left, got)
		}
	}
}

// TestBatchesOfBytes: a partition larger than a batch moves alone.
func TestBatchesOfBytes(t *testing.T) {
	var moves []spec.Move
	var o spec.Observation
	for i, bytes := range []int64{3 << 30, 1, 1, 700 << 20, 700 << 20} {
		moves = append(moves, spec.Move{Topic: "t", Partition: int32(i), From: []int32{1}, To: []int32{2}, Bytes: bytes})
		o.Partitions = append(o.Partitions, spec.PartitionObservation{Topic: "t", Partition: int32(i), Replicas: []int32{1}, Bytes: bytes})
	}
	x := &execution{Runner: &Runner{}}
	for from, want := range map[int]int{0: 1, 1: 3, 3: 1, 4: 1} {
		if got := x.next(o, moves[from:], 0); len(got) != want {
			t.Errorf("from %d on %d move, want %d", from, len(got), want)
		}
	}
	if got := x.next(o, moves[1:], 100<<20); len(got) != 4 {
		t.Errorf("%d move when a broker may take in 3000 MiB in the time", len(got))
	}
	// One under way leaves room for what is small.
	o.Partitions[3].Replicas, o.Partitions[3].Adding, o.Partitions[3].Removing = []int32{2, 1}, []int32{2}, []int32{1}
	if got := x.next(o, moves[1:], 0); len(got) != 2 {
		t.Errorf("%d move beside one of 700 MiB", len(got))
	}
}
