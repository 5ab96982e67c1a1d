package plan

import (
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/weir-stream/weir/internal/controlplane/spec"
)

func targets(n int, racks ...string) []Target {
	var out []Target
	for i := range n {
		t := Target{ID: int32(i + 1)}
		if len(racks) > 0 {
			t.Rack = racks[i%len(racks)]
		}
		out = append(out, t)
	}
	return out
}

// striped places partitions round robin, as a fresh cluster has them.
func striped(topics, partitions, factor, brokers int) []spec.PartitionObservation {
	var out []spec.PartitionObservation
	k := 0
	for t := range topics {
		for p := range partitions {
			o := spec.PartitionObservation{Topic: fmt.Sprintf("t%02d", t), Partition: int32(p), Bytes: 100}
			for r := range factor {
				o.Replicas = append(o.Replicas, int32((k+r)%brokers+1))
			}
			o.ISR, o.Leader = o.Replicas, o.Replicas[0]
			out = append(out, o)
			k++
		}
	}
	return out
}

func apply(parts []spec.PartitionObservation, moves []spec.Move) []spec.PartitionObservation {
	type key struct {
		topic string
		num   int32
	}
	to := map[key][]int32{}
	for _, m := range moves {
		to[key{m.Topic, m.Partition}] = m.To
	}
	out := slices.Clone(parts)
	for i := range out {
		if ids, ok := to[key{out[i].Topic, out[i].Partition}]; ok {
			out[i].Replicas, out[i].Adding, out[i].Removing = ids, nil, nil
		}
	}
	return out
}

func counts(parts []spec.PartitionObservation) (replicas, leaders map[int32]int, bytes map[int32]int64) {
	replicas, leaders, bytes = map[int32]int{}, map[int32]int{}, map[int32]int64{}
	for _, p := range parts {
		leaders[p.Replicas[0]]++
		for _, id := range p.Replicas {
			replicas[id]++
			bytes[id] += p.Bytes
		}
	}
	return replicas, leaders, bytes
}

func gap(m map[int32]int, ids []Target) int {
	lo, hi := m[ids[0].ID], m[ids[0].ID]
	for _, t := range ids {
		lo, hi = min(lo, m[t.ID]), max(hi, m[t.ID])
	}
	return hi - lo
}

func copies(moves []spec.Move) int {
	n := 0
	for i := range moves {
		n += moves[i].Copies()
	}
	return n
}

func TestThreeToFiveAndBack(t *testing.T) {
	parts := striped(10, 12, 3, 3)
	out, err := Assign(parts, targets(5))
	if err != nil {
		t.Fatal(err)
	}
	if got := copies(out); got != 144 { // 360 replicas, 72 for each of the two new brokers
		t.Errorf("%d copies, the least is 144", got)
	}
	five := apply(parts, out)
	replicas, leaders, bytes := counts(five)
	if gap(replicas, targets(5)) > 1 || gap(leaders, targets(5)) > 1 {
		t.Errorf("replicas %v, leaders %v", replicas, leaders)
	}
	if bytes[4] != 7200 || bytes[5] != 7200 {
		t.Errorf("bytes %v", bytes)
	}
	back, err := Assign(five, targets(3))
	if err != nil {
		t.Fatal(err)
	}
	replicas, leaders, _ = counts(apply(five, back))
	if copies(back) != 144 || len(replicas) != 3 || gap(replicas, targets(3)) > 1 || gap(leaders, targets(3)) > 1 {
		t.Errorf("%d copies, replicas %v, leaders %v", copies(back), replicas, leaders)
	}
}

func TestTooFewBrokers(t *testing.T) {
	_, err := Assign(striped(1, 1, 3, 3), targets(2))
	var few *TooManyReplicas
	if !errors.As(err, &few) || few.Topic != "t00" || few.Factor != 3 || few.Brokers != 2 {
		t.Fatalf("got %v", err)
	}
}

func TestBytesAreSharedToo(t *testing.T) {
	parts := striped(1, 60, 2, 3)
	for i := range parts {
		parts[i].Bytes = int64(1+i*i%37) << 20
	}
	moves, err := Assign(parts, targets(4))
	if err != nil {
		t.Fatal(err)
	}
	_, _, bytes := counts(apply(parts, moves))
	total := bytes[1] + bytes[2] + bytes[3] + bytes[4]
	if share := float64(bytes[4]) / float64(total); share < 0.2 || share > 0.3 {
		t.Errorf("the new broker has %.0f %% of the bytes", 100*share)
	}
}

