// Package heal decides what to do about brokers that fail: restart a dead one
// at once; replace one that dies again and again, or lost its data; kill and
// restart one that lives but makes no progress; and hold still, saying so,
// when more fails at once than the cluster can bear.
//
// It is pure: what was seen and done before goes in, anomalies with evidence,
// options, choice and reason come out. It observes nothing and runs nothing.
package heal

import (
	"fmt"
	"slices"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/plan"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// The anomalies.
const (
	Dead     = "dead-broker"
	Frozen   = "frozen-broker"
	LostData = "lost-data-directory"
	Mass     = "mass-failure"
)

// The choices.
const (
	Restart        = "restart"
	Replace        = "replace"
	KillAndRestart = "kill-and-restart"
	// Brake does nothing until fewer brokers fail.
	Brake = "brake"
	// GiveUp leaves a broker to a person.
	GiveUp = "give-up"
)

// Policy is what a user may set about healing.
type Policy struct {
	// MaxRestarts within Window; a broker that fails once more is replaced.
	MaxRestarts int           `json:"maxRestarts"`
	Window      time.Duration `json:"window"`
	// FrozenAfter is how long a broker may make no progress.
	FrozenAfter time.Duration `json:"frozenAfter"`
	// StartGrace is how long a new process may take before it counts as frozen.
	StartGrace time.Duration `json:"startGrace"`
	// Stale observations decide nothing.
	Stale time.Duration `json:"stale"`
}

// DefaultPolicy suits brokers on one machine.
func DefaultPolicy() Policy {
	return Policy{MaxRestarts: 3, Window: 10 * time.Minute, FrozenAfter: 20 * time.Second, StartGrace: time.Minute, Stale: 30 * time.Second}
}

// Act is something that healing did, as the journal has it.
type Act struct {
	// Broker is 0 for the brake.
	Broker int32
	Choice string
	At     time.Time
	// EndedAt is zero while it runs; a brake or a surrender runs until Decide
	// no longer finds its cause (see Over).
	EndedAt time.Time
}

// History is all that a decision depends on.
type History struct {
	Cluster spec.Cluster
	// Seen is in the order of time; the last one counts as now's.
	Seen []spec.Observation
	Acts []Act
	// Busy are brokers that a person's operation is working on.
	Busy []int32
}

// Anomaly is something wrong, and what should be done.
type Anomaly struct {
	Kind     string
	Broker   int32
	Evidence []string
	Options  []spec.Option
	Choice   string
	Why      string
}

// Bearable is how many brokers of a cluster may fail at once: a minority of
// the controllers, but one where there is only one.
func Bearable(c *spec.Cluster) int { return max(1, (c.Controllers()-1)/2) }

// Decide looks at the latest observation in the light of the earlier ones.
// Nothing is decided about a broker that an act or an operation works on.
func Decide(h History, policy Policy, now time.Time) []Anomaly {
	switch h.Cluster.State {
	case spec.Active, spec.Updating, spec.Healing, spec.Degraded:
	default:
		return nil
	}
	if len(h.Seen) == 0 || now.Sub(h.Seen[len(h.Seen)-1].At) > policy.Stale {
		return nil
	}
	found := h.ill(policy, now)
	if bear := Bearable(&h.Cluster); len(found) > 0 && len(found)+len(h.mending(found)) > bear {
		if h.open(0, Brake) {
			return nil
		}
		return []Anomaly{brake(append(found, h.mending(found)...), bear)}
	}
	var out []Anomaly
	for _, a := range found {
		if h.works(a.Broker) {
			continue
		}
		h.choose(&a, policy, now)
		if a.Choice != GiveUp || !h.open(a.Broker, GiveUp) {
			out = append(out, a)
		}
	}
	return out
}

// Over says whether the cause of a brake or a surrender is gone, so that the
// caller can end the act and the journal entry.
func Over(h History, act Act, policy Policy, now time.Time) bool {
	found := h.ill(policy, now)
	if act.Choice == Brake {
		return len(found)+len(h.mending(found)) <= Bearable(&h.Cluster)
	}
	for _, a := range found {
		if a.Broker == act.Broker {
			return false
		}
	}
	return true
}

// ill finds the brokers that fail now, leaving out those that a person's
// operation works on.
func (h *History) ill(policy Policy, now time.Time) []Anomaly {
	if len(h.Seen) == 0 {
		return nil
	}
	var out []Anomaly
	last := &h.Seen[len(h.Seen)-1]
	for _, b := range h.Cluster.Brokers {
		seen, ok := last.Broker(b.ID)
		if !ok || b.Stopped || h.busy(b.ID) {
			continue
		}
		a := Anomaly{Broker: b.ID}
		switch {
		case !seen.DataDirPresent && h.goneTwice(b.ID):
			a.Kind = LostData
			a.Evidence = []string{"its data directory or the meta.properties in it is gone, seen twice in a row"}
		case !seen.DataDirPresent:
			continue // the next look tells; a restart would be in vain
		case !seen.ProcessAlive:
			a.Kind = Dead
			a.Evidence = []string{"it has no process"}
			if pid := h.lastPID(b.ID); pid != 0 { // else nobody looked while it lived
				a.Evidence[0] += fmt.Sprintf(" (last one: %d)", pid)
			}
		default:
			since := h.stuckSince(b.ID)
			if since.IsZero() || now.Sub(since) < policy.FrozenAfter || now.Sub(seen.StartedAt) < policy.StartGrace {
				continue
			}
			a.Kind = Frozen
			a.Evidence = []string{fmt.Sprintf("process %d lives, and makes no progress since %s (%s)", seen.PID, since.Format(time.RFC3339), stuckWhy(&seen))}
		}
		out = append(out, a)
	}
	return out
}

// mending finds the brokers that healing works on and that do not serve yet:
// they count as failing when others fail, but need nothing more themselves.
func (h *History) mending(found []Anomaly) (out []Anomaly) {
	last := &h.Seen[len(h.Seen)-1]
	for _, b := range h.Cluster.Brokers {
		seen, ok := last.Broker(b.ID)
		if !ok || b.Stopped || h.busy(b.ID) || slices.ContainsFunc(found, func(a Anomaly) bool { return a.Broker == b.ID }) {
			continue
		}
		for _, a := range h.Acts {
			if a.Broker == b.ID && a.Choice != GiveUp && a.EndedAt.IsZero() && (!seen.ProcessAlive || stuck(last, &seen)) {
				out = append(out, Anomaly{Broker: b.ID, Evidence: []string{fmt.Sprintf("being mended (%s), and not back yet", a.Choice)}})
				break
			}
		}
	}
	return out
}

func (h *History) busy(id int32) bool {
	for _, b := range h.Busy {
		if b == id {
			return true
		}
	}
	return false
}

// goneTwice wants a second look before data is called lost.
func (h *History) goneTwice(id int32) bool {
	if len(h.Seen) < 2 {
		return false
	}
	b, ok := h.Seen[len(h.Seen)-2].Broker(id)
	return ok && !b.DataDirPresent
}

func (h *History) lastPID(id int32) int {
	for i := len(h.Seen) - 1; i >= 0; i-- {
		if b, ok := h.Seen[i].Broker(id); ok && b.PID != 0 {
			return b.PID
		}
	}
	return 0
}

func stuck(o *spec.Observation, b *spec.BrokerObservation) bool {
	return !b.UnresponsiveSince.IsZero() || o.Reachable && (b.Fenced || !b.Registered)
}

func stuckWhy(b *spec.BrokerObservation) string {
	switch {
	case !b.UnresponsiveSince.IsZero():
		return "it does not answer"
	case !b.Registered:
		return "it is not registered"
	}
	return "the controllers have fenced it"
}

// stuckSince is when the unbroken row of observations began in which one and
// the same process made no progress; zero if the last one shows progress, or
// if it is the only one.
func (h *History) stuckSince(id int32) (since time.Time) {
	n, pid := 0, -1
	for i := len(h.Seen) - 1; i >= 0; i-- {
		b, ok := h.Seen[i].Broker(id)
		if !ok || !b.ProcessAlive || !stuck(&h.Seen[i], &b) || pid >= 0 && b.PID != pid {
			break
		}
		since, pid = h.Seen[i].At, b.PID
		n++
	}
	if n < 2 {
		return time.Time{}
	}
	return since
}

// open says whether an act of this kind has not ended.
func (h *History) open(id int32, choice string) bool {
	for _, a := range h.Acts {
		if a.Broker == id && a.Choice == choice && a.EndedAt.IsZero() {
			return true
		}
	}
	return false
}

// works says whether healing works on a broker, or has done so after the last
// observation, which then shows the state before.
func (h *History) works(id int32) bool {
	last := h.Seen[len(h.Seen)-1].At
	for _, a := range h.Acts {
		if a.Broker == id && a.Choice != GiveUp && (a.EndedAt.IsZero() || !a.EndedAt.Before(last)) {
			return true
		}
	}
	return false
}

// recent counts acts on a broker within the policy's window.
func (h *History) recent(id int32, policy Policy, now time.Time) (restarts, replacements int) {
	for _, a := range h.Acts {
		if a.Broker != id || now.Sub(a.At) > policy.Window {
			continue
		}
		switch a.Choice {
		case Restart, KillAndRestart:
			restarts++
		case Replace:
			replacements++
		}
	}
	return restarts, replacements
}

// choose weighs the options of one broker.
func (h *History) choose(a *Anomaly, policy Policy, now time.Time) {
	restarts, replacements := h.recent(a.Broker, policy, now)
	again := Restart
	if a.Kind == Frozen {
		again = KillAndRestart
	}
	notAgain, notReplace := "", ""
	switch {
	case a.Kind == LostData:
		notAgain = "without its data it would not start, or would start empty"
	case restarts >= policy.MaxRestarts:
		notAgain = fmt.Sprintf("done %d times within %s, and it failed again", restarts, policy.Window)
	case replacements > 0:
		notAgain = "it was replaced just now and failed all the same"
	}
	if pl := plan.ReplaceBroker(plan.Picture{Cluster: h.Cluster, Seen: h.Seen[len(h.Seen)-1]}, a.Broker); pl.Impossible != "" {
		notReplace = pl.Impossible
	} else if !h.Seen[len(h.Seen)-1].Reachable {
		notReplace = "the cluster does not answer, so that nobody knows whether others have its data"
	} else if replacements > 0 {
		notReplace = "it was replaced just now and failed all the same"
	}
	switch {
	case notAgain == "":
		a.Choice, a.Why = again, "the quickest way back: its data is there, and only what it missed must be copied"
		if notReplace == "" {
			notReplace = "copies all of its data, and a restart may do"
		}
	case notReplace == "":
		a.Choice, a.Why = Replace, "a restart does not help, and the other brokers have all of its data"
	default:
		a.Choice, a.Why = GiveUp, "nothing that the service may do helps; a person must look at the broker's log"
	}
	a.Options = []spec.Option{{Name: again, WhyNot: notAgain}, {Name: Replace, WhyNot: notReplace}}
	giveUp := ""
	if a.Choice != GiveUp {
		giveUp = "there is something left to try"
	}
	a.Options = append(a.Options, spec.Option{Name: GiveUp, WhyNot: giveUp})
}

// brake says that too much fails at once.
func brake(found []Anomaly, bear int) Anomaly {
	out := Anomaly{Kind: Mass, Choice: Brake,
		Why: fmt.Sprintf("%d brokers fail at once and the cluster bears %d: the cause may lie elsewhere (disk, memory, machine), and healing could make it worse; "+
			"find the cause, then start the brokers", len(found), bear),
		Options: []spec.Option{{Name: "heal each", WhyNot: "a common cause would take the others too"}, {Name: Brake}}}
	for _, a := range found {
		for _, e := range a.Evidence {
			out.Evidence = append(out.Evidence, fmt.Sprintf("broker %d: %s", a.Broker, e))
		}
	}
	return out
}
