package reconcile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
)

// steps is what each kind of step does. All may be done again.
var steps = map[spec.StepKind]func(context.Context, *execution, spec.StepArgs) error{
	spec.StepPrepareEngine: func(ctx context.Context, x *execution, _ spec.StepArgs) error {
		return x.Files.Prepare(ctx, *x.cluster, func(line string) {
			// A line of the log that cannot be written stops nothing: the
			// journal write at the end of the step meets the same fault.
			_ = x.save(ctx, func(o *spec.Operation) { o.Say(x.now(), "%s", line) })
		})
	},
	spec.StepDeclareBrokers: func(ctx context.Context, x *execution, a spec.StepArgs) error {
		return x.alter(ctx, func(c *spec.Cluster) { *c = c.WithBrokers(a.Add...) })
	},
	spec.StepProvision: func(ctx context.Context, x *execution, a spec.StepArgs) error {
		if _, err := x.clearPorts(ctx, a.Broker); err != nil {
			return err
		}
		return x.withBroker(a.Broker, func(b spec.Broker) error { return x.Files.Provision(ctx, *x.cluster, b) })
	},
	spec.StepStartBroker: func(ctx context.Context, x *execution, a spec.StepArgs) error {
		if _, err := x.clearPorts(ctx, a.Broker); err != nil {
			return err
		}
		return x.withBroker(a.Broker, func(b spec.Broker) error { return x.Processes.Start(ctx, *x.cluster, b) })
	},
	spec.StepDeclareStopped: func(ctx context.Context, x *execution, a spec.StepArgs) error {
		return x.alter(ctx, func(c *spec.Cluster) { *c = c.WithStopped(true, a.Brokers...) })
	},
	spec.StepDeclareStarted: func(ctx context.Context, x *execution, a spec.StepArgs) error {
		return x.alter(ctx, func(c *spec.Cluster) { *c = c.WithStopped(false, a.Brokers...) })
	},
	spec.StepStopBroker: stopBrokers,
	spec.StepKillBroker: func(ctx context.Context, x *execution, a spec.StepArgs) error {
		return x.Processes.Kill(ctx, *x.cluster, a.Broker)
	},
	spec.StepWipe: func(ctx context.Context, x *execution, a spec.StepArgs) error {
		return x.Files.Wipe(ctx, *x.cluster, a.Broker)
	},
	spec.StepElectLeaders: func(ctx context.Context, x *execution, _ spec.StepArgs) error {
		return x.retry(ctx, func() error { return x.Kafka.ElectLeaders(ctx, *x.cluster) })
	},
	spec.StepUnregister: func(ctx context.Context, x *execution, a spec.StepArgs) error {
		return x.retry(ctx, func() error { return x.Kafka.Unregister(ctx, *x.cluster, a.Broker) })
	},
	spec.StepForgetBroker: func(ctx context.Context, x *execution, a spec.StepArgs) error {
		if err := x.Files.Remove(ctx, *x.cluster, a.Broker); err != nil {
			return err
		}
		return x.alter(ctx, func(c *spec.Cluster) { *c = c.WithoutBroker(a.Broker) })
	},
	spec.StepRemoveCluster: func(ctx context.Context, x *execution, _ spec.StepArgs) error {
		if x.cluster.Name == "" { // gone already
			return nil
		}
		if err := x.Files.Remove(ctx, *x.cluster, 0); err != nil {
			return err
		}
		return store.Clusters.Remove(ctx, x.Store, x.cluster.ID)
	},
	spec.StepAwaitBrokers: awaitBrokers,
	spec.StepAwaitInSync:  awaitInSync,
	spec.StepCheckEmpty:   checkEmpty,
	spec.StepReassign:     reassign,
}

// stopBrokers stops one broker, or several at once.
func stopBrokers(ctx context.Context, x *execution, a spec.StepArgs) error {
	if a.Broker != 0 {
		return x.Processes.Stop(ctx, *x.cluster, a.Broker)
	}
	failed := make([]error, len(a.Brokers))
	var all sync.WaitGroup
	for i, id := range a.Brokers {
		all.Go(func() { failed[i] = x.Processes.Stop(ctx, *x.cluster, id) })
	}
	all.Wait()
	return errors.Join(failed...)
}

// alter changes the stored desired state. A cluster that is gone has nothing
// left to change.
func (x *execution) alter(ctx context.Context, change func(*spec.Cluster)) error {
	if x.cluster.Name == "" {
		return nil
	}
	c, err := store.Clusters.Change(ctx, x.Store, x.op.Cluster, func(c *spec.Cluster) error { change(c); return nil })
	if err == nil {
		x.cluster = c
	}
	return err
}

func (x *execution) withBroker(id int32, f func(spec.Broker) error) error {
	b, ok := x.cluster.Broker(id)
	if !ok {
		return fmt.Errorf("broker %d is no part of %s any more", id, x.cluster.Name)
	}
	return f(b)
}

