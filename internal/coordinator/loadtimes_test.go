package coordinator

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestLoadTimesOfTheLast30Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l loadTimes
		check := func(longest, mean time.Duration) {
			t.Helper()
			if a, b := l.figures(); a != longest || b != mean {
				t.Fatalf("longest %v, mean %v; want %v, %v", a, b, longest, mean)
			}
		}
		check(0, 0)
		l.add(6 * time.Second)
		<-time.After(20 * time.Second)
		l.add(2 * time.Second)
		check(6*time.Second, 4*time.Second)
		<-time.After(11 * time.Second)
		check(2*time.Second, 2*time.Second)
		<-time.After(20 * time.Second)
		check(0, 0)
	})
}
