package controlplane

import (
	"context"
	"fmt"
	"slices"

	"github.com/weir-stream/weir/internal/controlplane/plan"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
)

// changes are the kinds of change that a person can ask for.
var changes = []string{spec.OpScale, spec.OpStop, spec.OpStart, spec.OpRestartBroker, spec.OpStopBroker, spec.OpStartBroker, spec.OpKillBroker, spec.OpDelete}

// PlanChange says what Change would do, from what is seen now, and does nothing.
func (s *Service) PlanChange(ctx context.Context, cluster string, r ChangeRequest) (spec.Plan, error) {
	c, err := s.cluster(ctx, cluster)
	if err != nil {
		return spec.Plan{}, err
	}
	return s.planChange(ctx, c, r)
}

func (s *Service) planChange(ctx context.Context, c *spec.Cluster, r ChangeRequest) (spec.Plan, error) {
	if err := checkChange(c, r); err != nil {
		return spec.Plan{}, err
	}
	p, err := s.picture(ctx, c)
	if err != nil {
		return spec.Plan{}, err
	}
	switch r.Kind {
	case spec.OpScale:
		return s.planScale(ctx, p, r)
	case spec.OpStop:
		return plan.Stop(p), nil
	case spec.OpStart:
		if !c.Served {
			return plan.Create(*c), nil
		}
		return plan.Start(p), nil
	case spec.OpRestartBroker:
		return plan.RestartBroker(p, r.Broker), nil
	case spec.OpStopBroker:
		return plan.StopBroker(p, r.Broker), nil
	case spec.OpStartBroker:
		return plan.StartBroker(p, r.Broker), nil
	case spec.OpKillBroker:
		return plan.KillBroker(p, r.Broker), nil
	}
	return plan.Delete(p), nil
}

// checkChange refuses what makes no sense whatever the cluster does.
func checkChange(c *spec.Cluster, r ChangeRequest) error {
	switch r.Kind {
	case spec.OpScale:
		if r.Brokers < 1 || r.Brokers > spec.MaxBrokers {
			return &spec.FieldError{Field: "brokers", Value: fmt.Sprint(r.Brokers), Rule: fmt.Sprintf("must be 1 to %d", spec.MaxBrokers)}
		}
		if t := r.ThrottleBytesPerSecond; t < -1 || t > 0 && t < plan.MinThrottle {
			return &spec.FieldError{Field: "throttleBytesPerSecond", Value: fmt.Sprint(t),
				Rule: fmt.Sprintf("must be at least %d, or -1 for no limit, or left out: below it a move might never end", plan.MinThrottle)}
		}
	case spec.OpRestartBroker, spec.OpStopBroker, spec.OpStartBroker, spec.OpKillBroker:
		if _, ok := c.Broker(r.Broker); !ok {
			return &spec.FieldError{Field: "broker", Value: fmt.Sprint(r.Broker), Rule: fmt.Sprintf("must be one of %v", c.BrokerIDs())}
		}
	case spec.OpStop, spec.OpStart, spec.OpDelete:
	default:
		return &spec.FieldError{Field: "kind", Value: r.Kind, Rule: fmt.Sprintf("must be one of %v", changes)}
	}
	return nil
}

func (s *Service) planScale(ctx context.Context, p plan.Picture, r ChangeRequest) (spec.Plan, error) {
	c := &p.Cluster
	req := plan.ScaleRequest{ThrottleBytesPerSecond: r.ThrottleBytesPerSecond}
	switch {
	case req.ThrottleBytesPerSecond == 0:
		req.ThrottleBytesPerSecond = DefaultThrottle
	case req.ThrottleBytesPerSecond < 0:
		req.ThrottleBytesPerSecond = 0
	}
	switch have := len(c.Brokers); {
	case r.Brokers > have:
		if most := s.engine(c.Engine).Capabilities().MaxBrokers; most > 0 && r.Brokers > most {
			return spec.Plan{Impossible: fmt.Sprintf("engine %s runs at most %d brokers for now", c.Engine, most)}, nil
		}
		add, err := s.newBrokers(ctx, c, r.Brokers-have)
		if err != nil {
			return spec.Plan{}, err
		}
		req.Add = add
	case r.Brokers < have:
		req.Remove = plan.ToRemove(c, have-r.Brokers)
		if len(req.Remove) < have-r.Brokers {
			// The plan says why those that would be missing cannot go.
			ids := c.BrokerIDs()
			req.Remove = ids[r.Brokers:]
		}
	}
	return plan.Scale(p, req), nil
}

// newBrokers are like the ones that a cluster has.
func (s *Service) newBrokers(ctx context.Context, c *spec.Cluster, n int) ([]spec.Broker, error) {
	all, err := store.Clusters.List(ctx, s.store, "", 0, "")
	if err != nil {
		return nil, err
	}
	next := *c
	var out []spec.Broker
	for _, id := range plan.NextIDs(c, n) {
		b := spec.Broker{ID: id, Rack: plan.NextRack(&next), MemoryBytes: c.Brokers[0].MemoryBytes, DiskBytes: c.Brokers[0].DiskBytes}
		next = next.WithBrokers(b)
		out = append(out, b)
	}
	return out, s.givePorts(out, all)
}

// Change plans and begins an operation. While another one of a person's runs
// on the cluster, it is refused with ErrBusy; so is one on a broker that
// healing works on.
func (s *Service) Change(ctx context.Context, actor, cluster string, r ChangeRequest) (*spec.Operation, error) {
	c, err := s.cluster(ctx, cluster)
	if err != nil {
		return nil, err
	}
	m := s.member(c.ID)
	m.admit.Lock()
	defer m.admit.Unlock()
	if op := s.personal(ctx, m); op != nil {
		return nil, fmt.Errorf("%w on %s: %s, by %s (%s): wait for its end, or cancel it", ErrBusy, c.Name, op.Kind, op.Actor, op.ID)
	}
	if err := s.yieldHealing(ctx, m, c, r); err != nil {
		return nil, err
	}
	// Read again: what was decided before may have changed it.
	if c, err = s.cluster(ctx, c.ID); err != nil {
		return nil, err
	}
	pl, err := s.planChange(ctx, c, r)
	if err != nil {
		return nil, err
	}
	if c.Suspended && r.Kind == spec.OpStart {
		if c, err = store.Clusters.Change(ctx, s.store, c.ID, func(c *spec.Cluster) error { c.Suspended = false; return nil }); err != nil {
			return nil, err
		}
	}
	kind := r.Kind
	if kind == spec.OpStart && !c.Served {
		kind = spec.OpCreate
	}
	op, err := newOperation(c.ID, kind, actor, pl)
	if err != nil {
		return nil, err
	}
	if err := s.submit(ctx, op); err != nil {
		return nil, err
	}
	s.tend(c)
	s.settle(ctx, m)
	return op, nil
}

// yieldHealing ends what healing does where a person's operation ends all
// brokers, and refuses an operation on a broker that healing works on.
func (s *Service) yieldHealing(ctx context.Context, m *member, c *spec.Cluster, r ChangeRequest) error {
	all := r.Kind == spec.OpStop || r.Kind == spec.OpDelete
	for _, op := range s.atWork(ctx, m) {
		switch {
		case op.Kind != spec.OpHeal:
		case all:
			if err := s.abandon(ctx, m, op); err != nil {
				return err
			}
		case r.Kind == spec.OpStart || r.Broker != 0 && slices.Contains(busy(op), r.Broker):
			return fmt.Errorf("%w on %s: healing works on it (%s): wait for its end", ErrBusy, c.Name, op.ID)
		}
	}
	return nil
}