// until looks at the cluster again and again until look finds nothing left to
// wait for. It gives up when what is left has not shrunk for the timeout.
func (x *execution) until(ctx context.Context, a spec.StepArgs, look func(spec.Observation) (left int64, what string, err error)) error {
	timeout := x.Timeout
	if a.TimeoutSeconds > 0 {
		timeout = time.Duration(a.TimeoutSeconds) * time.Second
	}
	if timeout <= 0 {
		timeout = 5 * time.Minute
	}
	least, since := int64(-1), x.now()
	for {
		o, err := x.Kafka.Observe(ctx, *x.cluster)
		if err != nil {
			return err
		}
		left, what, err := look(o)
		if err != nil || left == 0 {
			return err
		}
		if least < 0 || left < least {
			least, since = left, x.now()
		}
		if x.now().Sub(since) >= timeout {
			return fmt.Errorf("nothing has got better for %s: %s", timeout, what)
		}
		if err := x.wait(ctx); err != nil {
			return err
		}
	}
}

// ended says which of brokers that were started has no process any more: it
// will not come without help.
func ended(o spec.Observation, brokers []int32, again map[int32]bool) error {
	for _, id := range brokers {
		b, ok := o.Broker(id)
		if !ok || b.ProcessAlive {
			delete(again, id)
			continue
		}
		if again[id] {
			if b.LastWords != "" {
				return fmt.Errorf("the process of broker %d has ended; the last that it printed: %s", id, b.LastWords)
			}
			return fmt.Errorf("the process of broker %d has ended; the end of its log says why", id)
		}
		again[id] = true
	}
	return nil
}

func awaitBrokers(ctx context.Context, x *execution, a spec.StepArgs) error {
	gone, served := map[int32]bool{}, false
	return x.until(ctx, a, func(o spec.Observation) (int64, string, error) {
		if err := ended(o, a.Brokers, gone); err != nil {
			moved, portErr := x.clearPorts(ctx, a.Brokers...)
			if !moved || portErr != nil {
				return 0, "", errors.Join(err, portErr)
			}
			gone, served = map[int32]bool{}, false
			return int64(len(a.Brokers)), "started again on other ports", nil
		}
		var missing []int32
		for _, id := range a.Brokers {
			// One that answers on its port has registered anew; before, the
			// cluster still shows the process that was there before it.
			if b, ok := o.Broker(id); !ok || !o.Reachable || !b.ProcessAlive || !b.UnresponsiveSince.IsZero() || !b.Registered || b.Fenced {
				missing = append(missing, id)
			}
		}
		// Ports and metadata are looked at side by side: only the second look's
		// metadata is later than an answer.
		if len(missing) == 0 && !served {
			served = true
			return 1, "seen once", nil
		}
		served = served && len(missing) == 0
		return int64(len(missing)), fmt.Sprintf("not serving: brokers %v (%s)", missing, o.Why), nil
	})
}

func awaitInSync(ctx context.Context, x *execution, a spec.StepArgs) error {
	gone := map[int32]bool{}
	return x.until(ctx, a, func(o spec.Observation) (int64, string, error) {
		if err := ended(o, a.Brokers, gone); err != nil {
			return 0, "", err
		}
		if !o.Reachable {
			return 1 << 40, "the cluster does not answer: " + o.Why, nil
		}
		var left int64
		for i := range o.Partitions {
			for _, id := range o.Partitions[i].Replicas {
				if !slices.Contains(o.Partitions[i].ISR, id) && (len(a.Brokers) == 0 || slices.Contains(a.Brokers, id)) {
					left++
				}
			}
		}
		_, err := x.progress(ctx, spec.Progress{Detail: fmt.Sprintf("%d replicas not in sync", left), SecondsLeft: -1})
		return left, fmt.Sprintf("%d replicas are not in sync", left), err
	})
}

func checkEmpty(ctx context.Context, x *execution, a spec.StepArgs) error {
	o, err := x.Kafka.Observe(ctx, *x.cluster)
	if err != nil {
		return err
	}
	if !o.Reachable {
		return fmt.Errorf("the cluster does not answer (%s): nobody knows whether broker %d is empty", o.Why, a.Broker)
	}
	for i := range o.Partitions {
		if p := &o.Partitions[i]; slices.Contains(p.Replicas, a.Broker) {
			return fmt.Errorf("broker %d still holds a replica of %s-%d: it is not removed; scale in again", a.Broker, p.Topic, p.Partition)
		}
	}
	return nil
}

// tries is how often a call to the cluster is repeated before it counts as
// failed: leaders and controllers change while data moves.
const tries = 10

// retry repeats a call that fails, with a pause between.
func (x *execution) retry(ctx context.Context, call func() error) (err error) {
	for range tries {
		if err = call(); err == nil || ctx.Err() != nil {
			return err
		}
		if waited := x.wait(ctx); waited != nil {
			return waited
		}
	}
	return err
}
