package authz

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

var near = netip.MustParseAddr("10.0.0.1")

// TestMemoryNeverOutlivesAChange: whatever is asked, in whatever order with changes of the rules, logins and authorizers, the
// answer is the authorizer's own.
func TestMemoryNeverOutlivesAChange(t *testing.T) {
	for seed := range uint64(40) {
		w := world{rand.New(rand.NewPCG(seed, 2))}
		all := []*Standard{NewStandard("", seed%2 == 0), NewStandard("User:u", false)}
		entries := make([][]Entry, len(all))
		var m Memory
		for range 600 {
			i := w.rng.IntN(len(all))
			switch w.rng.IntN(12) {
			case 0:
				e := w.entry()
				entries[i] = append(entries[i], e)
				all[i].Update(nil, []Entry{e})
			case 1:
				if n := len(entries[i]); n > 0 {
					all[i].Update(entries[i][n-1:], nil)
					entries[i] = entries[i][:n-1]
				}
			default:
				i = i * w.rng.IntN(2) * w.rng.IntN(2) // mostly the same one
				user, host := w.pick("u", "u", "u", "v"), netip.MustParseAddr(w.pick("10.0.0.1", "10.0.0.1", "::1"))
				op, typ, name := Operation(3+w.rng.IntN(3)), ResourceType(2+w.rng.IntN(2)), w.pick("a", "b", "ab", w.name())
				got := m.Authorize(all[i], "User:"+user, host, "L", op, typ, name)
				if want := all[i].Authorize(CallerOf("User:"+user, host, "L"), op, typ, name); got != want {
					t.Fatalf("seed %d: %s from %v op %d type %d %q: remembered %v, decided %v", seed, user, host, op, typ, name, got, want)
				}
			}
		}
	}
}

func TestMemoryIsBounded(t *testing.T) {
	s := standard(false, entry(Allow, "a", "*", Read, Topic, Literal, "*"))
	var m Memory
	ask := func(name string) bool { return m.Authorize(s, "User:a", near, "L", Read, Topic, name) }
	buf := []byte("orders")
	for i := range 10_000 {
		if !ask(fmt.Sprintf("topic-%d", i)) {
			t.Fatal("refused")
		}
	}
	if !ask(string(buf)) || !ask(strings.Repeat("x", 30_000)) {
		t.Fatal("refused")
	}
	kept := 0
	for i := range m.now.Load().slots {
		if a := m.now.Load().slots[i].Load(); a != nil {
			kept++
			if len(a.name) > memoryNameBytes {
				t.Errorf("a name of %d bytes is kept", len(a.name))
			}
		}
	}
	if kept == 0 || kept > memorySlots {
		t.Errorf("%d answers are kept", kept)
	}
	one := "topic-1"
	for range 2 * crowdedEvery {
		ask(one) // takes its place in the end
	}
	if n := testing.AllocsPerRun(100, func() { ask(one) }); n != 0 {
		t.Errorf("an answer from memory costs %v allocations", n)
	}
	if m.now.Load().slots[0].Load() == nil && kept == memorySlots {
		t.Error("answers went away")
	}
}

// TestMemoryOfManyGoroutines: handlers of one connection ask at once while rules change; what was applied before a question
// counts for it.
func TestMemoryOfManyGoroutines(t *testing.T) {
	s := NewStandard("", false)
	allow := []Entry{entry(Allow, "a", "*", Read, Topic, Literal, "t")}
	var m Memory
	var phase atomic.Int64 // odd: allowed. A question between two equal phases has that phase's answer
	var done atomic.Bool
	var askers sync.WaitGroup
	for range 4 {
		askers.Go(func() {
			for !done.Load() {
				before := phase.Load()
				got := m.Authorize(s, "User:a", near, "L", Read, Topic, "t")
				if before >= 0 && before == phase.Load() && got != (before%2 == 1) {
					t.Errorf("in phase %d: %v", before, got)
					return
				}
			}
		})
	}
	for i := range int64(2000) {
		phase.Store(-1) // under way
		if i%2 == 1 {
			s.Update(nil, allow)
		} else if i > 0 {
			s.Update(allow, nil)
		} else {
			s.Update(nil, nil)
		}
		phase.Store(i)
	}
	done.Store(true)
	askers.Wait()
}

func BenchmarkRemembered(b *testing.B) {
	s := standard(false, hundredThousand()...)
	many := make([]string, 1000)
	for i := range many {
		many[i] = fmt.Sprintf("orders.%d.dlq", i)
	}
	for _, c := range []struct {
		what, user string
		names      []string
		m          *Memory
	}{
		{"asked/literal", "User:user-7", []string{"team-7.topic-20007"}, nil},
		{"remembered/literal", "User:user-7", []string{"team-7.topic-20007"}, new(Memory)},
		{"asked/prefix", "User:app", []string{"orders.39999.dlq"}, nil},
		{"remembered/prefix", "User:app", []string{"orders.39999.dlq"}, new(Memory)},
		{"asked/1000 names", "User:app", many, nil},
		{"remembered/1000 names", "User:app", many, new(Memory)},
	} {
		b.Run(c.what, func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				c.m.Authorize(s, c.user, near, "L", Read, Topic, c.names[i])
				if i++; i == len(c.names) {
					i = 0
				}
			}
		})
	}
}
