package controlplane

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/weir-stream/weir/internal/controlplane/engine"
	"github.com/weir-stream/weir/internal/controlplane/heal"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
)

// condition is what is known of a cluster at one moment.
type condition struct {
	cluster *spec.Cluster
	seen    spec.Observation
	known   bool // whether anything was seen since the service began
	// personal is the running operation of a person, healing what healing does.
	personal *spec.Operation
	healing  []*spec.Operation
	// failed is the last operation of a person if it failed.
	failed *spec.Operation
	// made says that the last operation of a person started all brokers and
	// saw them serve, whatever a look that overlapped with it saw.
	made bool
	// brake and surrendered are open decisions of healing's to hold still.
	brake       bool
	surrendered []int32
}

// condition gathers what is known.
func (s *Service) condition(ctx context.Context, m *member, c *spec.Cluster) (condition, error) {
	now := condition{cluster: c}
	now.seen, now.known = m.last()
	for _, op := range m.running() {
		if op.Kind == spec.OpHeal {
			now.healing = append(now.healing, op)
		} else {
			now.personal = op
		}
	}
	m.mu.Lock()
	for _, a := range m.acts {
		if a.EndedAt.IsZero() && a.Choice == heal.Brake {
			now.brake = true
		}
		if a.EndedAt.IsZero() && a.Choice == heal.GiveUp {
			now.surrendered = append(now.surrendered, a.Broker)
		}
	}
	m.mu.Unlock()
	ops, err := store.Operations.List(ctx, s.store, store.Under(c.ID, ""), 20, "")
	if err != nil {
		return now, err
	}
	for _, op := range ops {
		if op.Kind == spec.OpHeal || !op.State.Final() {
			continue
		}
		if op.State == spec.OpFailed {
			now.failed = op
		}
		now.made = op.State == spec.OpSucceeded && (op.Kind == spec.OpCreate || op.Kind == spec.OpStart)
		break
	}
	return now, nil
}

// settle stores the state that a cluster is in, if it has changed.
func (s *Service) settle(ctx context.Context, m *member) {
	c, err := store.Clusters.Get(ctx, s.store, m.id)
	if err == nil {
		var now condition
		if now, err = s.condition(ctx, m, c); err == nil {
			err = s.write(ctx, m, now)
		}
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) && ctx.Err() == nil {
		s.log.Error("the state of a cluster could not be stored", "cluster", m.id, "error", err)
	}
}

func (s *Service) write(ctx context.Context, m *member, now condition) error {
	state, reason := now.state()
	served := now.served()
	if c := now.cluster; c.State == state && c.Reason == reason && c.Served == served {
		return nil
	}
	_, err := store.Clusters.Change(ctx, s.store, m.id, func(c *spec.Cluster) error {
		c.State, c.Reason, c.Served = state, reason, served
		return nil
	})
	return err
}

// served says whether the cluster was ever whole.
func (n *condition) served() bool { return n.cluster.Served || n.made || n.serves() }

// serves says whether every broker that shall run was seen to serve.
func (n *condition) serves() bool { return n.known && n.seen.Reachable && len(n.missing()) == 0 }

// missing are the brokers that shall run and do not serve, with why.
func (n *condition) missing() (out []string) {
	for _, b := range n.cluster.Brokers {
		if b.Stopped {
			continue
		}
		seen, ok := n.seen.Broker(b.ID)
		switch {
		case !ok:
			out = append(out, fmt.Sprintf("broker %d was not looked at yet", b.ID))
		case !seen.DataDirPresent:
			out = append(out, fmt.Sprintf("broker %d has lost its data directory", b.ID))
		case !seen.ProcessAlive:
			out = append(out, fmt.Sprintf("broker %d has no process", b.ID))
		case !seen.UnresponsiveSince.IsZero():
			out = append(out, fmt.Sprintf("broker %d does not answer", b.ID))
		case n.seen.Reachable && (!seen.Registered || seen.Fenced):
			out = append(out, fmt.Sprintf("broker %d is not in service yet", b.ID))
		}
	}
	return out
}

