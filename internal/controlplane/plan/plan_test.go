package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-stream/weir/internal/controlplane/spec"
)

func brokers(first, n int) []spec.Broker {
	var out []spec.Broker
	for i := first; i < first+n; i++ {
		b := spec.Broker{ID: int32(i), ClientPort: 20000 + i, InternalPort: 21000 + i, MetricsPort: 22000 + i, MemoryBytes: 1 << 30, DiskBytes: 10 << 30}
		out = append(out, b)
	}
	return out
}

// picture is a healthy cluster of n brokers with some topics.
func picture(n, factor int) Picture {
	c := spec.Cluster{ID: "c1", Name: "orders", Engine: spec.EngineApacheKafka, EngineVersion: "4.3.1", Profile: "prod-3", Secured: true,
		State: spec.Active, KafkaClusterID: "MkU3OEVBNTcwNTJENDM2Qg", Brokers: brokers(1, n)}
	for i := range spec.Voters(n) {
		c.Brokers[i].Controller, c.Brokers[i].ControllerPort = true, 23001+i
	}
	seen := spec.Observation{At: time.Unix(1000, 0), Reachable: true, Partitions: striped(3, 8, factor, n)}
	for i := range seen.Partitions {
		seen.Partitions[i].Bytes = 10 << 20
		seen.Partitions[i].MinInSync = max(1, factor-1)
	}
	for _, b := range c.Brokers {
		seen.Brokers = append(seen.Brokers, spec.BrokerObservation{ID: b.ID, ProcessAlive: true, Registered: true, DataDirPresent: true, DiskUsedBytes: 1 << 30})
	}
	return Picture{Cluster: c, Seen: seen}
}

// down takes a broker away as a crash does.
func (p Picture) down(id int32) Picture {
	p.Seen.Brokers = slices.Clone(p.Seen.Brokers)
	for i := range p.Seen.Brokers {
		if p.Seen.Brokers[i].ID == id {
			p.Seen.Brokers[i].ProcessAlive, p.Seen.Brokers[i].Fenced = false, true
		}
	}
	p.Seen.Partitions = slices.Clone(p.Seen.Partitions)
	for i := range p.Seen.Partitions {
		part := &p.Seen.Partitions[i]
		part.ISR = slices.DeleteFunc(slices.Clone(part.ISR), func(x int32) bool { return x == id && len(part.ISR) > 1 })
		if part.Leader == id {
			part.Leader = -1
			if part.ISR[0] != id {
				part.Leader = part.ISR[0]
			}
		}
	}
	return p
}

func kinds(pl spec.Plan) string {
	var out []string
	for _, s := range pl.Steps {
		k := string(s.Kind)
		if s.Args.Broker != 0 {
			k += fmt.Sprint(" ", s.Args.Broker)
		} else if s.Kind == spec.StepStopBroker {
			k += fmt.Sprint(" ", s.Args.Brokers)
		}
		out = append(out, k)
	}
	return strings.Join(out, ", ")
}

func TestScaleOut(t *testing.T) {
	pl := Scale(picture(3, 3), ScaleRequest{Add: brokers(4, 2), ThrottleBytesPerSecond: 20 << 20})
	want := "prepare-engine, declare-brokers, provision-broker 4, provision-broker 5, start-broker 4, start-broker 5, await-brokers, reassign, elect-leaders"
	if kinds(pl) != want {
		t.Errorf("got  %s\nwant %s", kinds(pl), want)
	}
	if pl.Impossible != "" || pl.BytesToMove != 28*10<<20 || pl.PartitionsToMove < 14 || pl.Restarts != 0 || len(pl.Risks) != 0 || pl.Undo == "" {
		t.Errorf("%+v", pl)
	}
	if pl.EstimatedSeconds != 14*10/20+5+4+12 {
		t.Errorf("%d s", pl.EstimatedSeconds)
	}
	for _, s := range pl.Steps {
		if s.Kind == spec.StepReassign && s.Args.ThrottleBytesPerSecond != 20<<20 {
			t.Error("the throttle is lost")
		}
		if s.Kind == spec.StepReassign && !strings.HasSuffix(s.Title, ", 280.0 MiB, at most 20.0 MiB/s to or from a broker") {
			t.Errorf("the limit is not said: %s", s.Title)
		}
		if s.Title == "" {
			t.Errorf("%s has no title", s.Kind)
		}
	}
}

