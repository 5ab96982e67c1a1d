package plan

import (
	"fmt"

	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// find says why nothing can be planned for a broker, "" if it is there.
func (p *Picture) find(id int32) string {
	if _, ok := p.Cluster.Broker(id); ok {
		return ""
	}
	return fmt.Sprintf("%s has no broker %d: it has %s", p.Cluster.Name, id, names(p.Cluster.BrokerIDs()))
}

// RestartBroker plans an orderly stop and start of one broker, with waits for
// replicas in sync on both sides.
func RestartBroker(p Picture, id int32) spec.Plan {
	c := &p.Cluster
	if why := p.find(id); why != "" {
		return impossible("%s", why)
	}
	if !p.Seen.Reachable {
		return impossible("the cluster does not answer (%s): start its brokers first", p.Seen.Why)
	}
	if b, _ := c.Broker(id); b.Controller && len(c.Brokers) > 1 && c.Controllers() > 1 {
		if why := p.voteLost(id); why != "" {
			return impossible("broker %d cannot stop now: %s; bring the others back first", id, why)
		}
	}
	r := RatesFor(c.Engine)
	e := p.exposed(id)
	one := []int32{id}
	pl := spec.Plan{
		Summary: fmt.Sprintf("Restart broker %d", id),
		Steps: []spec.PlannedStep{
			step(spec.StepStopBroker, spec.StepArgs{Broker: id}, "Stop broker %d; its leaders move to other brokers", id),
			step(spec.StepStartBroker, spec.StepArgs{Broker: id}, "Start broker %d", id),
		},
		EstimatedSeconds: r.StopSeconds + r.StartSeconds + 5,
		Restarts:         1,
		Risks:            e.risks(),
		Undo:             "Nothing to undo: the broker has the same settings and data afterwards.",
	}
	if len(c.Brokers) > 1 && p.up(id) {
		wait := step(spec.StepAwaitInSync, spec.StepArgs{}, "Wait until every replica is in sync")
		pl.Steps = append([]spec.PlannedStep{wait}, pl.Steps...)
	}
	pl.Steps = append(pl.Steps, awaitAll(one)...)
	return pl
}

// StopBroker plans to stop one broker and leave it stopped.
func StopBroker(p Picture, id int32) spec.Plan {
	if why := p.find(id); why != "" {
		return impossible("%s", why)
	}
	risks := p.exposed(id).risks()
	if b, _ := p.Cluster.Broker(id); b.Controller {
		if why := p.voteLost(id); why != "" {
			risks = append(risks, "The whole cluster stops deciding (no new leaders, no changes): "+why+".")
		}
	}
	return spec.Plan{
		Summary: fmt.Sprintf("Stop broker %d", id),
		Steps: []spec.PlannedStep{
			step(spec.StepDeclareStopped, spec.StepArgs{Brokers: []int32{id}}, "Note that broker %d shall not run", id),
			step(spec.StepStopBroker, spec.StepArgs{Broker: id}, "Stop broker %d", id),
		},
		EstimatedSeconds: RatesFor(p.Cluster.Engine).StopSeconds,
		Risks:            risks,
		Undo:             "Start the broker again.",
	}
}

// StartBroker plans to start one broker that does not run.
func StartBroker(p Picture, id int32) spec.Plan {
	if why := p.find(id); why != "" {
		return impossible("%s", why)
	}
	pl := spec.Plan{
		Summary: fmt.Sprintf("Start broker %d", id),
		Steps: []spec.PlannedStep{
			step(spec.StepDeclareStarted, spec.StepArgs{Brokers: []int32{id}}, "Note that broker %d shall run", id),
			step(spec.StepStartBroker, spec.StepArgs{Broker: id}, "Start broker %d", id),
		},
		EstimatedSeconds: RatesFor(p.Cluster.Engine).StartSeconds + 5,
		Undo:             "Stop the broker.",
	}
	pl.Steps = append(pl.Steps, awaitAll([]int32{id})...)
	return pl
}

// KillBroker plans the drill: to end a broker by force, which healing then
// finds and mends.
func KillBroker(p Picture, id int32) spec.Plan {
	if why := p.find(id); why != "" {
		return impossible("%s", why)
	}
	b, _ := p.Cluster.Broker(id)
	switch {
	case b.Stopped:
		return impossible("broker %d is stopped: start it first", id)
	case b.Controller && p.Cluster.Controllers() > 1:
		if why := p.voteLost(id); why != "" {
			return impossible("broker %d must not die now: %s", id, why)
		}
	}
	return spec.Plan{
		Summary:          fmt.Sprintf("Kill broker %d, and let healing bring it back", id),
		Steps:            []spec.PlannedStep{step(spec.StepKillBroker, spec.StepArgs{Broker: id}, "Kill broker %d", id)},
		EstimatedSeconds: 1,
		Restarts:         1,
		Risks:            p.exposed(id).risks(),
		Undo:             "Nothing to undo: healing starts the broker again.",
	}
}

// KillAndRestart plans to end a broker that no longer answers, by force, and
// start it.
func KillAndRestart(p Picture, id int32) spec.Plan {
	pl := StartBroker(p, id)
	if pl.Impossible != "" {
		return pl
	}
	pl.Summary = fmt.Sprintf("Kill broker %d, which makes no progress, and start it", id)
	pl.Restarts = 1
	pl.Risks = p.exposed(id).risks()
	pl.Undo = "Nothing to undo: the broker has the same settings and data afterwards."
	kill := step(spec.StepKillBroker, spec.StepArgs{Broker: id}, "Kill broker %d", id)
	pl.Steps = append([]spec.PlannedStep{kill}, pl.Steps...)
	return pl
}

// ReplaceBroker plans a new, empty broker under the same id, which gets its
// data from the others.
func ReplaceBroker(p Picture, id int32) spec.Plan {
	c := &p.Cluster
	if why := p.find(id); why != "" {
		return impossible("%s", why)
	}
	b, _ := c.Broker(id)
	if len(c.Brokers) == 1 {
		return impossible("broker %d is the only one: nobody has its data, so that a new one would be empty; restore its directory, or delete the cluster", id)
	}
	if b.Controller {
		if why := p.voteLost(id); why != "" {
			return impossible("broker %d votes in the metadata quorum and cannot be replaced: %s", id, why)
		}
	}
	e := p.exposed(id)
	if e.offline > 0 {
		return impossible("%d partitions (such as %s) have their only replica in sync on broker %d: replacing it would lose acknowledged records",
			e.offline, e.example, id)
	}
	r := RatesFor(c.Engine)
	pl := spec.Plan{
		Summary: fmt.Sprintf("Replace broker %d by an empty one under the same id, and replicate its data again", id),
		Steps: []spec.PlannedStep{
			step(spec.StepKillBroker, spec.StepArgs{Broker: id}, "End what is left of broker %d", id),
			step(spec.StepWipe, spec.StepArgs{Broker: id}, "Set the old data of broker %d aside", id),
			step(spec.StepProvision, spec.StepArgs{Broker: id}, "Write the settings of broker %d and format its storage", id),
			step(spec.StepStartBroker, spec.StepArgs{Broker: id}, "Start broker %d", id),
		},
		Restarts: 1,
		Risks:    e.risks(),
		Undo:     "Cannot be undone, and need not be: what it holds afterwards is a copy of what the others have.",
	}
	for i := range p.Seen.Partitions {
		if part := &p.Seen.Partitions[i]; holds(part, id) {
			pl.PartitionsToMove++
			pl.BytesToMove += part.Bytes
		}
	}
	pl.EstimatedSeconds = r.StopSeconds + r.StartSeconds + 5 + int(pl.BytesToMove/r.CopyBytesPerSecond)
	pl.Steps = append(pl.Steps, awaitAll([]int32{id})...)
	return pl
}

func holds(p *spec.PartitionObservation, id int32) bool {
	for _, r := range p.Replicas {
		if r == id {
			return true
		}
	}
	return false
}
