package handler

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-stream/weir/internal/wire"
)

func TestWhatIsNamedTwiceCountsOnce(t *testing.T) {
	for _, n := range []int32{1, fewEntries, 3 * fewEntries} {
		part := func(i int32, b byte) wire.ProducePartition {
			return wire.ProducePartition{Index: i, Records: []byte{b}}
		}
		shared := make([]wire.ProducePartition, 0, 8*n) // one array behind both lists, as a decoder may have it
		var want []wire.ProducePartition
		for i := range n {
			shared = append(shared, part(i, 'a'))
			want = append(want, part(i, 'b'))
		}
		first := shared
		shared = append(shared, part(n, 'x'), part(0, 'b'))
		for i := int32(1); i < n; i++ {
			shared = append(shared, part(i, 'b'))
		}
		got := produceOnce([]wire.ProduceTopic{{Name: "p", Partitions: first}, {Name: "q", Partitions: shared[n : n+1]}, {Name: "p", Partitions: shared[n+1:]}})
		if diff := cmp.Diff([]wire.ProduceTopic{{Name: "p", Partitions: want}, {Name: "q", Partitions: []wire.ProducePartition{part(n, 'x')}}}, got); diff != "" {
			t.Error(n, diff)
		}
		var items, once []fetchItem
		for i := range 2 * n {
			items = append(items, fetchItem{key: fetchKey{name: "p", index: i % n}, fetchOffset: int64(i)})
		}
		for i := range n {
			once = append(once, fetchItem{key: fetchKey{name: "p", index: i}, fetchOffset: int64(n + i)})
		}
		if diff := cmp.Diff(once, fetchOnce(items), cmp.AllowUnexported(fetchItem{}, fetchKey{})); diff != "" {
			t.Error(n, diff)
		}
	}
	few := []fetchItem{{key: fetchKey{index: 1}}, {key: fetchKey{index: 2}}, {key: fetchKey{index: 3}}}
	if n := testing.AllocsPerRun(100, func() { fetchOnce(few) }); n > 0 {
		t.Errorf("%v allocations for three partitions", n)
	}
}
