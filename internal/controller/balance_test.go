package controller

import (
	"testing"
	"time"

	"github.com/weir-stream/weir/internal/image"
)

// TestLeadersGoBack: after a broker came back and is in sync, the controller gives it back what it led, by itself and in
// turns; not while it is fenced or lags, and not if the settings say so.
func TestLeadersGoBack(t *testing.T) {
	k := newCluster(t, "leader.imbalance.check.interval.seconds=1")
	for id := range int32(3) {
		k.broker(id+1, -1)
	}
	k.create("t", 6, 3)
	preferred := func(img *image.Image) bool {
		for _, p := range img.TopicByName("t").Partitions {
			if p.Leader != p.Replicas[0] {
				return false
			}
		}
		return true
	}
	if !preferred(k.c.Image()) {
		t.Fatal("they do not begin with their preferred leaders")
	}
	k.beat(3, true, false)
	if preferred(k.c.Image()) {
		t.Fatal("a fenced broker leads")
	}
	k.beat(3, false, false)
	turn := func() {
		done := make(chan struct{})
		k.c.post(func() { k.c.balance(); close(done) })
		<-done
		k.create("after-"+newTopicName(), 1, 1) // what was proposed is published
	}
	turn()
	if preferred(k.c.Image()) {
		t.Error("a broker that is not in sync leads")
	}
	for i := range int32(6) {
		if code := k.alter(i, 1, 2, 3); code != 0 {
			t.Fatalf("partition %d: %v", i, code)
		}
	}
	k.until("all are led by their preferred replicas", preferred) // by the timer
}

// TestLeadersStay: without auto.leader.rebalance.enable nothing moves by itself.
func TestLeadersStay(t *testing.T) {
	k := newCluster(t, "leader.imbalance.check.interval.seconds=1", "auto.leader.rebalance.enable=false")
	done := make(chan bool)
	k.c.post(func() {
		k.c.scheduleBalance(time.Hour)
		done <- k.c.balanceTimer.Stop()
	})
	if <-done {
		t.Error("a look at the leaders is planned")
	}
}