func TestRunningReassignmentIsTakenAsDone(t *testing.T) {
	p := spec.PartitionObservation{Topic: "t", Replicas: []int32{2, 1}, Adding: []int32{2}, Removing: []int32{1}, ISR: []int32{1}}
	moves, err := Assign([]spec.PartitionObservation{p}, targets(2))
	if err != nil || len(moves) != 0 {
		t.Fatalf("%v %v", moves, err)
	}
}

// world draws a cluster with any assignment, however bad.
func world(t *rapid.T) (parts []spec.PartitionObservation, old []Target) {
	n := rapid.IntRange(1, 8).Draw(t, "brokers")
	racks := rapid.IntRange(0, 4).Draw(t, "racks")
	for i := range n {
		b := Target{ID: int32(i + 1)}
		if racks > 0 {
			b.Rack = fmt.Sprint(rapid.IntRange(1, racks).Draw(t, "rack"))
		}
		old = append(old, b)
	}
	for topic := range rapid.IntRange(0, 4).Draw(t, "topics") {
		factor := rapid.IntRange(1, min(n, 4)).Draw(t, "factor")
		for p := range rapid.IntRange(1, 12).Draw(t, "partitions") {
			ids := rapid.Permutation(ids(old)).Draw(t, "replicas")[:factor]
			parts = append(parts, spec.PartitionObservation{Topic: fmt.Sprint(topic), Partition: int32(p), Replicas: ids, ISR: ids,
				Leader: ids[0], Bytes: rapid.Int64Range(0, 1000).Draw(t, "bytes")})
		}
	}
	return parts, old
}

func ids(ts []Target) []int32 {
	var out []int32
	for _, t := range ts {
		out = append(out, t.ID)
	}
	return out
}

// change draws which brokers stay and which come.
func change(t *rapid.T, old []Target) []Target {
	var to []Target
	for _, b := range old {
		if rapid.IntRange(0, 3).Draw(t, "stays") > 0 {
			to = append(to, b)
		}
	}
	for i := range rapid.IntRange(0, 4).Draw(t, "new") {
		b := Target{ID: int32(100 + i)}
		if old[0].Rack != "" {
			b.Rack = fmt.Sprint(rapid.IntRange(1, 4).Draw(t, "rack"))
		}
		to = append(to, b)
	}
	return to
}

func spreadOf(ids []int32, in []Target) int {
	seen := map[string]bool{}
	for _, id := range ids {
		for _, b := range in {
			if b.ID == id {
				if b.Rack == "" {
					seen[fmt.Sprint("#", id)] = true
				} else {
					seen[b.Rack] = true
				}
			}
		}
	}
	return len(seen)
}

func TestAssignProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parts, old := world(t)
		to := change(t, old)
		moves, err := Assign(parts, to)
		if err != nil {
			var few *TooManyReplicas
			if !errors.As(err, &few) || few.Factor <= len(to) {
				t.Fatalf("refused without need: %v", err)
			}
			return
		}
		after := apply(parts, moves)
		checkReplicas(t, parts, after, old, to)
		checkNeed(t, parts, after, moves, to)
		checkLeaders(t, after, to)
		again, err := Assign(after, to)
		if err != nil || len(again) != 0 {
			t.Fatalf("a second run moves %d partitions: %v (%v)", len(again), again, err)
		}
		mixed := slices.Clone(parts)
		rand.New(rand.NewSource(1)).Shuffle(len(mixed), func(i, j int) { mixed[i], mixed[j] = mixed[j], mixed[i] })
		slices.Reverse(to)
		same, err := Assign(mixed, to)
		if err != nil || cmp.Diff(moves, same) != "" {
			t.Fatalf("depends on the order of its input: %s (%v)", cmp.Diff(moves, same), err)
		}
	})
}

