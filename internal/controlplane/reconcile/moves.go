package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/weir-stream/weir/internal/controlplane/plan"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// reassign asks for the planned moves, and for more while a broker to drain
// still holds anything (a topic made meanwhile), until all are done.
func reassign(ctx context.Context, x *execution, a spec.StepArgs) error {
	start, first := x.now(), int64(-1)
	if a.ThrottleBytesPerSecond > 0 {
		// Noted before it is true, so that no limit is ever forgotten.
		if err := x.alter(ctx, func(c *spec.Cluster) { c.Throttled = true }); err != nil {
			return err
		}
	}
	err := x.until(ctx, a, func(o spec.Observation) (int64, string, error) {
		if !o.Reachable {
			return 1 << 62, "the cluster does not answer: " + o.Why, nil
		}
		moves, err := x.open(o, a)
		if err != nil {
			return 0, "", err
		}
		prog, left := reckon(o, a, moves)
		if first < 0 {
			first = prog.BytesDone
		}
		if gone := x.now().Sub(start).Seconds(); prog.BytesDone > first && gone > 0 {
			prog.SecondsLeft = int(float64(prog.BytesTotal-prog.BytesDone) / (float64(prog.BytesDone-first) / gone))
		}
		cancel, err := x.progress(ctx, prog)
		switch {
		case err != nil:
			return 0, "", err
		case cancel:
			return 0, "", x.cancelMoves(ctx, o, a)
		}
		if ask := x.next(o, moves, a.ThrottleBytesPerSecond); len(ask) > 0 {
			if err := x.retry(ctx, func() error { return x.Kafka.Reassign(ctx, *x.cluster, ask, a.ThrottleBytesPerSecond) }); err != nil {
				return 0, "", err
			}
		}
		return left, fmt.Sprintf("%d bytes or replicas still to be copied", left), nil
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if lifted := x.retry(ctx, func() error { return x.Kafka.Reassign(ctx, *x.cluster, nil, 0) }); lifted != nil {
		return errors.Join(err, lifted)
	}
	return errors.Join(err, x.alter(ctx, func(c *spec.Cluster) { c.Throttled = false }))
}

func find(o spec.Observation, m spec.Move) *spec.PartitionObservation {
	for i := range o.Partitions {
		if p := &o.Partitions[i]; p.Topic == m.Topic && p.Partition == m.Partition {
			return p
		}
	}
	return nil
}

// settled says whether a move needs no (more) asking for.
func settled(o spec.Observation, m spec.Move) bool {
	p := find(o, m)
	return p == nil || slices.Equal(plan.Settled(p), m.To)
}

// At most so many partitions move at once, and about as many bytes as a
// throttled broker takes in within the time.
const (
	maxMoves  = 200
	moveBytes = 1 << 30
	moveTime  = 30 // seconds
)

// next are the moves to ask for now: of those that are not under way so many
// that no more than a batch is.
func (x *execution) next(o spec.Observation, open []spec.Move, throttle int64) []spec.Move {
	most, bytes := x.MaxMoves, int64(moveBytes)
	if most <= 0 {
		most = maxMoves
	}
	if throttle > 0 {
		bytes = max(throttle*moveTime, moveBytes/4)
	}
	size := func(m *spec.Move) int64 { return m.Bytes * int64(m.Copies()) }
	var waiting []spec.Move
	for i := range open {
		if settled(o, open[i]) {
			most--
			bytes -= size(&open[i])
			continue
		}
		waiting = append(waiting, open[i])
	}
	moving := len(waiting) < len(open)
	for i := range waiting {
		if bytes -= size(&waiting[i]); most <= 0 || bytes < 0 && (moving || i > 0) {
			return waiting[:i]
		}
		most--
	}
	return waiting
}

// open are the moves that are not done: planned ones, and what else lies on a
// broker that must be empty.
func (x *execution) open(o spec.Observation, a spec.StepArgs) ([]spec.Move, error) {
	var out []spec.Move
	planned := map[string]bool{}
	for _, m := range a.Moves {
		planned[fmt.Sprint(m.Topic, "/", m.Partition)] = true
		if p := find(o, m); p != nil && (!slices.Equal(p.Replicas, m.To) || len(p.Adding)+len(p.Removing) > 0) {
			out = append(out, m)
		}
	}
	var rest []spec.PartitionObservation
	for _, p := range o.Partitions {
		if !planned[fmt.Sprint(p.Topic, "/", p.Partition)] && slices.ContainsFunc(p.Replicas, func(id int32) bool { return slices.Contains(a.Drain, id) }) {
			rest = append(rest, p)
		}
	}
	if len(rest) == 0 {
		return out, nil
	}
	var targets []plan.Target
	for _, b := range x.cluster.Brokers {
		if !slices.Contains(a.Drain, b.ID) {
			targets = append(targets, plan.Target{ID: b.ID, Rack: b.Rack})
		}
	}
	more, err := plan.Assign(rest, targets)
	for _, p := range rest { // those that are under way already
		if len(p.Removing) > 0 && !slices.ContainsFunc(more, func(m spec.Move) bool { return m.Topic == p.Topic && m.Partition == p.Partition }) {
			more = append(more, spec.Move{Topic: p.Topic, Partition: p.Partition, From: p.Replicas, To: plan.Settled(&p), Bytes: p.Bytes})
		}
	}
	return append(out, more...), err
}

// reckon says how far the moves are, from what the new replicas have of the
// data; left is 0 only when all are done.
func reckon(o spec.Observation, a spec.StepArgs, open []spec.Move) (p spec.Progress, left int64) {
	todo := int64(0)
	for i := range open {
		bytes := open[i].Bytes * int64(open[i].Copies())
		if part := find(o, open[i]); part != nil {
			bytes -= min(bytes, part.AddedBytes)
		}
		todo += bytes + 1
	}
	for i := range a.Moves {
		p.BytesTotal += a.Moves[i].Bytes * int64(a.Moves[i].Copies())
	}
	p.BytesDone = max(0, p.BytesTotal-max(0, todo-int64(len(open))))
	p.Detail, p.SecondsLeft = fmt.Sprintf("%d partitions to go", len(open)), -1
	return p, todo
}

// cancelMoves takes back what is under way; what is done stays.
func (x *execution) cancelMoves(ctx context.Context, o spec.Observation, a spec.StepArgs) error {
	var back []spec.Move
	for i := range o.Partitions {
		p := &o.Partitions[i]
		ours := slices.ContainsFunc(a.Moves, func(m spec.Move) bool { return m.Topic == p.Topic && m.Partition == p.Partition }) ||
			slices.ContainsFunc(p.Removing, func(id int32) bool { return slices.Contains(a.Drain, id) })
		if ours && len(p.Adding)+len(p.Removing) > 0 {
			back = append(back, spec.Move{Topic: p.Topic, Partition: p.Partition})
		}
	}
	if len(back) > 0 {
		if err := x.retry(ctx, func() error { return x.Kafka.Reassign(ctx, *x.cluster, back, 0) }); err != nil {
			return err
		}
	}
	return ErrCancelled
}
