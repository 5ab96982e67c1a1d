package coordinator

import (
	"container/heap"
	"time"
)

// Timer is one deadline of a shard. The zero value is ready for Shard.Schedule. It belongs to the shard's loop and
// must not be copied once scheduled.
type Timer struct {
	when time.Time
	fire func(*Tx)
	slot int // 1 + index in the heap; 0: not scheduled
}

// Scheduled reports whether the timer waits for its deadline.
func (t *Timer) Scheduled() bool { return t.slot != 0 }

// When is the deadline of a scheduled timer.
func (t *Timer) When() time.Time { return t.when }

// timers is a heap by deadline.
type timers []*Timer

func (h timers) Len() int           { return len(h) }
func (h timers) Less(i, j int) bool { return h[i].when.Before(h[j].when) }
func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].slot, h[j].slot = i+1, j+1
}

// Push implements heap.Interface.
func (h *timers) Push(x any) {
	t := x.(*Timer)
	*h = append(*h, t)
	t.slot = len(*h)
}

// Pop implements heap.Interface.
func (h *timers) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.slot = 0
	return t
}

// Schedule sets the deadline of t to d from now, whether or not it has one already, and what happens then, in the
// shard's loop. To be called from that loop.
func (sh *Shard) Schedule(t *Timer, d time.Duration, fire func(*Tx)) {
	t.when, t.fire = time.Now().Add(d), fire
	if t.slot != 0 {
		heap.Fix(&sh.timers, t.slot-1)
	} else {
		heap.Push(&sh.timers, t)
	}
}

// Cancel takes the deadline of t away, if it has one. To be called from the shard's loop.
func (sh *Shard) Cancel(t *Timer) {
	if t.slot != 0 {
		heap.Remove(&sh.timers, t.slot-1)
	}
}

// fireDue runs the timers whose time has come.
func (sh *Shard) fireDue() {
	now := time.Now()
	for len(sh.timers) > 0 && !sh.timers[0].when.After(now) {
		t := heap.Pop(&sh.timers).(*Timer)
		sh.runTx(func(tx *Tx) { t.fire(tx) })
	}
}

// arm sets the shard's one clock to the earliest deadline. A clock that is set too early is left alone: it finds
// nothing due and is set again then, which is cheaper than moving it at every heartbeat.
func (sh *Shard) arm() {
	if len(sh.timers) == 0 {
		return
	}
	first := sh.timers[0].when
	if !sh.alarmAt.IsZero() && !first.Before(sh.alarmAt) {
		return
	}
	sh.alarmAt = first
	d := time.Until(first)
	if sh.alarm == nil {
		sh.alarm = time.AfterFunc(d, func() { sh.post(event{run: sh.alarmRang}) })
		return
	}
	sh.alarm.Reset(d)
}

func (sh *Shard) alarmRang() {
	sh.alarmAt = time.Time{}
	sh.fireDue()
}
