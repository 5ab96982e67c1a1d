// Package reconcile runs the steps of operations: each is journaled in the
// store before and after, shows its progress, can be cancelled where that
// leaves the cluster whole, and may be begun again after the service died in
// the middle of it.
//
// It decides nothing (plan and heal do) and touches processes and clusters
// only through the interfaces below. It runs one operation per call; who runs
// several keeps them apart.
package reconcile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
)

// Files makes and removes what lies on disk for a cluster. Every method may be
// called again after it was done, or done in part.
type Files interface {
	// Prepare gets the engine and the cluster's certificates ready.
	Prepare(ctx context.Context, c spec.Cluster, say func(string)) error
	// Provision writes a broker's settings, and formats its storage unless it is formatted.
	Provision(ctx context.Context, c spec.Cluster, b spec.Broker) error
	// Wipe sets a broker's data aside, so that Provision formats again.
	Wipe(ctx context.Context, c spec.Cluster, broker int32) error
	// Remove removes all files of a broker, or of the whole cluster for broker 0.
	Remove(ctx context.Context, c spec.Cluster, broker int32) error
}

// Processes starts and ends brokers. Every method may be called again.
type Processes interface {
	// Start starts a broker unless it runs.
	Start(ctx context.Context, c spec.Cluster, b spec.Broker) error
	// Stop ends a broker in order and returns when it is gone; one that does not run is no error.
	Stop(ctx context.Context, c spec.Cluster, broker int32) error
	// Kill ends a broker at once and returns when it is gone; one that does not run is no error.
	Kill(ctx context.Context, c spec.Cluster, broker int32) error
}

// Kafka speaks to a running cluster. Every method may be called again.
type Kafka interface {
	Observe(ctx context.Context, c spec.Cluster) (spec.Observation, error)
	// Reassign sets the replicas of partitions, limiting replication to
	// throttle bytes a second per broker unless that is 0. Empty To cancels a
	// partition's running reassignment. No moves and no throttle lift the limit.
	Reassign(ctx context.Context, c spec.Cluster, moves []spec.Move, throttle int64) error
	// ElectLeaders gives every partition whose first replica is in sync to it.
	ElectLeaders(ctx context.Context, c spec.Cluster) error
	// Unregister makes the controllers forget a broker; an unknown one is no error.
	Unregister(ctx context.Context, c spec.Cluster, broker int32) error
}

// Ports chooses ports anew.
type Ports interface {
	// Reassigned are those of the brokers that do not run and could not, as
	// another process listens on a port of theirs, with ports that are free.
	Reassigned(ctx context.Context, c spec.Cluster, brokers []int32) ([]spec.Broker, error)
}

// Submit stores an operation and, apart from it, its moves; from then on it is
// among the Unfinished.
func Submit(ctx context.Context, s store.Store, op *spec.Operation) error {
	for _, m := range op.SplitMoves() {
		if err := store.Moves.Put(ctx, s, &m); err != nil {
			return err
		}
	}
	return store.Operations.Put(ctx, s, op)
}

// ErrCancelled ends an operation that somebody cancelled.
var ErrCancelled = errors.New("cancelled")

// Runner runs operations. Safe for concurrent use with different operations.
type Runner struct {
	Store     store.Store
	Files     Files
	Processes Processes
	Kafka     Kafka
	// Ports gives brokers that have never served other ports; nil keeps them.
	Ports Ports
	// Now and Wait are time; nil means the real one.
	Now  func() time.Time
	Wait func(ctx context.Context, d time.Duration) error
	// Poll is how often a wait looks again, Timeout how long it goes on
	// without getting nearer. Zero means one second and five minutes.
	Poll, Timeout time.Duration
	// MaxMoves is how many partitions of an operation move at once, so that one
	// that is cancelled leaves the rest where they are. Zero means 200.
	MaxMoves int
}

func (r *Runner) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

