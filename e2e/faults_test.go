//go:build e2e && linux

package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// sceneFaults are what happens to the cluster, by name. Each returns when it has ended.
var sceneFaults = map[string]func(*scene){
	"kill":              func(s *scene) { s.without(s.any(), "kill") },
	"kill all":          (*scene).killAll,
	"kill controller":   func(s *scene) { s.without(s.controller(), "kill") },
	"rolling restart":   (*scene).rollingRestart,
	"freeze":            func(s *scene) { s.freeze(s.any()) },
	"freeze controller": func(s *scene) { s.freeze(s.controller()) },
	"cut off":           func(s *scene) { s.cut(s.land.isolating(s.any(), true, true, true)) },
	"cut controller":    func(s *scene) { s.cut(s.land.isolating(s.controller(), true, true, false)) },
	"cut one way out":   func(s *scene) { s.cut(s.land.isolating(s.any(), true, false, false)) },
	"cut one way in":    func(s *scene) { s.cut(s.land.isolating(s.any(), false, true, false)) },
	"cut between two":   (*scene).cutBetweenTwo,
	"slow link":         (*scene).slowLink,
	"full disk":         func(s *scene) { s.fullDisk("small") },
	"full metadata":     func(s *scene) { s.fullDisk("data") },
	"wiped disks":       (*scene).wipe,
	"reassign":          (*scene).reassign,
}

// TestFaultsInNetworks has producers and a group work on three nodes while processes, networks and disks fail. Nothing that
// was acknowledged is lost or doubled, no acknowledged commit is lost, no send fails, and all is well soon after each fault.
// WEIR_CLUSTER_MINUTES says for how long; without it a few faults are played once, and others by the tests beside this one.
func TestFaultsInNetworks(t *testing.T) {
	if !inOwnNetwork(t) {
		return
	}
	names := []string{"cut one way out", "full disk"}
	if os.Getenv("WEIR_CLUSTER_MINUTES") != "" {
		names = nil
	}
	// A member of each protocol, so that the group is a consumer group (KIP-848) with a classic member.
	s := newScene(t, staging{members: [][]kgo.Opt{{}, {kgo.ServerSideBalancer(), kgo.Balancers(kgo.CooperativeStickyBalancer())}}})
	s.play(names)
	s.judge()
}

// play plays faults in a random order, each once or for as long as WEIR_CLUSTER_MINUTES says. None named: all, or those that
// WEIR_CLUSTER_FAULTS names.
func (s *scene) play(names []string) { s.playFor(names, faultMinutes(s.t)) }

func (s *scene) playFor(names []string, length time.Duration) {
	s.t.Helper()
	if names == nil {
		names = slices.Sorted(maps.Keys(sceneFaults))
	}
	if only := os.Getenv("WEIR_CLUSTER_FAULTS"); only != "" {
		names = strings.Split(only, ",")
	}
	for end, i := time.Now().Add(length), 0; i < len(names) && length == 0 || time.Now().Before(end); i++ {
		if i%len(names) == 0 {
			s.rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		}
		s.fault(names[i%len(names)])
	}
}

// fault plays one fault and waits until all is well again.
func (s *scene) fault(name string) {
	s.t.Helper()
	s.faults[name]++
	begin := time.Now()
	sceneFaults[name](s)
	ended := time.Now()
	s.healthy(name)
	s.worst[name] = max(s.worst[name], time.Since(ended).Round(time.Millisecond))
	s.t.Logf("%s: %.1f s, all well after %.1f s more; %d records", name, ended.Sub(begin).Seconds(), time.Since(ended).Seconds(), s.load.Acked())
	if s.rng.IntN(3) == 0 {
		elect(s.ctx, s.t, s.adm)
	}
}

// without ends a node, has the others go on, and starts it again.
func (s *scene) without(node int, how string) {
	s.t.Helper()
	b := s.nodes[node-1]
	end(s.t, b, how)
	s.goesOn(s.ctx, fmt.Sprintf("without node %d", node))
	s.start(node)
}

