package plan

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// ScaleRequest says how a cluster should grow or shrink. Add or Remove may be
// empty, not both given.
type ScaleRequest struct {
	// Add are the new brokers, with free ports.
	Add []spec.Broker
	// Remove are the brokers that should go.
	Remove []int32
	// ThrottleBytesPerSecond limits what each broker replicates meanwhile; 0 means no limit.
	ThrottleBytesPerSecond int64
}

// limited adds to the title of a move how fast it may go.
func (r *ScaleRequest) limited(title string) string {
	if r.ThrottleBytesPerSecond == 0 {
		return title
	}
	return fmt.Sprintf("%s, at most %s/s to or from a broker", title, Size(r.ThrottleBytesPerSecond))
}

// MinThrottle is the least that a throttle may be: below it, data can come in
// faster than it is copied, and the move never ends.
const MinThrottle = 64 << 10

// NextIDs returns n ids for new brokers, the smallest that are free.
func NextIDs(c *spec.Cluster, n int) []int32 {
	var out []int32
	for id := int32(1); len(out) < n; id++ {
		if _, taken := c.Broker(id); !taken {
			out = append(out, id)
		}
	}
	return out
}

// NextRack returns the rack of a new broker: the one with the fewest brokers,
// "" when the cluster has no racks.
func NextRack(c *spec.Cluster) string {
	count := map[string]int{}
	for _, b := range c.Brokers {
		count[b.Rack]++
	}
	best := ""
	for rack, n := range count {
		if best == "" || cmp.Or(cmp.Compare(n, count[best]), cmp.Compare(rack, best)) < 0 {
			best = rack
		}
	}
	return best
}

// ToRemove chooses n brokers that should go when a cluster shrinks: no
// controllers, from the fullest racks, the youngest first. It may find fewer.
func ToRemove(c *spec.Cluster, n int) []int32 {
	left := slices.Clone(c.Brokers)
	var out []int32
	for len(out) < n {
		racks := map[string]int{}
		for _, b := range left {
			racks[b.Rack]++
		}
		best := -1
		for i, b := range left {
			if !b.Controller && (best < 0 || cmp.Or(cmp.Compare(racks[left[best].Rack], racks[b.Rack]), cmp.Compare(left[best].ID, b.ID)) < 0) {
				best = i
			}
		}
		if best < 0 {
			break
		}
		out = append(out, left[best].ID)
		left = slices.Delete(left, best, best+1)
	}
	slices.Sort(out)
	return out
}

// Scale plans to add or remove brokers and to move replicas accordingly.
func Scale(p Picture, req ScaleRequest) spec.Plan {
	switch {
	case len(req.Add) == 0 && len(req.Remove) == 0:
		return spec.Plan{Summary: fmt.Sprintf("%s has %d brokers already", p.Cluster.Name, len(p.Cluster.Brokers))}
	case len(req.Add) > 0 && len(req.Remove) > 0:
		return impossible("brokers can be added or removed, not both in one operation")
	case req.ThrottleBytesPerSecond != 0 && req.ThrottleBytesPerSecond < MinThrottle:
		return impossible("a throttle of %d bytes/s is less than the least, %d: the move might never end", req.ThrottleBytesPerSecond, MinThrottle)
	case p.Cluster.State == spec.Stopped:
		return impossible("%s is stopped: start it first, data moves only between brokers that run", p.Cluster.Name)
	case !p.Seen.Reachable:
		return impossible("the cluster does not answer (%s), so that nobody can say what would move", p.Seen.Why)
	}
	if why := p.voteLost(); why != "" {
		return impossible("the metadata quorum has no majority: %s", why)
	}
	if len(req.Add) > 0 {
		return scaleOut(p, req)
	}
	return scaleIn(p, req)
}

// targetsOf are the brokers of c; those that are down are pinned.
func (p *Picture) targetsOf(c *spec.Cluster, fresh ...spec.Broker) []Target {
	var out []Target
	for _, b := range c.Brokers {
		isNew := slices.ContainsFunc(fresh, func(f spec.Broker) bool { return f.ID == b.ID })
		out = append(out, Target{ID: b.ID, Rack: b.Rack, Pinned: !isNew && !p.up(b.ID)})
	}
	return out
}

