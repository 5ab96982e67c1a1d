package controller

import (
	"testing"
	"time"
)

// endedNow tells the controller that a broker's process has ended, and reports whether it was fenced.
func (k *cluster) endedNow(id int32, epoch int64) bool {
	k.t.Helper()
	k.c.BrokerEnded(id, epoch)
	k.create("after-"+newTopicName(), 1, 1) // what was posted before is decided
	return k.c.Image().Broker(id).Fenced
}

var topicNames int

func newTopicName() string {
	topicNames++
	return time.Duration(topicNames).String()
}

// TestEndedBrokers: a broker whose process has ended is fenced at once and its partitions go to others; but not this
// node's own, nor by news of an older incarnation, nor many within a session.
func TestEndedBrokers(t *testing.T) {
	k := three(t, 3)
	if k.endedNow(1, k.epochs[1]) || k.endedNow(2, k.epochs[2]-1) {
		t.Fatal("a broker was fenced that had not ended")
	}
	if !k.endedNow(2, k.epochs[2]) {
		t.Fatal("an ended broker is not fenced")
	}
	for i := range int32(3) {
		if p := k.partition(i); p.Leader == 2 || p.InSync(2) {
			t.Errorf("partition %d: %+v", i, p)
		}
	}
	if k.endedNow(3, k.epochs[3]) {
		t.Error("a second broker went within a session though the first one is not back")
	}
	k.broker(2, -1)
	if !k.endedNow(3, k.epochs[3]) {
		t.Error("the first broker came back as a new process, and the second one was not fenced")
	}
	k.broker(3, -1)
	if !k.endedNow(3, k.epochs[3]) || k.endedNow(2, k.epochs[2]) {
		t.Error("the bound is not one broker within a session")
	}
	k.beat(2, false, false)
	k.clock.Add(int64(k.set.Load().Millis("broker.session.timeout.ms") / 2))
	if k.endedNow(2, k.epochs[2]) {
		t.Error("a second broker went before the session was over")
	}
	k.clock.Add(int64(k.set.Load().Millis("broker.session.timeout.ms")))
	if !k.endedNow(2, k.epochs[2]) {
		t.Error("a second broker did not go after the session")
	}
}