// state derives the state, and one sentence why it is not ACTIVE.
func (n *condition) state() (spec.State, string) {
	c := n.cluster
	if op := n.personal; op != nil {
		says := fmt.Sprintf("%s by %s is under way.", op.Kind, op.Actor)
		switch {
		case op.Kind == spec.OpDelete:
			return spec.Deleting, says
		case op.Kind == spec.OpCreate:
			return spec.Creating, says
		}
		return spec.Updating, says
	}
	switch {
	case n.failed != nil && n.failed.Kind == spec.OpDelete:
		return spec.Failed, "It could not be deleted: " + sentence(n.failed.Error) + " Delete it again."
	case c.Suspended:
		return spec.Stopped, "It was stopped together with the service, and starts with it again."
	case c.AllStopped():
		return spec.Stopped, "A person stopped it."
	case !c.Served && !n.made && n.failed != nil:
		return spec.Failed, "It could not be created: " + sentence(n.failed.Error) + " Mend the cause and start it, or delete it."
	case !n.served():
		return spec.Failed, "It was never created whole: start it, or delete it."
	case !n.known:
		return c.State, c.Reason
	case len(n.healing) > 0:
		return spec.Healing, sentence(n.healing[0].Plan.Summary)
	}
	return n.seenState()
}

// seenState is the state of a cluster that nobody works on.
func (n *condition) seenState() (spec.State, string) {
	missing := n.missing()
	counts := count(&n.seen)
	stopped := stoppedBrokers(n.cluster)
	switch {
	case n.brake:
		return spec.Degraded, "Healing holds still, because too much fails at once: " + list(missing) + ". Find the cause, then start the cluster."
	case len(n.surrendered) > 0:
		return spec.Degraded, fmt.Sprintf("Healing has given up on brokers %v: look at their logs.", n.surrendered)
	case len(missing) > 0:
		return spec.Degraded, sentence(list(missing))
	case !n.seen.Reachable:
		return spec.Degraded, "The cluster does not answer: " + sentence(n.seen.Why)
	case counts.Offline > 0:
		return spec.Degraded, fmt.Sprintf("%d partitions are offline.", counts.Offline)
	case len(stopped) > 0:
		return spec.Degraded, fmt.Sprintf("Brokers %v are stopped, as a person wanted.", stopped)
	case counts.UnderReplicated > 0:
		return spec.Degraded, fmt.Sprintf("%d partitions lack a replica in sync.", counts.UnderReplicated)
	}
	return spec.Active, ""
}

func stoppedBrokers(c *spec.Cluster) (out []int32) {
	for _, b := range c.Brokers {
		if b.Stopped {
			out = append(out, b.ID)
		}
	}
	return out
}

func list(words []string) string {
	if len(words) > 3 {
		words = append(slices.Clone(words[:3]), fmt.Sprintf("and %d more", len(words)-3))
	}
	return strings.Join(words, ", ")
}

// sentence begins with a capital and ends with a full stop.
func sentence(s string) string {
	s = strings.TrimSpace(s)
	if s == "" {
		return ""
	}
	s = strings.ToUpper(s[:1]) + s[1:]
	if !strings.HasSuffix(s, ".") {
		s += "."
	}
	return s
}

func count(o *spec.Observation) (n Counts) {
	topics := map[string]bool{}
	for i := range o.Partitions {
		p := &o.Partitions[i]
		topics[p.Topic] = true
		n.Partitions++
		if p.Offline() {
			n.Offline++
		}
		if p.UnderReplicated() {
			n.UnderReplicated++
		}
		if p.UnderMinISR() {
			n.UnderMinISR++
		}
	}
	n.Topics = len(topics)
	for _, b := range o.Brokers {
		n.Bytes += b.Bytes
	}
	return n
}

