package bufpool

import "testing"

func TestClassesHoldWhatTheyPromise(t *testing.T) {
	last := 0
	for n := 0; n <= MaxClass; n += 509 {
		c := classOf(n)
		size := classSize(c)
		if size < n {
			t.Fatalf("%d bytes got a class of %d", n, size)
		}
		if c > 0 && classSize(c-1) >= n {
			t.Fatalf("%d bytes would fit class %d", n, c-1)
		}
		if size < last {
			t.Fatalf("class shrank at %d", n)
		}
		last = size
	}
	for _, n := range []int{0, 1, MinClass, MinClass + 1, 6 << 10, 6<<10 + 1, 64 << 10, 64<<10 + 1, MaxClass} {
		if got := classSize(classOf(n)); got < n {
			t.Errorf("%d bytes got %d", n, got)
		}
	}
	if classOf(MaxClass+1) != -1 {
		t.Error("beyond the largest class there must be none")
	}
	if got := classOf(MaxClass); got != classes-1 {
		t.Errorf("largest class is %d, want %d", got, classes-1)
	}
}

func TestGetReleaseCountsWhatIsLent(t *testing.T) {
	before := Lent()
	a, b := Get(100), Get(3<<20)
	if len(a.B) != 100 || len(b.B) != 3<<20 {
		t.Fatalf("lengths %d %d", len(a.B), len(b.B))
	}
	if got := Lent() - before; got != MinClass+3<<20 {
		t.Fatalf("lent %d", got)
	}
	a.Release()
	b.Release()
	if got := Lent() - before; got != 0 {
		t.Fatalf("still lent %d", got)
	}
}

func TestReleaseTwicePanics(t *testing.T) {
	b := Get(10)
	b.Release()
	defer func() {
		if recover() == nil {
			t.Fatal("no panic")
		}
	}()
	b.Release()
}

func TestGrowKeepsContents(t *testing.T) {
	b := Get(5)
	copy(b.B, "hello")
	b = b.Grow(4000)
	if string(b.B[:5]) != "hello" || len(b.B) != 4000 {
		t.Fatal("grow within the class lost bytes")
	}
	b = b.Grow(100_000)
	if string(b.B[:5]) != "hello" || len(b.B) != 100_000 {
		t.Fatal("grow to another class lost bytes")
	}
	b.Release()
}

func BenchmarkGetRelease(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Get(70 << 10).Release()
	}
}
