package replica

import (
	"testing"
	"testing/synctest"
	"time"
)

// A follower's session hears what happens to its partitions: records and other roles end its wait, watermarks do not, and it
// looks at each of them once.
func TestFollowsHears(t *testing.T) {
	k := newKit(t, nil)
	r := k.lead(t, 1)
	f, p, other := NewFollows(), &Followed{}, &Followed{}
	f.Note(p, p, other)
	if n := len(f.Take()); n != 2 || len(f.Take()) != 0 {
		t.Fatalf("%d partitions", n)
	}
	f.Watch(p, r)
	f.Watch(p, r)
	news := func(want int) {
		t.Helper()
		if got := f.Take(); len(got) != want || want == 1 && got[0] != p {
			t.Fatalf("news of %d partitions instead of %d", len(got), want)
		}
	}
	ended := make(chan bool, 10)
	await := func() *Wait {
		t.Helper()
		w := f.Await(1, time.Hour, func() { ended <- true })
		if w == nil {
			t.Fatal("it does not wait")
		}
		return w
	}
	await()
	r.waits.signal(unknownSize, false)
	if len(ended) > 0 {
		t.Fatal("a watermark ends the wait")
	}
	news(1)
	if _, err := k.Append(r, batch(t, "x"), 1); err != nil {
		t.Fatal(err)
	}
	<-ended
	if f.Await(1, time.Hour, func() { t.Error("it ran") }) != nil {
		t.Fatal("it waits though records came")
	}
	news(1)
	await()
	r.changed()
	<-ended
	news(1)
	await()
	f.Hurry()
	<-ended
	if !f.Hurried() || f.Hurried() {
		t.Error("it is in a hurry once")
	}
	news(0)
	if w := await(); !w.Cancel() || w.Cancel() {
		t.Error("a wait is cancelled once")
	}
	r.changed()
	news(1)
	f.Forget(p, 2)
	r.changed()
	news(0)
	if r.appended.n.Load() != 0 || r.waits.n.Load() != 0 {
		t.Error("a partition that was forgotten is watched")
	}
	f.Watch(p, r)
	f.Close()
	r.changed()
	news(0)
	if len(ended) > 0 {
		t.Error("a wait ended twice")
	}
}

// A wait of a session ends with its time.
func TestFollowsWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, ended := NewFollows(), make(chan time.Time, 1)
		begin := time.Now()
		f.Await(1, 500*time.Millisecond, func() { ended <- time.Now() })
		if took := (<-ended).Sub(begin); took != 500*time.Millisecond {
			t.Error(took)
		}
		if f.wait != nil {
			t.Error("it waits still")
		}
	})
}
