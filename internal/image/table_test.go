package image

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// A table does what a map does, and all that were shared stay as they were, whatever is done to those that come from them.
func TestTable(t *testing.T) {
	type shared struct {
		table table[int, int]
		want  map[int]int
	}
	check := func(rt *rapid.T, s shared) {
		if got := maps.Collect(s.table.all()); s.table.n != len(s.want) || !maps.Equal(got, s.want) {
			rt.Fatalf("%d entries: %s", s.table.n, cmp.Diff(s.want, got))
		}
		for k, v := range s.want {
			if got, ok := s.table.get(k); !ok || got != v {
				rt.Fatalf("key %d: %d %v instead of %d", k, got, ok, v)
			}
		}
		if _, ok := s.table.get(-1); ok {
			rt.Fatal("a key is there that nobody put in")
		}
	}
	rapid.Check(t, func(rt *rapid.T) {
		all := []shared{{want: map[int]int{}}}
		keys := rapid.SampledFrom([]int{3, 40, 3000}).Draw(rt, "keys")
		for range rapid.IntRange(1, 8).Draw(rt, "edits") {
			from := all[rapid.IntRange(0, len(all)-1).Draw(rt, "from")]
			e, want := editOf(from.table), maps.Clone(from.want)
			for range rapid.IntRange(0, 2*keys).Draw(rt, "steps") {
				k := rapid.IntRange(0, keys).Draw(rt, "key")
				if rapid.IntRange(0, 2).Draw(rt, "what") == 0 {
					e.remove(k)
					delete(want, k)
				} else {
					e.set(k, len(all)*1000000+len(want))
					want[k] = len(all)*1000000 + len(want)
				}
				if rapid.IntRange(0, 50).Draw(rt, "share") == 0 {
					all = append(all, shared{e.share(), maps.Clone(want)})
				}
			}
			all = append(all, shared{e.share(), want})
		}
		for _, s := range all {
			check(rt, s)
		}
	})
}

// Keys whose hashes are equal live in one list.
func TestTableWithEqualHashes(t *testing.T) {
	e := editOf(table[int, int]{})
	var b *branch[int, int]
	for i := range 5 {
		b, _ = e.put(b, entry[int, int]{i, i}, 7, lastLevel)
	}
	b, added := e.put(b, entry[int, int]{3, 33}, 7, lastLevel)
	if v, ok := b.get(3, 7, lastLevel); added || !ok || v != 33 {
		t.Error(added, v, ok)
	}
	for i := range 5 {
		b = e.take(b, i, 7, lastLevel)
		if _, ok := b.get(i, 7, lastLevel); ok {
			t.Error(i, "is still there")
		}
	}
	if b != nil {
		t.Error("an empty list stays")
	}
}