func (r *Runner) wait(ctx context.Context) error {
	d := r.Poll
	if d <= 0 {
		d = time.Second
	}
	if r.Wait != nil {
		return r.Wait(ctx, d)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// Unfinished returns the operations that are not over, the oldest first, for a
// service that has just started to Run again.
func Unfinished(ctx context.Context, s store.Store) ([]*spec.Operation, error) {
	ops, err := store.Operations.List(ctx, s, "", 0, "")
	if err != nil {
		return nil, err
	}
	var out []*spec.Operation
	for i := len(ops) - 1; i >= 0; i-- {
		if !ops[i].State.Final() {
			out = append(out, ops[i])
		}
	}
	return out, nil
}

// Run takes a stored operation from where it stands to its end. The result is
// nil when the operation has ended, well or not (its State says), and the
// error when it could not go on: ctx is done or the store failed. Then Run may
// be called again, in this process or a later one.
func (r *Runner) Run(ctx context.Context, cluster, id string) error {
	x := &execution{Runner: r, key: store.Under(cluster, id)}
	op, err := store.Operations.Get(ctx, r.Store, x.key)
	if err != nil || op.State.Final() {
		return err
	}
	// Read before the first step: the last one may remove it.
	if err := x.load(ctx, op); err != nil {
		return err
	}
	for i := range op.Steps {
		if x.op.Steps[i].State == spec.StepSucceeded {
			continue
		}
		failed, err := x.runStep(ctx, i)
		if err != nil {
			return err
		}
		if failed != nil {
			return x.end(ctx, failed)
		}
	}
	return x.end(ctx, nil)
}

// execution is one run of one operation. Owned by one goroutine.
type execution struct {
	*Runner
	key     string
	op      *spec.Operation
	cluster *spec.Cluster
	step    int
}

func (x *execution) load(ctx context.Context, op *spec.Operation) error {
	x.op = op
	c, err := store.Clusters.Get(ctx, x.Store, op.Cluster)
	if errors.Is(err, store.ErrNotFound) {
		// Only the last step of a deletion takes the document away.
		x.cluster = &spec.Cluster{ID: op.Cluster}
		err = nil
	} else if err == nil {
		x.cluster = c
	}
	if err != nil || op.State == spec.OpRunning {
		return err
	}
	return x.save(ctx, func(o *spec.Operation) {
		now := x.now()
		o.State, o.StartedAt = spec.OpRunning, &now
		o.Say(now, "%s begun by %s", o.Kind, o.Actor)
	})
}

// save changes the stored operation, keeping what others wrote (a request to
// cancel).
func (x *execution) save(ctx context.Context, change func(*spec.Operation)) error {
	op, err := store.Operations.Change(ctx, x.Store, x.key, func(o *spec.Operation) error { change(o); return nil })
	if err == nil {
		x.op = op
	}
	return err
}

// runStep runs one step between two journal writes. The first result says why
// the operation has failed, the second why the run cannot go on.
func (x *execution) runStep(ctx context.Context, i int) (failed, err error) {
	x.step = i
	err = x.save(ctx, func(o *spec.Operation) {
		if o.CancelRequested && o.Steps[i].Attempts == 0 {
			return
		}
		now, s := x.now(), &o.Steps[i]
		s.State, s.Attempts = spec.StepRunning, s.Attempts+1
		if s.StartedAt == nil {
			s.StartedAt = &now
		}
		again := ""
		if s.Attempts > 1 {
			again = " (again: the service ended in the middle)"
		}
		o.Say(now, "%s%s", s.Name, again)
	})
	if err != nil {
		return nil, err
	}
	s := x.op.Steps[i]
	if s.State != spec.StepRunning {
		return ErrCancelled, nil
	}
	do, ok := steps[s.Kind]
	if !ok {
		failed = fmt.Errorf("this version does not know the step %q", s.Kind)
	} else if s.Args.StoredMoves > 0 {
		moves, err := store.Moves.Get(ctx, x.Store, store.MovesKey(x.op.Cluster, x.op.ID, i))
		if err != nil {
			return nil, fmt.Errorf("moves of step %d: %w", i, err)
		}
		s.Args.Moves = moves.Moves
		failed = do(ctx, x, s.Args)
	} else {
		failed = do(ctx, x, s.Args)
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return failed, x.save(ctx, func(o *spec.Operation) {
		now, s := x.now(), &o.Steps[i]
		s.State, s.EndedAt, s.Progress.SecondsLeft = spec.StepSucceeded, &now, 0
		if failed != nil {
			s.State, s.Error = spec.StepFailed, failed.Error()
			o.Say(now, "%s: %v", s.Name, failed)
		}
	})
}

// end writes how the operation ended.
func (x *execution) end(ctx context.Context, failed error) error {
	return x.save(ctx, func(o *spec.Operation) {
		now := x.now()
		o.EndedAt, o.State = &now, spec.OpSucceeded
		if failed != nil {
			o.State, o.Error = spec.OpFailed, failed.Error()
			if errors.Is(failed, ErrCancelled) {
				o.State = spec.OpCancelled
			}
			for i := range o.Steps {
				if o.Steps[i].State == spec.StepPending {
					o.Steps[i].State = spec.StepSkipped
				}
			}
		}
		o.Say(now, "%s", o.State)
	})
}

// progress stores how far the running step is, and says whether somebody has
// asked to cancel.
func (x *execution) progress(ctx context.Context, p spec.Progress) (cancel bool, err error) {
	if x.op.Steps[x.step].Progress == p {
		op, err := store.Operations.Get(ctx, x.Store, x.key)
		return err == nil && op.CancelRequested, err
	}
	err = x.save(ctx, func(o *spec.Operation) { o.Steps[x.step].Progress = p })
	return x.op.CancelRequested, err
}

// Cancel asks an operation to end. One that has not begun ends at the next
// step boundary, a reassignment in its middle; other steps run to their end.
func Cancel(ctx context.Context, s store.Store, cluster, id string) error {
	_, err := store.Operations.Change(ctx, s, store.Under(cluster, id), func(o *spec.Operation) error {
		if o.State.Final() {
			return fmt.Errorf("operation %s is %s already", id, o.State)
		}
		o.CancelRequested = true
		return nil
	})
	return err
}