func scaleOut(p Picture, req ScaleRequest) spec.Plan {
	c := &p.Cluster
	for _, b := range req.Add {
		if _, taken := c.Broker(b.ID); taken {
			return impossible("broker %d exists already", b.ID)
		}
		if b.Controller {
			return impossible("broker %d: a new broker cannot join the metadata quorum of a cluster that runs", b.ID)
		}
	}
	next := c.WithBrokers(req.Add...)
	if err := next.Validate(); err != nil {
		return impossible("%v", err)
	}
	moves, err := Assign(p.Seen.Partitions, p.targetsOf(&next, req.Add...))
	if err != nil {
		return impossible("%v", err)
	}
	var added []int32
	for _, b := range req.Add {
		added = append(added, b.ID)
	}
	slices.Sort(added)
	pl := spec.Plan{
		Summary: fmt.Sprintf("Add %s to %s (%d → %d) and move a share of the data there", names(added), c.Name, len(c.Brokers), len(next.Brokers)),
		Undo:    fmt.Sprintf("Scale back to %d brokers.", len(c.Brokers)),
	}
	if why := p.reckon(&pl, &next, moves, req); why != "" {
		return impossible("%s", why)
	}
	pl.EstimatedSeconds += 2*len(added) + RatesFor(c.Engine).StartSeconds
	pl.Steps = append(pl.Steps,
		step(spec.StepPrepareEngine, spec.StepArgs{}, "Get %s ready", c.EngineLabel()),
		step(spec.StepDeclareBrokers, spec.StepArgs{Add: req.Add}, "Make %s part of %s", names(added), c.Name))
	for _, id := range added {
		pl.Steps = append(pl.Steps, step(spec.StepProvision, spec.StepArgs{Broker: id}, "Write the settings of broker %d and format its storage", id))
	}
	for _, id := range added {
		pl.Steps = append(pl.Steps, step(spec.StepStartBroker, spec.StepArgs{Broker: id}, "Start broker %d", id))
	}
	pl.Steps = append(pl.Steps, step(spec.StepAwaitBrokers, spec.StepArgs{Brokers: added}, "Wait until %s serve", names(added)))
	if len(moves) > 0 {
		pl.Steps = append(pl.Steps,
			step(spec.StepReassign, spec.StepArgs{Moves: moves, ThrottleBytesPerSecond: req.ThrottleBytesPerSecond},
				"%s", req.limited(fmt.Sprintf("Move %d partitions, %s", pl.PartitionsToMove, Size(pl.BytesToMove)))),
			step(spec.StepElectLeaders, spec.StepArgs{}, "Give every partition to its preferred leader"))
	}
	if len(c.Brokers) < 3 && len(next.Brokers) >= 3 {
		pl.Risks = append(pl.Risks, fmt.Sprintf("The metadata quorum keeps its %d voter, and topics keep their replication factors: "+
			"more brokers alone do not make this cluster survive a failure.", c.Controllers()))
	}
	return pl
}

// reckon fills what moves cost into a plan, and says why they cannot be made.
func (p *Picture) reckon(pl *spec.Plan, next *spec.Cluster, moves []spec.Move, req ScaleRequest) (why string) {
	in, out := map[int32]int64{}, map[int32]int64{}
	for i := range moves {
		m := &moves[i]
		if m.Copies() > 0 {
			pl.PartitionsToMove++
		}
		for _, id := range m.To {
			if !slices.Contains(m.From, id) {
				in[id] += m.Bytes
				pl.BytesToMove += m.Bytes
			}
		}
		for _, id := range m.From {
			if !slices.Contains(m.To, id) {
				out[id] += m.Bytes
			}
		}
	}
	rate := RatesFor(next.Engine).CopyBytesPerSecond
	if t := req.ThrottleBytesPerSecond; t > 0 {
		rate = min(rate, t)
	}
	var most int64
	for _, b := range next.Brokers {
		most = max(most, in[b.ID])
		seen, _ := p.Seen.Broker(b.ID)
		if after := seen.DiskUsedBytes + in[b.ID] - out[b.ID]; in[b.ID] > 0 && after > b.DiskBytes/100*90 {
			return fmt.Sprintf("broker %d would hold %s and may use %s of disk: more than 90 %% is not planned for; give it more disk, or keep more brokers",
				b.ID, Size(after), Size(b.DiskBytes))
		}
	}
	pl.EstimatedSeconds = int(most/rate) + 5
	p.warn(pl, next, moves, req)
	return ""
}

// warn adds the risks of moving data.
func (p *Picture) warn(pl *spec.Plan, next *spec.Cluster, moves []spec.Move, req ScaleRequest) {
	if pl.BytesToMove > 0 && req.ThrottleBytesPerSecond == 0 {
		pl.Risks = append(pl.Risks, "Nothing throttles the copying: clients may feel it.")
	}
	for _, b := range next.Brokers {
		if _, had := p.Cluster.Broker(b.ID); had && !p.up(b.ID) {
			pl.Risks = append(pl.Risks, fmt.Sprintf("Broker %d is down: it keeps what it has and gets nothing.", b.ID))
		}
	}
	busy, dark := 0, 0
	for i := range p.Seen.Partitions {
		if part := &p.Seen.Partitions[i]; len(part.Adding)+len(part.Removing) > 0 {
			busy++
		}
	}
	offline := map[string]bool{}
	for i := range p.Seen.Partitions {
		if part := &p.Seen.Partitions[i]; part.Offline() {
			offline[fmt.Sprint(part.Topic, "/", part.Partition)] = true
		}
	}
	for i := range moves {
		if offline[fmt.Sprint(moves[i].Topic, "/", moves[i].Partition)] {
			dark++
		}
	}
	if busy > 0 {
		pl.Risks = append(pl.Risks, fmt.Sprintf("%d partitions are being moved already; this plan takes those moves as done.", busy))
	}
	if dark > 0 {
		pl.Risks = append(pl.Risks, fmt.Sprintf("%d of the partitions to move are offline: their move waits until a replica is back.", dark))
	}
}