func TestScaleIn(t *testing.T) {
	p := picture(5, 3)
	pl := Scale(p, ScaleRequest{Remove: ToRemove(&p.Cluster, 2)})
	want := "reassign, elect-leaders, check-empty 4, stop-broker 4, unregister-broker 4, forget-broker 4, " +
		"check-empty 5, stop-broker 5, unregister-broker 5, forget-broker 5"
	if kinds(pl) != want {
		t.Errorf("got  %s\nwant %s (%s)", kinds(pl), want, pl.Impossible)
	}
	if got := pl.Steps[0].Args.Drain; !slices.Equal(got, []int32{4, 5}) {
		t.Errorf("drains %v", got)
	}
	for _, m := range pl.Steps[0].Args.Moves {
		if slices.Contains(m.To, 4) || slices.Contains(m.To, 5) || len(m.To) != 3 {
			t.Errorf("%+v", m)
		}
	}
}

// TestImpossible wants the reason, and no steps.
func TestImpossible(t *testing.T) {
	unreachable := picture(3, 3)
	unreachable.Seen.Reachable, unreachable.Seen.Why = false, "connection refused"
	stopped := picture(3, 3)
	stopped.Cluster.State = spec.Stopped
	small := picture(3, 1)
	for i := range small.Seen.Brokers {
		small.Seen.Brokers[i].DiskUsedBytes = 9 << 30
	}
	four := picture(4, 2)
	for i := range four.Seen.Brokers {
		four.Seen.Brokers[i].DiskUsedBytes = 9 << 30
	}
	needy := picture(5, 3)
	needy.Cluster.Settings = map[string]string{"min.insync.replicas": "4"}
	create := picture(2, 1).Cluster
	create.Settings = map[string]string{"default.replication.factor": "3"}
	voter := brokers(4, 1)
	voter[0].Controller, voter[0].ControllerPort = true, 23009
	idle := picture(3, 3)
	idle.Cluster = idle.Cluster.WithStopped(true, 2)
	taken := brokers(4, 1)
	taken[0].ClientPort = 20001
	for name, tc := range map[string]struct {
		pl   spec.Plan
		says string
	}{
		"three, RF 3, remove one": {Scale(picture(3, 3), ScaleRequest{Remove: []int32{3}}), "has replication factor 3, and 2 brokers would remain: lower its replication factor, or keep 3"},
		"five to two":             {Scale(picture(5, 3), ScaleRequest{Remove: []int32{3, 4, 5}}), "replication factor 3, and 2 brokers"},
		"a controller":            {Scale(picture(4, 2), ScaleRequest{Remove: []int32{2}}), "broker 4 could go"},
		"last":                    {Scale(picture(1, 1), ScaleRequest{Remove: []int32{1}}), "delete the cluster instead"},
		"unknown":                 {Scale(picture(3, 1), ScaleRequest{Remove: []int32{9}}), "has no broker 9"},
		"both ways":               {Scale(picture(3, 1), ScaleRequest{Remove: []int32{3}, Add: brokers(4, 1)}), "not both"},
		"throttle":                {Scale(picture(3, 1), ScaleRequest{Add: brokers(4, 1), ThrottleBytesPerSecond: 10}), "might never end"},
		"unreachable":             {Scale(unreachable, ScaleRequest{Add: brokers(4, 1)}), "connection refused"},
		"stopped":                 {Scale(stopped, ScaleRequest{Add: brokers(4, 1)}), "start it first"},
		"exists":                  {Scale(picture(3, 1), ScaleRequest{Add: brokers(3, 1)}), "exists already"},
		"new voter":               {Scale(picture(3, 1), ScaleRequest{Add: voter}), "cannot join the metadata quorum"},
		"port taken":              {Scale(picture(3, 1), ScaleRequest{Add: taken}), "is the port of brokers[0].clientPort"},
		"disk":                    {Scale(four, ScaleRequest{Remove: []int32{4}}), "more than 90 %"},
		"setting":                 {Scale(needy, ScaleRequest{Remove: []int32{4, 5}}), "min.insync.replicas is 4"},
		"only copy is down":       {Scale(picture(5, 1).down(5), ScaleRequest{Remove: []int32{5}}), "its records are lost"},
		"no majority":             {Scale(picture(3, 3).down(1).down(2), ScaleRequest{Add: brokers(4, 1)}), "no majority"},
		"create too few":          {Create(create), "default.replication.factor is 3, and there are 2 brokers"},
		"create invalid":          {Create(spec.Cluster{}), "name"},
		"restart, second voter":   {RestartBroker(picture(3, 3).down(1), 2), "bring the others back first"},
		"restart unreachable":     {RestartBroker(unreachable, 2), "does not answer"},
		"restart unknown":         {RestartBroker(picture(3, 3), 7), "has brokers 1, 2, 3"},
		"replace the only one":    {ReplaceBroker(picture(1, 1), 1), "is the only one"},
		"replace the only copy":   {ReplaceBroker(picture(4, 1), 4), "would lose acknowledged records"},
		"replace without vote":    {ReplaceBroker(picture(3, 3).down(1), 2), "cannot be replaced"},
		"start unknown":           {StartBroker(picture(3, 3), 7), "no broker 7"},
		"stop unknown":            {StopBroker(picture(3, 3), 7), "no broker 7"},
		"drill on the stopped":    {KillBroker(idle, 2), "is stopped"},
		"drill without majority":  {KillBroker(picture(3, 3).down(1), 2), "must not die now"},
		"kill unknown":            {KillAndRestart(picture(3, 3), 7), "no broker 7"},
	} {
		if !strings.Contains(tc.pl.Impossible, tc.says) || len(tc.pl.Steps) != 0 {
			t.Errorf("%s: %q with %d steps, want %q", name, tc.pl.Impossible, len(tc.pl.Steps), tc.says)
		}
	}
}

