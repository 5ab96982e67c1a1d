package plan

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// Picture is what a plan starts from: what is wanted, and what is.
type Picture struct {
	Cluster spec.Cluster
	Seen    spec.Observation
}

// Rates are what estimates of time are made with.
type Rates struct {
	// CopyBytesPerSecond is how fast one broker takes in replicas when nothing
	// throttles it.
	CopyBytesPerSecond int64
	// StartSeconds is how long a broker takes from the start of its process
	// until it is unfenced, StopSeconds from the signal to the end.
	StartSeconds, StopSeconds int
}

// RatesFor are careful figures for an engine on one machine.
func RatesFor(engine string) Rates {
	if engine == spec.EngineWeir {
		return Rates{CopyBytesPerSecond: 100 << 20, StartSeconds: 2, StopSeconds: 2}
	}
	return Rates{CopyBytesPerSecond: 50 << 20, StartSeconds: 12, StopSeconds: 5}
}

// impossible is a plan that only says why not.
func impossible(format string, args ...any) spec.Plan {
	return spec.Plan{Impossible: fmt.Sprintf(format, args...)}
}

func step(kind spec.StepKind, args spec.StepArgs, title string, a ...any) spec.PlannedStep {
	return spec.PlannedStep{Kind: kind, Title: fmt.Sprintf(title, a...), Args: args}
}

// names writes "broker 2" or "brokers 2, 3".
func names(ids []int32) string {
	words := make([]string, 0, len(ids))
	for _, id := range ids {
		words = append(words, strconv.Itoa(int(id)))
	}
	if len(words) == 1 {
		return "broker " + words[0]
	}
	return "brokers " + strings.Join(words, ", ")
}

// up says whether a broker serves.
func (p *Picture) up(id int32) bool {
	b, ok := p.Seen.Broker(id)
	return ok && b.ProcessAlive && b.Registered && !b.Fenced && b.UnresponsiveSince.IsZero()
}

// voteLost says why the metadata quorum would have no majority without the
// given brokers, "" if it would.
func (p *Picture) voteLost(without ...int32) string {
	voters, left := 0, 0
	for _, b := range p.Cluster.Brokers {
		if !b.Controller {
			continue
		}
		voters++
		if !slices.Contains(without, b.ID) && p.up(b.ID) {
			left++
		}
	}
	if left > voters/2 {
		return ""
	}
	return fmt.Sprintf("only %d of %d controllers would be left, and %d are needed", left, voters, voters/2+1)
}

// QuorumLost says why the metadata quorum would have no majority without the
// given brokers, "" if it would.
func (p *Picture) QuorumLost(without ...int32) string { return p.voteLost(without...) }

// exposure counts partitions that lose something while brokers are away.
type exposure struct {
	offline int // nobody else is in sync
	noWrite int // fewer in sync than min.insync.replicas
	thinner int // all others
	example string
}

func (p *Picture) exposed(away ...int32) exposure {
	var e exposure
	for i := range p.Seen.Partitions {
		part := &p.Seen.Partitions[i]
		left := 0
		for _, id := range part.ISR {
			if !slices.Contains(away, id) {
				left++
			}
		}
		switch {
		case left == len(part.ISR):
			continue
		case left == 0:
			e.offline++
			e.example = part.Topic + "-" + strconv.Itoa(int(part.Partition))
		case left < part.MinInSync:
			e.noWrite++
		default:
			e.thinner++
		}
	}
	return e
}

// risks says in words what e means for the time of the operation.
func (e exposure) risks() []string {
	var out []string
	if e.offline > 0 {
		out = append(out, fmt.Sprintf("%d partitions are offline meanwhile (such as %s): no other broker has all of their records", e.offline, e.example))
	}
	if e.noWrite > 0 {
		out = append(out, fmt.Sprintf("%d partitions refuse writes with acks=all meanwhile: too few replicas stay in sync", e.noWrite))
	}
	if e.thinner > 0 {
		out = append(out, fmt.Sprintf("%d partitions have one replica fewer in sync meanwhile; they go on serving", e.thinner))
	}
	return out
}