func checkReplicas(t *rapid.T, before, after []spec.PartitionObservation, old, to []Target) {
	racks := spreadOf(ids(to), to)
	for i, p := range after {
		sorted := slices.Sorted(slices.Values(p.Replicas))
		if len(p.Replicas) != len(before[i].Replicas) || len(slices.Compact(sorted)) != len(p.Replicas) {
			t.Fatalf("%v became %v", before[i].Replicas, p.Replicas)
		}
		for _, id := range p.Replicas {
			if !slices.Contains(ids(to), id) {
				t.Fatalf("%v has replicas on %d, which is no target", p.Replicas, id)
			}
		}
		if had := min(spreadOf(before[i].Replicas, old), racks); spreadOf(p.Replicas, to) < had {
			t.Fatalf("%v → %v: on %d racks, was on %d", before[i].Replicas, p.Replicas, spreadOf(p.Replicas, to), had)
		}
	}
}

// checkNeed compares the copies with the least that any balanced result needs.
func checkNeed(t *rapid.T, before, after []spec.PartitionObservation, moves []spec.Move, to []Target) {
	kept, total, homeless := map[int32]int{}, 0, 0
	for _, p := range before {
		for _, id := range p.Replicas {
			total++
			if slices.Contains(ids(to), id) {
				kept[id]++
			} else {
				homeless++
			}
		}
	}
	if len(to) == 0 || to[0].Rack != "" {
		return // racks may cost moves and balance
	}
	replicas, _, _ := counts(after)
	if gap(replicas, to) > 1 {
		t.Fatalf("not balanced: %v", replicas)
	}
	var have []int
	for _, b := range to {
		have = append(have, kept[b.ID])
	}
	slices.Sort(have)
	slices.Reverse(have)
	least := total
	for i, h := range have {
		quota := total / len(to)
		if i < total%len(to) {
			quota++
		}
		least -= min(h, quota)
	}
	// A replica without a home can find all brokers with room taken by its
	// own partition; then one more must make room.
	if got := copies(moves); got < least || got > least+homeless {
		t.Fatalf("%d copies, the least is %d, homeless %d", got, least, homeless)
	}
}

func checkLeaders(t *rapid.T, after []spec.PartitionObservation, to []Target) {
	_, leaders, _ := counts(after)
	for _, p := range after {
		for _, id := range p.Replicas {
			if leaders[p.Replicas[0]]-leaders[id] > 1 {
				t.Fatalf("%d leads %d partitions, %d leads %d, and both have %v", p.Replicas[0], leaders[p.Replicas[0]], id, leaders[id], p.Replicas)
			}
		}
	}
}

// TestRacksOfEqualSize wants the balance within each rack, whatever else.
func TestRacksOfEqualSize(t *testing.T) {
	parts := striped(4, 9, 3, 3)
	to := targets(6, "a", "b", "c")
	moves, err := Assign(parts, to)
	if err != nil {
		t.Fatal(err)
	}
	after := apply(parts, moves)
	replicas, leaders, _ := counts(after)
	if gap(replicas, to) > 1 || gap(leaders, to) > 1 {
		t.Errorf("replicas %v leaders %v", replicas, leaders)
	}
	for _, p := range after {
		if spreadOf(p.Replicas, to) != 3 {
			t.Errorf("%v is on %d racks", p.Replicas, spreadOf(p.Replicas, to))
		}
	}
}

func TestPinnedKeepsAndGetsNothing(t *testing.T) {
	to := targets(4)
	to[1].Pinned = true
	parts := striped(2, 12, 2, 3)
	moves, err := Assign(parts, to)
	if err != nil {
		t.Fatal(err)
	}
	before, _, _ := counts(parts)
	after, leaders, _ := counts(apply(parts, moves))
	if after[2] != before[2] || gap(after, []Target{to[0], to[2], to[3]}) > 1 {
		t.Errorf("before %v, after %v, leaders %v", before, after, leaders)
	}
	if _, err := Assign(striped(1, 1, 2, 2), []Target{{ID: 2, Pinned: true}, {ID: 3, Pinned: true}}); err == nil {
		t.Error("a homeless replica has nowhere to go, and no error")
	}
}

func TestManyPartitions(t *testing.T) {
	parts := striped(400, 50, 3, 3)
	moves, err := Assign(parts, targets(5))
	if err != nil {
		t.Fatal(err)
	}
	replicas, leaders, _ := counts(apply(parts, moves))
	if copies(moves) != 24000 || gap(replicas, targets(5)) > 1 || gap(leaders, targets(5)) > 1 {
		t.Errorf("%d copies, replicas %v, leaders %v", copies(moves), replicas, leaders)
	}
}
