package coordinator_test

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/coordinator/memlog"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/wire"
)

// register is a machine that holds the last value per key.
type register struct {
	sh       *coordinator.Shard
	values   map[string]string
	loaded   int
	unloaded error
}

func (r *register) Replay(rec coordinator.Replayed) error {
	if string(rec.Key) == "poison" {
		return wire.CorruptMessage
	}
	if rec.Value == nil {
		delete(r.values, string(rec.Key))
	} else {
		r.values[string(rec.Key)] = string(rec.Value)
	}
	return nil
}
func (r *register) ReplayMarker(int64, bool) error { return nil }
func (r *register) Loaded(*coordinator.Tx)         { r.loaded++ }
func (r *register) Unloaded(err error)             { r.unloaded = err }

func (r *register) set(tx *coordinator.Tx, key, value string) {
	before, had := r.values[key]
	r.values[key] = value
	tx.Append([]byte(key), []byte(value))
	tx.Undo(func() {
		if had {
			r.values[key] = before
		} else {
			delete(r.values, key)
		}
	})
}

type fixture struct {
	t    *testing.T
	logs memlog.Logs
	g    *lifecycle.Group
	rt   *coordinator.Runtime[*register]
	last *register

	mu  sync.Mutex
	out []string
}

// inBubble runs f with a runtime whose partition 0 is elected, in virtual time.
func inBubble(t *testing.T, f func(*fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		x := &fixture{t: t}
		x.start()
		x.rt.Elected(0, 1)
		synctest.Wait()
		f(x)
		x.stop()
	})
}

func (x *fixture) start() {
	quiet := slog.New(slog.DiscardHandler)
	x.g = lifecycle.New("test", quiet)
	x.rt = coordinator.NewRuntime(coordinator.Config{Topic: "t", Partitions: &x.logs, Group: x.g, Logger: quiet, LoadBufferBytes: 200},
		func(sh *coordinator.Shard) *register {
			r := &register{sh: sh, values: map[string]string{}}
			x.mu.Lock()
			defer x.mu.Unlock()
			x.last = r
			return r
		})
}

func (x *fixture) stop() {
	x.rt.Close()
	synctest.Wait()
	x.g.Stop()
}

// pass lets virtual time pass.
func pass(d time.Duration) { <-time.After(d) }

// set posts an operation; its outcome goes to out.
func (x *fixture) set(key, value string) {
	x.rt.Run(0, func(tx *coordinator.Tx, m *register) {
		m.set(tx, key, value)
		tx.Then(func(_ *coordinator.Tx, err error) { x.report(key, value, err) })
	}, func(err error) { x.report(key, value, err) })
}