func scaleIn(p Picture, req ScaleRequest) spec.Plan {
	c := &p.Cluster
	gone := slices.Clone(req.Remove)
	slices.Sort(gone)
	next := *c
	var votes []int32
	for _, id := range gone {
		b, ok := next.Broker(id)
		if !ok {
			return impossible("%s has no broker %d to remove: it has %s", c.Name, id, names(next.BrokerIDs()))
		}
		if b.Controller {
			votes = append(votes, id)
		}
		next = next.WithoutBroker(id)
	}
	if len(next.Brokers) == 0 {
		return impossible("no broker would remain: delete the cluster instead")
	}
	if why := p.cannotDrain(gone); why != "" {
		return impossible("%s", why)
	}
	if why := tooFewFor(&next); why != "" {
		return impossible("%s", why)
	}
	moves, err := Assign(p.Seen.Partitions, p.targetsOf(&next))
	var few *TooManyReplicas
	if errors.As(err, &few) {
		return impossible("topic %s has replication factor %d, and %d brokers would remain: lower its replication factor, or keep %d brokers",
			few.Topic, few.Factor, few.Brokers, few.Factor)
	}
	if err != nil {
		return impossible("%v", err)
	}
	if len(votes) > 0 {
		return impossible("%s: part of the %d controllers, whose number cannot change while the cluster runs; %s", names(votes), c.Controllers(), others(c))
	}
	pl := spec.Plan{
		Summary: fmt.Sprintf("Move all data off %s and remove it (%d → %d)", names(gone), len(c.Brokers), len(next.Brokers)),
		Undo:    fmt.Sprintf("Cancel while data moves; afterwards scale out to %d brokers again.", len(c.Brokers)),
	}
	if why := p.reckon(&pl, &next, moves, req); why != "" {
		return impossible("%s", why)
	}
	pl.EstimatedSeconds += len(gone) * RatesFor(c.Engine).StopSeconds
	if before, after := racks(c), racks(&next); after < before {
		pl.Risks = append(pl.Risks, fmt.Sprintf("Replicas lie on %d racks afterwards, on %d now.", after, before))
	}
	pl.Steps = append(pl.Steps,
		step(spec.StepReassign, spec.StepArgs{Moves: moves, Drain: gone, ThrottleBytesPerSecond: req.ThrottleBytesPerSecond},
			"%s", req.limited(fmt.Sprintf("Move %d partitions, %s, off %s", pl.PartitionsToMove, Size(pl.BytesToMove), names(gone)))),
		step(spec.StepElectLeaders, spec.StepArgs{}, "Give every partition to its preferred leader"))
	for _, id := range gone {
		pl.Steps = append(pl.Steps,
			step(spec.StepCheckEmpty, spec.StepArgs{Broker: id}, "Check that broker %d is empty", id),
			step(spec.StepStopBroker, spec.StepArgs{Broker: id}, "Stop broker %d", id),
			step(spec.StepUnregister, spec.StepArgs{Broker: id}, "Make the cluster forget broker %d", id),
			step(spec.StepForgetBroker, spec.StepArgs{Broker: id}, "Remove the files of broker %d", id))
	}
	return pl
}

// others says which brokers could go instead of a controller.
func others(c *spec.Cluster) string {
	if ids := ToRemove(c, len(c.Brokers)); len(ids) > 0 {
		return names(ids) + " could go"
	}
	return "all of its brokers are controllers, so none can go"
}

func racks(c *spec.Cluster) int {
	seen := map[string]bool{}
	for _, b := range c.Brokers {
		seen[b.Rack] = true
	}
	return len(seen)
}

// cannotDrain finds a partition whose records only a broker that is down and
// should go has.
func (p *Picture) cannotDrain(gone []int32) string {
	for i := range p.Seen.Partitions {
		part := &p.Seen.Partitions[i]
		for _, id := range gone {
			if holds(part, id) && !slices.ContainsFunc(part.ISR, p.up) {
				return fmt.Sprintf("partition %s-%d has no replica in sync that is up, and one on broker %d: bring the broker back first, or its records are lost",
					part.Topic, part.Partition, id)
			}
		}
	}
	return ""
}
