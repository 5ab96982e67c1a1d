package reconcile

import (
	"context"
	"slices"

	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// clearPorts gives brokers other ports where another program took theirs
// after they were chosen, and says whether it did. Only brokers that have
// never served get others: clients know the ports of all the rest.
//
// A controller's port is in the settings of every node, so that with it all
// brokers that are new are made again, those that were started with the old
// one too. They hold no data yet.
func (x *execution) clearPorts(ctx context.Context, brokers ...int32) (bool, error) {
	fresh := x.fresh()
	ours := slices.DeleteFunc(slices.Clone(brokers), func(id int32) bool { return !slices.Contains(fresh, id) })
	if x.Ports == nil || len(ours) == 0 {
		return false, nil
	}
	moved, err := x.Ports.Reassigned(ctx, *x.cluster, ours)
	if err != nil || len(moved) == 0 {
		return false, err
	}
	if err := x.alter(ctx, func(c *spec.Cluster) { *c = c.WithBrokers(moved...) }); err != nil {
		return false, err
	}
	again := fresh
	if !slices.ContainsFunc(moved, func(b spec.Broker) bool { return b.Controller }) {
		again = nil
		for _, b := range moved {
			again = append(again, b.ID)
		}
	}
	return true, x.renew(ctx, moved, again)
}

// renew writes the administrator's access anew, and makes brokers again as far
// as the operation had come with them.
func (x *execution) renew(ctx context.Context, moved []spec.Broker, brokers []int32) error {
	for _, b := range moved {
		if err := x.save(ctx, func(o *spec.Operation) {
			o.Say(x.now(), "Another program took a port of broker %d: its clients find it at port %d now", b.ID, b.ClientPort)
		}); err != nil {
			return err
		}
	}
	if err := x.Files.Prepare(ctx, *x.cluster, func(string) {}); err != nil {
		return err
	}
	for _, kind := range []spec.StepKind{spec.StepProvision, spec.StepStartBroker} {
		for _, id := range brokers {
			if !x.did(kind, id) {
				continue
			}
			if err := x.withBroker(id, func(b spec.Broker) error {
				if kind == spec.StepStartBroker {
					return x.Processes.Start(ctx, *x.cluster, b)
				}
				if err := x.Processes.Kill(ctx, *x.cluster, id); err != nil {
					return err
				}
				return x.Files.Provision(ctx, *x.cluster, b)
			}); err != nil {
				return err
			}
		}
	}
	return nil
}

// fresh are the brokers that have never served: all of a cluster that has
// not, or those that this operation adds.
func (x *execution) fresh() (ids []int32) {
	if !x.cluster.Served {
		return x.cluster.BrokerIDs()
	}
	for i := range x.op.Steps {
		for _, b := range x.op.Steps[i].Args.Add {
			ids = append(ids, b.ID)
		}
	}
	return ids
}

// did says whether a step of the operation about a broker is done.
func (x *execution) did(kind spec.StepKind, broker int32) bool {
	return slices.ContainsFunc(x.op.Steps, func(s spec.Step) bool {
		return s.Kind == kind && s.Args.Broker == broker && s.State == spec.StepSucceeded
	})
}