func (x *fixture) report(key, value string, err error) {
	s := key + "=" + value
	if err != nil {
		s += " " + wire.CodeOf(err).Name()
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	x.out = append(x.out, s)
}

func (x *fixture) expect(want ...string) {
	x.t.Helper()
	synctest.Wait()
	x.mu.Lock()
	defer x.mu.Unlock()
	if !slices.Equal(x.out, want) {
		x.t.Fatalf("answers are %q, want %q", x.out, want)
	}
	x.out = nil
}

// values shows the state of the shard.
func (x *fixture) values() string {
	synctest.Wait()
	var s []string
	x.rt.Run(0, func(_ *coordinator.Tx, m *register) {
		for k, v := range m.values {
			s = append(s, k+"="+v)
		}
	}, func(err error) { s = append(s, err.Error()) })
	synctest.Wait()
	slices.Sort(s)
	return strings.Join(s, " ")
}

func TestAnswersWaitForTheCommitAndGatherInOneBatch(t *testing.T) {
	inBubble(t, func(x *fixture) {
		log := x.logs.Log(0)
		log.Hold()
		x.set("a", "1")
		synctest.Wait()
		for i := range 10 {
			x.set("b", fmt.Sprint(i))
		}
		x.expect()
		if x.values() != "a=1 b=9" {
			t.Fatalf("uncommitted state is not there: %s", x.values())
		}
		log.Release()
		x.expect("a=1", "b=0", "b=1", "b=2", "b=3", "b=4", "b=5", "b=6", "b=7", "b=8", "b=9")
		if b := log.Batches(); len(b) != 2 || b[1].NumRecords() != 10 || b[1].ProducerID() != -1 || b[1].BaseSequence() != 0 {
			t.Fatalf("want two batches, the second of ten records; got %d", len(b))
		}
	})
}

func TestFailedAppendUndoesAllThatIsNotCommitted(t *testing.T) {
	inBubble(t, func(x *fixture) {
		log := x.logs.Log(0)
		x.set("a", "1")
		x.expect("a=1")
		log.Hold()
		x.set("a", "2")
		synctest.Wait()
		x.set("a", "3") // sees a=2, in the next batch
		x.set("b", "1")
		synctest.Wait()
		log.Fail(wire.NotEnoughReplicas)
		x.expect("a=2 NOT_ENOUGH_REPLICAS", "a=3 NOT_ENOUGH_REPLICAS", "b=1 NOT_ENOUGH_REPLICAS")
		if x.values() != "a=1" {
			t.Fatalf("state after the failure is %s", x.values())
		}
		x.set("a", "4")
		x.expect("a=4")
	})
}

func TestOperationWithoutRecordsWaitsForThoseBefore(t *testing.T) {
	inBubble(t, func(x *fixture) {
		read := func() {
			x.rt.Run(0, func(tx *coordinator.Tx, m *register) {
				v := m.values["a"]
				tx.Then(func(_ *coordinator.Tx, err error) { x.report("read", v, err) })
			}, func(err error) { x.report("read", "", err) })
		}
		read()
		x.expect("read=")
		x.logs.Log(0).Hold()
		x.set("a", "1")
		read()
		x.expect()
		x.logs.Log(0).Release()
		x.expect("a=1", "read=1")
	})
}

func TestReloadedStateIsTheSame(t *testing.T) {
	inBubble(t, func(x *fixture) {
		for i := range 100 {
			x.set(fmt.Sprint("k", i%7), fmt.Sprint(i))
			if i%3 == 0 {
				synctest.Wait()
			}
		}
		before := x.values()
		x.rt.Resigned(0, 2)
		synctest.Wait()
		if !errors.Is(x.last.unloaded, wire.NotCoordinator) {
			t.Fatalf("unloaded with %v", x.last.unloaded)
		}
		x.mu.Lock()
		x.out = nil
		x.mu.Unlock()
		x.set("a", "1")
		x.expect("a=1 NOT_COORDINATOR")
		x.rt.Elected(0, 3)
		synctest.Wait()
		if after := x.values(); after != before {
			t.Fatalf("state was %s and is %s", before, after)
		}
	})
}

func TestEpochs(t *testing.T) {
	inBubble(t, func(x *fixture) {
		first := x.last
		x.rt.Elected(0, 5) // the same leader in a new epoch goes on
		x.rt.Resigned(0, 4)
		x.set("a", "1")
		x.expect("a=1")
		if x.last != first || x.logs.Log(0).Batches()[0].LeaderEpoch() != 5 {
			t.Fatal("the shard should have gone on in epoch 5")
		}
		x.rt.Elected(0, 3)
		x.rt.Resigned(0, -1)
		x.set("a", "2")
		x.expect("a=2 NOT_COORDINATOR")
	})
}

func TestResignationAnswersWhoWaits(t *testing.T) {
	inBubble(t, func(x *fixture) {
		x.logs.Log(0).Hold()
		x.set("a", "1")
		synctest.Wait()
		x.set("b", "1")
		synctest.Wait()
		x.rt.Resigned(0, 1)
		x.expect("a=1 NOT_COORDINATOR", "b=1 NOT_COORDINATOR")
		x.logs.Log(0).Release() // too late to matter
		x.expect()
	})
}

func TestSlowCommitTimesOutAndStaysOpen(t *testing.T) {
	inBubble(t, func(x *fixture) {
		log := x.logs.Log(0)
		log.Hold()
		x.set("a", "1")
		synctest.Wait()
		x.set("b", "1")
		pass(coordinator.DefaultCommitTimeout - time.Millisecond)
		x.expect()
		pass(time.Millisecond)
		x.expect("a=1 REQUEST_TIMED_OUT", "b=1 REQUEST_TIMED_OUT")
		if x.values() != "a=1 b=1" {
			t.Fatalf("the outcome is open, but the state is %s", x.values())
		}
		x.set("c", "1")
		synctest.Wait()
		log.Fail(wire.NotLeaderOrFollower)
		x.expect("c=1 NOT_LEADER_OR_FOLLOWER")
		if x.values() != "" {
			t.Fatalf("after the failure the state is %s", x.values())
		}
	})
}

func TestLargeOperations(t *testing.T) {
	inBubble(t, func(x *fixture) {
		x.rt.Resigned(0, -1)
		x.logs.Log(0).SetMaxBatchBytes(1000)
		x.rt.Elected(0, 2)
		synctest.Wait()
		big := strings.Repeat("x", 400)
		x.logs.Log(0).Hold()
		x.set("a", "1")
		synctest.Wait()
		x.set("b", big)
		x.set("c", big)
		x.set("d", big)
		x.rt.Run(0, func(tx *coordinator.Tx, m *register) {
			m.set(tx, "e", big+big+big)
			m.values["f"] = "1"
			tx.Undo(func() { delete(m.values, "f") })
			tx.Then(func(_ *coordinator.Tx, err error) { x.report("e", "", err) })
		}, nil)
		x.expect("e= RECORD_LIST_TOO_LARGE") // alone; it harms nobody
		x.rt.Run(0, func(tx *coordinator.Tx, m *register) {
			for i := range 5 {
				m.set(tx, fmt.Sprint("g", i), big)
				tx.Split()
			}
			tx.Then(func(_ *coordinator.Tx, err error) { x.report("g", "", err) })
		}, nil)
		x.logs.Log(0).Release()
		x.expect("a=1", "b="+big, "c="+big, "d="+big, "g=")
		if n := len(x.logs.Log(0).Batches()); n != 5 {
			t.Fatalf("%d batches", n)
		}
		if _, ok := x.last.values["f"]; ok || x.last.values["e"] != "" {
			t.Fatal("the refused operation left something")
		}
	})
}

func TestFailedLoadIsTriedAgainAtTheNextElection(t *testing.T) {
	inBubble(t, func(x *fixture) {
		x.set("poison", "1")
		x.expect("poison=1")
		x.rt.Resigned(0, -1)
		x.rt.Elected(0, 2)
		synctest.Wait()
		x.set("a", "1")
		x.expect("a=1 NOT_COORDINATOR")
		x.rt.Elected(0, 2) // the same election, told again
		synctest.Wait()
		x.set("a", "1")
		x.expect("a=1 NOT_COORDINATOR")
		x.rt.Elected(1, 1)
		x.logs.Log(2).FailReads(wire.KafkaStorageError)
		x.rt.Elected(2, 1)
		synctest.Wait()
		x.logs.Log(2).FailReads(nil)
		x.rt.Elected(2, 2)
		synctest.Wait()
		if x.last.loaded != 1 {
			t.Fatal("a later election should load anew")
		}
	})
}

func TestLoadingAnswersLoadInProgress(t *testing.T) {
	inBubble(t, func(x *fixture) {
		release := x.logs.Log(1).HoldReads()
		defer release()
		x.rt.Elected(1, 1)
		var got error
		x.rt.Run(1, func(*coordinator.Tx, *register) {}, func(err error) { got = err })
		if !errors.Is(got, wire.CoordinatorLoadInProgress) {
			t.Fatalf("got %v", got)
		}
	})
}

func TestTimers(t *testing.T) {
	inBubble(t, func(x *fixture) {
		var a, b, c coordinator.Timer
		start := time.Now()
		fire := func(name string) func(*coordinator.Tx) {
			return func(tx *coordinator.Tx) { x.report(name, tx.Now.Sub(start).String(), nil) }
		}
		x.rt.Run(0, func(_ *coordinator.Tx, m *register) {
			m.sh.Schedule(&a, 3*time.Second, fire("a"))
			m.sh.Schedule(&b, 2*time.Second, fire("b"))
			m.sh.Schedule(&c, time.Second, fire("c"))
			m.sh.Schedule(&c, 4*time.Second, fire("c"))
			m.sh.Cancel(&b)
		}, nil)
		pass(time.Minute)
		x.expect("a=3s", "c=4s")
		x.rt.Run(0, func(_ *coordinator.Tx, m *register) { m.sh.Schedule(&a, time.Second, fire("late")) }, nil)
		synctest.Wait()
		x.rt.Resigned(0, -1)
		pass(time.Minute)
		x.expect() // a shard that is gone has no time
	})
}

func TestIdleShardsHaveNoGoroutine(t *testing.T) {
	inBubble(t, func(x *fixture) {
		before := runtime.NumGoroutine()
		for p := range int32(500) {
			x.rt.Elected(p+1, 1)
		}
		synctest.Wait()
		for p := range int32(500) {
			x.rt.Run(p+1, func(tx *coordinator.Tx, m *register) { m.set(tx, "a", "1") }, nil)
		}
		synctest.Wait()
		if after := runtime.NumGoroutine(); after > before {
			t.Fatalf("%d goroutines before, %d after", before, after)
		}
	})
}

// TestWhoWaitsAfterATimeOutHearsOfItsOwnRecords, not of those that come behind.
func TestWhoWaitsAfterATimeOutHearsOfItsOwnRecords(t *testing.T) {
	inBubble(t, func(x *fixture) {
		log := x.logs.Log(0)
		log.Hold()
		patient := func(key string) {
			x.rt.Run(0, func(tx *coordinator.Tx, m *register) {
				m.set(tx, key, "1")
				var settle func(*coordinator.Tx, error)
				settle = func(tx *coordinator.Tx, err error) {
					if errors.Is(err, wire.RequestTimedOut) {
						tx.Then(settle)
						return
					}
					x.report(key, "1", err)
				}
				tx.Then(settle)
			}, func(err error) { x.report(key, "1", err) })
			synctest.Wait()
		}
		patient("a")
		patient("b") // in the batch behind
		pass(coordinator.DefaultCommitTimeout + time.Second)
		synctest.Wait()
		x.expect()
		log.FailAppends(wire.NotEnoughReplicas)
		log.Release() // a is committed, and b cannot be written
		synctest.Wait()
		x.expect("a=1", "b=1 NOT_ENOUGH_REPLICAS")
		if got := x.values(); got != "a=1" {
			t.Fatalf("values %s", got)
		}
	})
}