// killAll ends all nodes at the same moment. They have lost nothing, and all but any one of them go on without it.
func (s *scene) killAll() {
	s.t.Helper()
	for _, b := range s.nodes {
		if err := syscall.Kill(b.PID(), syscall.SIGKILL); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, b := range s.nodes {
		b.Kill()
	}
	order := s.rng.Perm(len(s.nodes))
	others, late := order[1:], order[0]
	failed := make(chan error, len(others))
	for _, i := range others {
		go func() { failed <- s.nodes[i].Run(s.ctx) }()
	}
	for range others {
		if err := <-failed; err != nil {
			s.t.Fatalf("start all nodes but one again: %v", err)
		}
	}
	s.goesOn(s.ctx, fmt.Sprintf("without node %d, which was killed with the others", late+1))
	s.start(late + 1)
}

func (s *scene) start(node int) {
	s.t.Helper()
	if err := s.nodes[node-1].Run(s.ctx); err != nil {
		s.t.Fatalf("start node %d again: %v", node, err)
	}
}

func (s *scene) rollingRestart() {
	s.t.Helper()
	for _, i := range s.rng.Perm(len(s.nodes)) {
		if err := s.nodes[i].Stop(); err != nil {
			s.t.Error(err)
		}
		s.start(i + 1)
		s.healthy(fmt.Sprintf("the restart of node %d", i+1))
	}
}

// freeze stops a process for longer than its session.
func (s *scene) freeze(node int) {
	s.t.Helper()
	pid := s.nodes[node-1].PID()
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		s.t.Fatal(err)
	}
	defer func() {
		if err := syscall.Kill(pid, syscall.SIGCONT); err != nil {
			s.t.Fatal(err)
		}
	}()
	s.hold(fmt.Sprintf("node %d is frozen", node))
}

// cut loses all that goes these ways.
func (s *scene) cut(ways []link) {
	s.t.Helper()
	for _, w := range ways {
		s.land.cut(w.from, w.to)
	}
	s.hold(fmt.Sprintf("nothing goes %v", ways))
	for _, w := range ways {
		s.land.mend(w.from, w.to)
	}
}

// cutBetweenTwo leaves the third node as the only one that sees both others.
func (s *scene) cutBetweenTwo() {
	s.t.Helper()
	p := s.rng.Perm(len(s.nodes))
	s.cut([]link{{p[0] + 1, p[1] + 1}, {p[1] + 1, p[0] + 1}})
}

func (s *scene) slowLink() {
	s.t.Helper()
	node := s.any()
	s.land.degrade(node)
	s.hold(fmt.Sprintf("node %d is slow", node))
	s.land.restore(node)
}

// fullDisk fills one of a node's disks, and frees it when the others have gone on. The node, or its directory, is given up.
func (s *scene) fullDisk(disk string) {
	s.t.Helper()
	node := s.any()
	b := s.nodes[node-1]
	free := fill(s.t, filepath.Join(b.Dir, disk))
	s.hold(fmt.Sprintf("node %d has a full disk", node))
	free()
	s.t.Logf("node %d with a full disk (%s) lives: %v", node, disk, b.Running())
	if err := b.Stop(); err != nil {
		s.t.Error(err)
	}
	s.start(node)
}

// wipe gives a node new, empty disks while it is down: what it had comes back from the others.
func (s *scene) wipe() {
	s.t.Helper()
	node := s.any()
	b := s.nodes[node-1]
	end(s.t, b, "kill")
	s.goesOn(s.ctx, fmt.Sprintf("without node %d", node))
	if err := b.Wipe(s.ctx, filepath.Join(b.Dir, "data"), filepath.Join(b.Dir, "small")); err != nil {
		s.t.Fatal(err)
	}
	s.start(node)
}

// reassign takes a replica off each partition, and gives it back in another order while a node is killed.
func (s *scene) reassign() {
	s.t.Helper()
	s.assign(2)
	await(s.t, s.ctx, "no reassignment goes on", func() bool {
		all, err := s.adm.ListPartitionReassignments(s.ctx, nil)
		return err == nil && len(all) == 0
	})
	s.assign(3)
	s.without(s.any(), "kill")
}

// assign gives every partition that many of the nodes, in a random order.
func (s *scene) assign(replicas int) {
	s.t.Helper()
	var plan kadm.AlterPartitionAssignmentsReq
	for topic, partitions := range s.topics {
		for p := range int32(partitions) {
			var to []int32
			for _, i := range s.rng.Perm(s.brokers)[:replicas] {
				to = append(to, int32(i+1))
			}
			plan.Assign(topic, p, to)
		}
	}
	await(s.t, s.ctx, "the reassignment is taken", func() bool {
		all, err := s.adm.AlterPartitionAssignments(s.ctx, plan)
		return err == nil && all.Error() == nil
	})
}
