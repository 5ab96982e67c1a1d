//go:build e2e && linux

package e2e

import (
	"net"
	"testing"
	"time"
)

// The weathers of TestFaultsInBadWeather.
var (
	// far is a wide area network in which now and then a frame is lost.
	far = weather{delay: 50 * time.Millisecond, jitter: 20 * time.Millisecond, loss: 0.01, disorder: 0.01}
	// gusty has each way stand still for a while, again and again.
	gusty = weather{delay: time.Millisecond, jitter: time.Millisecond, spike: 200 * time.Millisecond, spikeEvery: 2 * time.Second}
	// stormy is both.
	stormy = weather{delay: 50 * time.Millisecond, jitter: 20 * time.Millisecond, loss: 0.01, disorder: 0.01, spike: 200 * time.Millisecond, spikeEvery: 2 * time.Second}
)

// TestFaultsInBadWeather has nodes and clients that are 100 ms apart, lose a frame in a hundred, and stand still for 200 ms now and
// then. None of that may look like a death: leaders stay, records are acknowledged and the group goes on. Then the same with
// faults.
func TestFaultsInBadWeather(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	s := newScene(t, staging{inAir: true, pace: 100 * time.Millisecond})
	calm, minutes := 2*time.Second, faultMinutes(t)
	if minutes > 0 {
		calm = minutes / 8
	}
	for _, w := range []struct {
		name string
		weather
	}{{"far", far}, {"gusty", gusty}, {"stormy", stormy}} {
		s.land.air.set(w.weather)
		s.noSooner(w.weather)
		s.elections(w.name, calm)
	}
	if minutes > 0 {
		s.playFor(nil, minutes-3*calm)
	}
	s.land.air.set(weather{}) // what is left over is judged sooner
	t.Logf("FIGURE %v", s.land.air)
	s.judge()
}

// noSooner holds the weather to its word: a connection is made in a way and back.
func (s *scene) noSooner(w weather) {
	s.t.Helper()
	begin := time.Now()
	c, err := net.DialTimeout("tcp", s.nodes[s.any()-1].Addr, 10*time.Second)
	if err != nil {
		s.t.Fatal(err)
	}
	took := time.Since(begin)
	if err := c.Close(); err != nil {
		s.t.Error(err)
	}
	if least := 2 * (w.delay - w.jitter); took < least {
		s.t.Errorf("a connection is made within %v; it takes a frame %v at least to go and come back", took, least)
	}
}

// elections waits for a time in which nothing but the weather happens, and counts who was deposed in it.
func (s *scene) elections(weather string, length time.Duration) {
	s.t.Helper()
	leader, epoch := s.quorum()
	epochs := s.leaderEpochs()
	acked, processed := s.load.Acked(), s.group.Processed()
	s.wait(length)
	_, now := s.quorum()
	after := s.leaderEpochs()
	s.t.Logf("FIGURE %s for %v: %d records acknowledged, %d processed; %d elections of controllers (leader %d), %d of partitions",
		weather, length, s.load.Acked()-acked, s.group.Processed()-processed, now-epoch, leader, after-epochs)
	if now > epoch+1 || after > epochs+2 {
		s.t.Errorf("%s: %d elections of controllers and %d of partitions, though nobody has failed", weather, now-epoch, after-epochs)
	}
	s.healthy(weather)
}

// leaderEpochs is the sum of the leader epochs of t's partitions.
func (s *scene) leaderEpochs() (sum int32) {
	s.t.Helper()
	await(s.t, s.ctx, "the leaders are told", func() bool {
		all, err := s.adm.ListTopics(s.ctx, "t")
		if err != nil || len(all["t"].Partitions) != s.partitions {
			return false
		}
		sum = 0
		for _, p := range all["t"].Partitions {
			sum += p.LeaderEpoch
		}
		return true
	})
	return sum
}