func TestSteps(t *testing.T) {
	stopped := picture(3, 3)
	stopped.Cluster.State = spec.Stopped
	await := ", await-brokers, await-in-sync, elect-leaders"
	for name, tc := range map[string]struct {
		pl   spec.Plan
		want string
	}{
		"create": {Create(picture(4, 1).Cluster), "prepare-engine, provision-broker 1, provision-broker 2, provision-broker 3, provision-broker 4, " +
			"start-broker 1, start-broker 2, start-broker 3, start-broker 4, await-brokers"},
		"stop":         {Stop(picture(4, 1)), "declare-stopped, stop-broker [4], stop-broker [1 2 3]"},
		"stop again":   {Stop(stopped), ""},
		"start":        {Start(stopped), "declare-started, start-broker 1, start-broker 2, start-broker 3" + await},
		"delete":       {Delete(picture(2, 1)), "declare-stopped, stop-broker [2], stop-broker [1], remove-cluster"},
		"restart":      {RestartBroker(picture(3, 3), 2), "await-in-sync, stop-broker 2, start-broker 2" + await},
		"restart dead": {RestartBroker(picture(3, 3).down(2), 2), "stop-broker 2, start-broker 2" + await},
		"restart one":  {RestartBroker(picture(1, 1), 1), "stop-broker 1, start-broker 1" + await},
		"stop broker":  {StopBroker(picture(3, 3), 2), "declare-stopped, stop-broker 2"},
		"start broker": {StartBroker(picture(3, 3), 2), "declare-started, start-broker 2" + await},
		"kill":         {KillAndRestart(picture(3, 3), 2), "kill-broker 2, declare-started, start-broker 2" + await},
		"drill":        {KillBroker(picture(3, 3), 2), "kill-broker 2"},
		"replace":      {ReplaceBroker(picture(3, 3).down(2), 2), "kill-broker 2, wipe-broker 2, provision-broker 2, start-broker 2" + await},
		"same size":    {Scale(picture(3, 3), ScaleRequest{}), ""},
	} {
		if got := kinds(tc.pl); got != tc.want || tc.pl.Impossible != "" {
			t.Errorf("%s:\n got  %s\n want %s (%s)", name, got, tc.want, tc.pl.Impossible)
		}
		if tc.pl.Summary == "" || (len(tc.pl.Steps) > 0 && (tc.pl.Undo == "" || tc.pl.EstimatedSeconds <= 0)) {
			t.Errorf("%s: summary %q, undo %q, %d s", name, tc.pl.Summary, tc.pl.Undo, tc.pl.EstimatedSeconds)
		}
	}
}

