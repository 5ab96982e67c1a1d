package delayed

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestOpExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		got := make(chan bool, 2)
		o := New(500*time.Millisecond, func(expired bool) { got <- expired })
		if expired := <-got; !expired {
			t.Fatal("ran without having expired")
		}
		if waited := time.Since(start); waited != 500*time.Millisecond {
			t.Fatalf("ran after %v", waited)
		}
		if o.Complete() || o.Claim() || !o.Done() {
			t.Fatal("an expired operation ran again")
		}
	})
}

func TestOpRunsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs, wins atomic.Int32
		o := New(time.Second, func(expired bool) {
			if expired {
				t.Error("expired although it was completed")
			}
			runs.Add(1)
		})
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if o.Complete() {
					wins.Add(1)
				}
			})
		}
		wg.Wait()
		time.Sleep(2 * time.Second) // virtual: lets a timer that was not stopped fire
		if runs.Load() != 1 || wins.Load() != 1 {
			t.Fatalf("ran %d times, %d callers won", runs.Load(), wins.Load())
		}
	})
}

func TestClaimDoesNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := New(time.Second, func(bool) { t.Error("a claimed operation ran") })
		if !o.Claim() || o.Claim() {
			t.Fatal("claim must succeed once")
		}
		time.Sleep(2 * time.Second) // virtual
	})
}