// Create plans the first start of a cluster.
func Create(c spec.Cluster) spec.Plan {
	if err := c.Validate(); err != nil {
		return impossible("%v", err)
	}
	if why := tooFewFor(&c); why != "" {
		return impossible("%s", why)
	}
	r := RatesFor(c.Engine)
	pl := spec.Plan{
		Summary:          fmt.Sprintf("Create %s with %d brokers of %s", c.Name, len(c.Brokers), c.EngineLabel()),
		EstimatedSeconds: 5 + 2*len(c.Brokers) + r.StartSeconds,
		Undo:             "Delete the cluster.",
	}
	if !c.Secured {
		pl.Risks = append(pl.Risks, "Anyone on this machine can read and write everything: this cluster has no TLS and no users.")
	}
	if len(c.Brokers) < 3 {
		pl.Risks = append(pl.Risks, fmt.Sprintf("With %d brokers, the loss of one loses data or stops writes.", len(c.Brokers)))
	}
	pl.Steps = append(pl.Steps, step(spec.StepPrepareEngine, spec.StepArgs{}, "Get %s ready", c.EngineLabel()))
	ids := c.BrokerIDs()
	for _, id := range ids {
		pl.Steps = append(pl.Steps, step(spec.StepProvision, spec.StepArgs{Broker: id}, "Write the settings of broker %d and format its storage", id))
	}
	pl.Steps = append(pl.Steps, startAll(&c)...)
	pl.Steps = append(pl.Steps, step(spec.StepAwaitBrokers, spec.StepArgs{Brokers: ids}, "Wait until %s serve", names(ids)))
	return pl
}

// tooFewFor says which setting asks for more brokers than there are.
func tooFewFor(c *spec.Cluster) string {
	for _, key := range []string{"default.replication.factor", "min.insync.replicas", "offsets.topic.replication.factor",
		"transaction.state.log.replication.factor", "transaction.state.log.min.isr", "share.coordinator.state.topic.replication.factor",
		"share.coordinator.state.topic.min.isr"} {
		if n, err := strconv.Atoi(strings.TrimSpace(c.Settings[key])); err == nil && n > len(c.Brokers) {
			return fmt.Sprintf("%s is %d, and there are %d brokers: lower it, or take %d brokers", key, n, len(c.Brokers), n)
		}
	}
	return ""
}

// startAll starts the controllers first: without their majority nobody else
// can register.
func startAll(c *spec.Cluster) []spec.PlannedStep {
	var first, rest []spec.PlannedStep
	for _, id := range c.BrokerIDs() {
		s := step(spec.StepStartBroker, spec.StepArgs{Broker: id}, "Start broker %d", id)
		if b, _ := c.Broker(id); b.Controller {
			first = append(first, s)
		} else {
			rest = append(rest, s)
		}
	}
	return append(first, rest...)
}

// stopAll stops the controllers last, so that the others can hand over, and
// those all at once, so that none waits for a majority that has gone.
func stopAll(c *spec.Cluster) (steps []spec.PlannedStep) {
	var first, last []int32
	for _, b := range c.Brokers {
		if b.Controller {
			last = append(last, b.ID)
		} else {
			first = append(first, b.ID)
		}
	}
	for _, ids := range [][]int32{first, last} {
		if len(ids) > 0 {
			steps = append(steps, step(spec.StepStopBroker, spec.StepArgs{Brokers: ids}, "Stop %s", names(ids)))
		}
	}
	return steps
}

// Stop plans to end all processes of a cluster and keep its data.
func Stop(p Picture) spec.Plan {
	c := &p.Cluster
	if c.State == spec.Stopped {
		return spec.Plan{Summary: c.Name + " is stopped already"}
	}
	declare := step(spec.StepDeclareStopped, spec.StepArgs{Brokers: c.BrokerIDs()}, "Note that no broker shall run")
	return spec.Plan{
		Summary:          fmt.Sprintf("Stop all %d brokers of %s", len(c.Brokers), c.Name),
		Steps:            append([]spec.PlannedStep{declare}, stopAll(c)...),
		EstimatedSeconds: 2 * RatesFor(c.Engine).StopSeconds,
		Risks:            []string{"No client can read or write until the cluster is started again."},
		Undo:             "Start the cluster.",
	}
}