func TestRisksAreSaid(t *testing.T) {
	noTLS := picture(1, 1).Cluster
	noTLS.Secured = false
	for name, tc := range map[string]struct {
		pl   spec.Plan
		says string
	}{
		"offline":    {RestartBroker(picture(3, 1), 2), "8 partitions are offline meanwhile"},
		"no writes":  {RestartBroker(picture(4, 3).down(4), 2), "refuse writes"},
		"thinner":    {RestartBroker(picture(3, 3), 2), "one replica fewer"},
		"vote":       {StopBroker(picture(3, 3).down(1), 2), "stops deciding"},
		"delete":     {Delete(picture(3, 3)), "3 topics with 240.0 MiB"},
		"down":       {Scale(picture(4, 2).down(4), ScaleRequest{Add: brokers(5, 1)}), "Broker 4 is down"},
		"unthrottle": {Scale(picture(3, 3), ScaleRequest{Add: brokers(4, 1)}), "Nothing throttles"},
		"insecure":   {Create(noTLS), "no TLS"},
		"one voter":  {Scale(picture(1, 1), ScaleRequest{Add: brokers(2, 2)}), "keeps its 1 voter"},
	} {
		if all := strings.Join(tc.pl.Risks, "\n"); !strings.Contains(all, tc.says) {
			t.Errorf("%s: %q does not say %q (%s)", name, all, tc.says, tc.pl.Impossible)
		}
	}
}

func TestChoices(t *testing.T) {
	p := picture(5, 3)
	for i := range p.Cluster.Brokers {
		p.Cluster.Brokers[i].Rack = []string{"a", "b", "c"}[i%3]
	}
	if got := NextRack(&p.Cluster); got != "c" {
		t.Errorf("rack %q", got)
	}
	if got := ToRemove(&p.Cluster, 1); !slices.Equal(got, []int32{5}) {
		t.Errorf("remove %v", got)
	}
	if got := ToRemove(&p.Cluster, 9); !slices.Equal(got, []int32{4, 5}) {
		t.Errorf("remove %v: controllers stay", got)
	}
	less := p.Cluster.WithoutBroker(2)
	if got := NextIDs(&less, 2); !slices.Equal(got, []int32{2, 6}) {
		t.Errorf("ids %v", got)
	}
	plain := picture(3, 1).Cluster
	if got := NextRack(&plain); got != "" {
		t.Errorf("rack %q of a cluster without racks", got)
	}
}

// TestPure plans twice and compares, and looks whether the input changed.
func TestPure(t *testing.T) {
	p, before := picture(4, 2), picture(4, 2)
	a := Scale(p, ScaleRequest{Add: brokers(5, 2)})
	b := Scale(p, ScaleRequest{Add: brokers(5, 2)})
	if d := cmp.Diff(a, b); d != "" {
		t.Error(d)
	}
	Scale(p, ScaleRequest{Remove: []int32{4}})
	ReplaceBroker(p, 2)
	if d := cmp.Diff(before, p); d != "" {
		t.Error("the input changed:", d)
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 1023: "1023 B", 1536: "1.5 KiB", 1 << 30: "1.0 GiB", 1 << 62: "4.0 EiB"} {
		if got := Size(n); got != want {
			t.Errorf("%d: %s", n, got)
		}
	}
}
