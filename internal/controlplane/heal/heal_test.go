package heal

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/weir-stream/weir/internal/controlplane/spec"
)

var t0 = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// seen is an observation of three brokers at a second; change alters it.
func seen(sec int, change func(o *spec.Observation)) spec.Observation {
	o := spec.Observation{At: t0.Add(time.Duration(sec) * time.Second), Reachable: true}
	for id := range int32(3) {
		o.Brokers = append(o.Brokers, spec.BrokerObservation{ID: id + 1, ProcessAlive: true, PID: 100 + int(id), StartedAt: t0.Add(-time.Hour),
			DataDirPresent: true, Registered: true})
	}
	o.Partitions = []spec.PartitionObservation{{Topic: "t", Leader: 1, Replicas: []int32{1, 2, 3}, ISR: []int32{1, 2, 3}, MinInSync: 2}}
	if change != nil {
		change(&o)
	}
	return o
}

func cluster() spec.Cluster {
	return spec.Cluster{Name: "orders", State: spec.Active, Brokers: []spec.Broker{{ID: 1, Controller: true}, {ID: 2, Controller: true}, {ID: 3, Controller: true}}}
}

func dead(ids ...int) func(*spec.Observation) {
	return func(o *spec.Observation) {
		for _, id := range ids {
			b := &o.Brokers[id-1]
			b.ProcessAlive, b.PID, b.Fenced = false, 0, true
		}
	}
}

func frozen(id int) func(*spec.Observation) {
	return func(o *spec.Observation) { o.Brokers[id-1].UnresponsiveSince = t0 }
}

func acts(choice string, secs ...int) (out []Act) {
	for _, s := range secs {
		at := t0.Add(time.Duration(s) * time.Second)
		out = append(out, Act{Broker: 2, Choice: choice, At: at, EndedAt: at.Add(time.Second)})
	}
	return out
}

func TestDecide(t *testing.T) {
	lost := func(o *spec.Observation) { o.Brokers[1].DataDirPresent = false }
	onlyCopy := func(o *spec.Observation) { lost(o); o.Partitions[0].ISR = []int32{2} }
	unreachable := func(o *spec.Observation) { dead(2)(o); o.Reachable = false }
	fenced := func(o *spec.Observation) { o.Brokers[1].Fenced = true }
	young := func(o *spec.Observation) { frozen(2)(o); o.Brokers[1].StartedAt = t0.Add(30 * time.Second) }
	for name, tc := range map[string]struct {
		seen  []spec.Observation
		acts  []Act
		busy  []int32
		state spec.State
		want  string // kind choice, or nothing
	}{
		"healthy":              {seen: []spec.Observation{seen(50, nil)}},
		"nothing seen":         {},
		"dead":                 {seen: []spec.Observation{seen(50, dead(2))}, want: "dead-broker restart"},
		"dead, unreachable":    {seen: []spec.Observation{seen(50, unreachable)}, want: "dead-broker restart"},
		"dead and stopped":     {seen: []spec.Observation{seen(50, dead(2))}, state: spec.Stopped},
		"dead and deleting":    {seen: []spec.Observation{seen(50, dead(2))}, state: spec.Deleting},
		"dead while updating":  {seen: []spec.Observation{seen(50, dead(2))}, state: spec.Updating, want: "dead-broker restart"},
		"dead, being worked":   {seen: []spec.Observation{seen(50, dead(2))}, busy: []int32{2}},
		"dead, restart runs":   {seen: []spec.Observation{seen(50, dead(2))}, acts: []Act{{Broker: 2, Choice: Restart, At: t0}}},
		"dead, looked before":  {seen: []spec.Observation{seen(50, dead(2))}, acts: acts(Restart, 55)},
		"stale":                {seen: []spec.Observation{seen(10, dead(2))}},
		"again":                {seen: []spec.Observation{seen(50, dead(2))}, acts: acts(Restart, 10, 20), want: "dead-broker restart"},
		"again and again":      {seen: []spec.Observation{seen(50, dead(2))}, acts: acts(Restart, 10, 20, 30), want: "dead-broker replace"},
		"long ago":             {seen: []spec.Observation{seen(50, dead(2))}, acts: acts(Restart, -900, -800, -700), want: "dead-broker restart"},
		"replaced, dies again": {seen: []spec.Observation{seen(50, dead(2))}, acts: acts(Replace, 30), want: "dead-broker give-up"},
		"given up already":     {seen: []spec.Observation{seen(50, dead(2))}, acts: append(acts(Replace, 30), Act{Broker: 2, Choice: GiveUp, At: t0})},
		"lost once seen":       {seen: []spec.Observation{seen(40, nil), seen(50, lost)}},
		"lost":                 {seen: []spec.Observation{seen(40, lost), seen(50, lost)}, want: "lost-data-directory replace"},
		"lost and dead, once":  {seen: []spec.Observation{seen(40, nil), seen(50, func(o *spec.Observation) { lost(o); dead(2)(o) })}},
		"lost, the only copy":  {seen: []spec.Observation{seen(40, onlyCopy), seen(50, onlyCopy)}, want: "lost-data-directory give-up"},
		"frozen":               {seen: []spec.Observation{seen(35, frozen(2)), seen(55, frozen(2))}, want: "frozen-broker kill-and-restart"},
		"frozen, too short":    {seen: []spec.Observation{seen(45, frozen(2)), seen(55, frozen(2))}},
		"frozen, one look":     {seen: []spec.Observation{seen(35, frozen(2))}},
		"frozen, between not":  {seen: []spec.Observation{seen(30, frozen(2)), seen(45, nil), seen(55, frozen(2))}},
		"frozen, young":        {seen: []spec.Observation{seen(35, young), seen(55, young)}},
		"fenced":               {seen: []spec.Observation{seen(35, fenced), seen(55, fenced)}, want: "frozen-broker kill-and-restart"},
		"two at once":          {seen: []spec.Observation{seen(50, dead(2, 3))}, want: "mass-failure brake"},
		"dead, other mended":   {seen: []spec.Observation{seen(50, func(o *spec.Observation) { dead(3)(o); fenced(o) })}, acts: []Act{{Broker: 2, Choice: Restart, At: t0}}, want: "mass-failure brake"},
		"dead, other is back":  {seen: []spec.Observation{seen(50, dead(3))}, acts: []Act{{Broker: 2, Choice: Restart, At: t0}}, want: "dead-broker restart"},
		"two, braked":          {seen: []spec.Observation{seen(50, dead(2, 3))}, acts: []Act{{Choice: Brake, At: t0}}},
		"two, one by a person": {seen: []spec.Observation{seen(50, dead(2, 3))}, busy: []int32{3}, want: "dead-broker restart"},
	} {
		h := History{Cluster: cluster(), Seen: tc.seen, Acts: tc.acts, Busy: tc.busy}
		if tc.state != "" {
			h.Cluster.State = tc.state
		}
		var got []string
		for _, a := range Decide(h, DefaultPolicy(), t0.Add(58*time.Second)) {
			got = append(got, a.Kind+" "+a.Choice)
			checkStory(t, name, a)
		}
		if s := strings.Join(got, ", "); s != tc.want {
			t.Errorf("%s: %q, want %q", name, s, tc.want)
		}
	}
}

