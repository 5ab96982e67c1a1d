package controlplane

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/heal"
	"github.com/weir-stream/weir/internal/controlplane/plan"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// Simulate says what would happen if brokers died now, and what healing would
// do. It touches nothing.
func (s *Service) Simulate(ctx context.Context, cluster string, kill []int32) (Simulation, error) {
	c, err := s.cluster(ctx, cluster)
	if err != nil {
		return Simulation{}, err
	}
	kill = slices.Clone(kill)
	slices.Sort(kill)
	kill = slices.Compact(kill)
	if len(kill) == 0 {
		return Simulation{}, &spec.FieldError{Field: "kill", Value: "", Rule: fmt.Sprintf("must name brokers: some of %v", c.BrokerIDs())}
	}
	for i, id := range kill {
		if _, ok := c.Broker(id); !ok {
			return Simulation{}, &spec.FieldError{Field: fmt.Sprintf("kill[%d]", i), Value: fmt.Sprint(id), Rule: fmt.Sprintf("must be one of %v", c.BrokerIDs())}
		}
	}
	p, err := s.picture(ctx, c)
	if err != nil {
		return Simulation{}, err
	}
	if !p.Seen.Reachable {
		return Simulation{}, fmt.Errorf("%w: %s does not answer (%s), so that nobody knows what lies where", ErrImpossible, c.Name, p.Seen.Why)
	}
	out := Simulation{Killed: kill, QuorumLost: p.QuorumLost(kill...)}
	out.reckon(&p.Seen)
	h, err := s.history(ctx, s.member(c.ID), c)
	if err != nil {
		return Simulation{}, err
	}
	s.foresee(&out, h, p)
	out.Sentence = out.sentence()
	return out, nil
}

// examples is how many partitions are named.
const examples = 5

// reckon counts what partitions lose.
func (o *Simulation) reckon(seen *spec.Observation) {
	for i := range seen.Partitions {
		p := &seen.Partitions[i]
		left := 0
		for _, id := range p.ISR {
			if !slices.Contains(o.Killed, id) {
				left++
			}
		}
		name := fmt.Sprintf("%s-%d", p.Topic, p.Partition)
		switch {
		case left == 0:
			o.Offline++
		case left < p.MinInSync:
			o.UnderMinISR++
		case left < len(p.Replicas):
			o.UnderReplicated++
			continue
		default:
			continue
		}
		if len(o.Examples) < examples {
			o.Examples = append(o.Examples, name)
		}
	}
}

// foresee asks healing what it would do.
func (s *Service) foresee(o *Simulation, h heal.History, p plan.Picture) {
	now := time.Now()
	next := p.Seen
	next.At, next.Brokers = now, slices.Clone(p.Seen.Brokers)
	for i := range next.Brokers {
		if slices.Contains(o.Killed, next.Brokers[i].ID) {
			next.Brokers[i].ProcessAlive, next.Brokers[i].PID = false, 0
		}
	}
	h.Seen = append(h.Seen, next)
	for _, a := range heal.Decide(h, s.policy, now) {
		if o.Action == "" || a.Choice == heal.Brake {
			o.Action, o.Why, o.Options = a.Choice, a.Why, a.Options
		}
	}
	if o.Action == "" {
		o.Action, o.Why = "nothing", "the brokers are stopped, or somebody works on them already"
	}
}

func (o *Simulation) sentence() string {
	who := fmt.Sprintf("broker %d", o.Killed[0])
	if len(o.Killed) > 1 {
		who = "brokers " + strings.Trim(strings.ReplaceAll(fmt.Sprint(o.Killed), " ", ", "), "[]")
	}
	switch {
	case o.Offline > 0:
		return fmt.Sprintf("Without %s, %d partitions go offline.", who, o.Offline)
	case o.QuorumLost != "":
		return fmt.Sprintf("Without %s, nobody can decide any more: %s.", who, o.QuorumLost)
	case o.UnderMinISR > 0:
		return fmt.Sprintf("Without %s, %d partitions refuse writes with acks=all; all can be read.", who, o.UnderMinISR)
	}
	return fmt.Sprintf("Without %s everything goes on: %d partitions have one replica fewer in sync.", who, o.UnderReplicated)
}