// Start plans to start what Stop stopped.
func Start(p Picture) spec.Plan {
	c := &p.Cluster
	ids := c.BrokerIDs()
	pl := spec.Plan{
		Summary:          fmt.Sprintf("Start all %d brokers of %s", len(ids), c.Name),
		Steps:            []spec.PlannedStep{step(spec.StepDeclareStarted, spec.StepArgs{Brokers: ids}, "Note that all brokers shall run")},
		EstimatedSeconds: 2*len(ids) + RatesFor(c.Engine).StartSeconds,
		Undo:             "Stop the cluster.",
	}
	pl.Steps = append(pl.Steps, startAll(c)...)
	pl.Steps = append(pl.Steps, awaitAll(ids)...)
	return pl
}

// Resume plans to start the brokers that shall run, after the service stopped
// them or the machine ended.
func Resume(c spec.Cluster) spec.Plan {
	var ids []int32
	wanted := c
	wanted.Brokers = nil
	for _, b := range c.Brokers {
		if !b.Stopped {
			ids, wanted.Brokers = append(ids, b.ID), append(wanted.Brokers, b)
		}
	}
	pl := spec.Plan{
		Summary:          fmt.Sprintf("Start %s of %s again", names(ids), c.Name),
		Steps:            append([]spec.PlannedStep{step(spec.StepDeclareStarted, spec.StepArgs{Brokers: ids}, "Note that %s shall run", names(ids))}, startAll(&wanted)...),
		EstimatedSeconds: 2*len(ids) + RatesFor(c.Engine).StartSeconds,
		Undo:             "Stop the cluster.",
	}
	pl.Steps = append(pl.Steps, awaitAll(ids)...)
	return pl
}

// awaitAll waits until brokers serve and all replicas are in sync, and hands
// leadership back.
func awaitAll(ids []int32) []spec.PlannedStep {
	return []spec.PlannedStep{
		step(spec.StepAwaitBrokers, spec.StepArgs{Brokers: ids}, "Wait until %s serve", names(ids)),
		step(spec.StepAwaitInSync, spec.StepArgs{Brokers: ids}, "Wait until every replica on %s is in sync", names(ids)),
		step(spec.StepElectLeaders, spec.StepArgs{}, "Give every partition back to its preferred leader"),
	}
}

// Delete plans the end of a cluster and its data.
func Delete(p Picture) spec.Plan {
	c := &p.Cluster
	pl := spec.Plan{
		Summary:          fmt.Sprintf("Delete %s: its %d brokers and all of its data", c.Name, len(c.Brokers)),
		EstimatedSeconds: 2*RatesFor(c.Engine).StopSeconds + 1,
		Undo:             "Cannot be undone: the data is gone.",
	}
	topics := map[string]bool{}
	var bytes int64
	for i := range p.Seen.Partitions {
		part := &p.Seen.Partitions[i]
		if !strings.HasPrefix(part.Topic, "__") {
			topics[part.Topic] = true
		}
		bytes += part.Bytes
	}
	pl.Risks = []string{fmt.Sprintf("%d topics with %s of records are destroyed.", len(topics), Size(bytes))}
	if !p.Seen.Reachable {
		pl.Risks = []string{"The cluster does not answer, so that nobody can say what is destroyed."}
	}
	pl.Steps = append([]spec.PlannedStep{step(spec.StepDeclareStopped, spec.StepArgs{Brokers: c.BrokerIDs()}, "Note that no broker shall run")}, stopAll(c)...)
	pl.Steps = append(pl.Steps, step(spec.StepRemoveCluster, spec.StepArgs{}, "Remove all files of %s", c.Name))
	return pl
}

// Size writes bytes for people.
func Size(n int64) string {
	const units = "KMGTPE"
	if n < 1024 {
		return fmt.Sprintf("%d B", n)
	}
	v, u := float64(n)/1024, 0
	for v >= 1024 && u < len(units)-1 {
		v, u = v/1024, u+1
	}
	return fmt.Sprintf("%.1f %ciB", v, units[u])
}