// Clusters lists all clusters, by name.
func (s *Service) Clusters(ctx context.Context) ([]ClusterView, error) {
	all, err := store.Clusters.List(ctx, s.store, "", 0, "")
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b *spec.Cluster) int { return strings.Compare(a.Name, b.Name) })
	out := make([]ClusterView, 0, len(all))
	for _, c := range all {
		v, err := s.view(ctx, c)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// Cluster returns one cluster by ID or name.
func (s *Service) Cluster(ctx context.Context, nameOrID string) (ClusterView, error) {
	c, err := s.cluster(ctx, nameOrID)
	if err != nil {
		return ClusterView{}, err
	}
	return s.view(ctx, c)
}

// Partitions lists the partitions of a cluster as they were last seen.
func (s *Service) Partitions(ctx context.Context, cluster string) ([]spec.PartitionObservation, error) {
	c, err := s.cluster(ctx, cluster)
	if err != nil {
		return nil, err
	}
	last, _ := s.member(c.ID).last()
	return slices.Clone(last.Partitions), nil
}

func (s *Service) view(ctx context.Context, c *spec.Cluster) (ClusterView, error) {
	now, err := s.condition(ctx, s.member(c.ID), c)
	if err != nil {
		return ClusterView{}, err
	}
	layout := s.layout(c)
	v := ClusterView{Cluster: *c, Bootstrap: engine.Bootstrap(c), ClientProperties: layout.ClientProperties()}
	if c.Secured {
		v.CA = layout.CA()
	}
	if now.known && c.State != spec.Stopped {
		seen := now.seen
		v.Counts = count(&seen)
		seen.Partitions = nil
		v.Observation = &seen
	}
	v.Operation = now.personal
	if v.Operation == nil && len(now.healing) > 0 {
		v.Operation = now.healing[0]
	}
	if v.Operation != nil {
		if fresh, err := store.Operations.Get(ctx, s.store, store.Under(c.ID, v.Operation.ID)); err == nil {
			v.Operation = fresh
		}
	}
	v.Health, v.HealthLevel = now.health()
	v.Mend = now.mend()
	return v, nil
}

// health is one sentence with its colour.
func (n *condition) health() (text, level string) {
	c := n.cluster
	state, reason := n.state()
	counts := count(&n.seen)
	failed := ""
	if n.failed != nil && state != spec.Failed {
		failed = fmt.Sprintf(" The last operation (%s) failed: %s", n.failed.Kind, sentence(n.failed.Error))
	}
	switch state {
	case spec.Active:
		if !n.known {
			return "The service has just begun, and has not looked at this cluster yet.", LevelWarn
		}
		text = fmt.Sprintf("Healthy: %d of %d brokers serve, and all %d partitions are in sync.", len(c.Brokers), len(c.Brokers), counts.Partitions)
		if counts.Partitions == 0 {
			text = fmt.Sprintf("Healthy: %d of %d brokers serve; there are no topics yet.", len(c.Brokers), len(c.Brokers))
		}
		if failed != "" {
			return text + failed, LevelWarn
		}
		return text, LevelOK
	case spec.Stopped:
		return "Stopped: " + reason, LevelOff
	case spec.Failed:
		return reason, LevelBad
	case spec.Creating, spec.Updating, spec.Deleting:
		return reason, LevelWarn
	}
	bad := n.brake || len(n.surrendered) > 0 || counts.Offline > 0 || n.known && !n.seen.Reachable
	level = LevelWarn
	if bad {
		level = LevelBad
	}
	if state == spec.Healing {
		return "Healing: " + reason + failed, level
	}
	return reason + failed, level
}

// mend is what a person could do.
func (n *condition) mend() *ChangeRequest {
	if n.personal != nil {
		return nil
	}
	state, _ := n.state()
	switch stopped := stoppedBrokers(n.cluster); {
	case state == spec.Failed && n.failed != nil && n.failed.Kind == spec.OpDelete:
		return &ChangeRequest{Kind: spec.OpDelete}
	case state == spec.Stopped, state == spec.Failed, n.brake:
		return &ChangeRequest{Kind: spec.OpStart}
	case len(n.surrendered) > 0:
		return &ChangeRequest{Kind: spec.OpStartBroker, Broker: n.surrendered[0]}
	case len(stopped) > 0:
		return &ChangeRequest{Kind: spec.OpStartBroker, Broker: stopped[0]}
	}
	return nil
}