// checkStory wants evidence, a reason, and exactly the choice without a why-not.
func checkStory(t interface{ Errorf(string, ...any) }, name string, a Anomaly) {
	chosen := ""
	for _, o := range a.Options {
		if o.WhyNot == "" {
			chosen += o.Name
		}
	}
	if len(a.Evidence) == 0 || a.Why == "" || chosen != a.Choice {
		t.Errorf("%s: evidence %v, why %q, options without a why-not %q, choice %q", name, a.Evidence, a.Why, chosen, a.Choice)
	}
}

func TestOver(t *testing.T) {
	now := t0.Add(51 * time.Second)
	h := History{Cluster: cluster(), Seen: []spec.Observation{seen(50, dead(2, 3))}}
	if Over(h, Act{Choice: Brake}, DefaultPolicy(), now) {
		t.Error("the brake let go too early")
	}
	h.Seen = []spec.Observation{seen(50, dead(2))}
	if !Over(h, Act{Choice: Brake}, DefaultPolicy(), now) || Over(h, Act{Broker: 2, Choice: GiveUp}, DefaultPolicy(), now) ||
		!Over(h, Act{Broker: 3, Choice: GiveUp}, DefaultPolicy(), now) {
		t.Error("over")
	}
}

// TestNoFlapping lets brokers fail as they like for an hour, with the caller
// doing what Decide says, and counts.
func TestNoFlapping(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h, policy := History{Cluster: cluster()}, DefaultPolicy()
		for sec := 0; sec < 3600; sec += 5 {
			down := rapid.SampledFrom([][]int{nil, nil, nil, {1}, {2}, {2}, {1, 3}}).Draw(t, "down")
			h.Seen = append(h.Seen, seen(sec, dead(down...)))
			h.Seen = h.Seen[max(0, len(h.Seen)-20):]
			now := t0.Add(time.Duration(sec+1) * time.Second)
			for i := range h.Acts {
				if a := &h.Acts[i]; a.EndedAt.IsZero() && ((a.Choice != Brake && a.Choice != GiveUp && now.Sub(a.At) > 10*time.Second) ||
					((a.Choice == Brake || a.Choice == GiveUp) && Over(h, *a, policy, now))) {
					a.EndedAt = now
				}
			}
			for _, a := range Decide(h, policy, now) {
				checkStory(t, "random", a)
				if len(down) > 1 && a.Choice != Brake {
					t.Fatalf("%s with %v down", a.Choice, down)
				}
				if h.open(a.Broker, a.Choice) {
					t.Fatalf("%s of %d twice", a.Choice, a.Broker)
				}
				h.Acts = append(h.Acts, Act{Broker: a.Broker, Choice: a.Choice, At: now})
				if again := Decide(h, policy, now); len(again) > 0 && again[0].Broker == a.Broker {
					t.Fatalf("decided again at once: %+v", again[0])
				}
			}
			for id := range int32(3) {
				if r, rep := h.recent(id+1, policy, now); r > policy.MaxRestarts || rep > 1 {
					t.Fatalf("broker %d: %s", id+1, fmt.Sprint(r, " restarts, ", rep, " replacements"))
				}
			}
		}
	})
}
