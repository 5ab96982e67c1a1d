//go:build e2e && linux

package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The build that TestUpgradeAndDowngrade begins with: a program, or a commit of this repository from which it is built.
const (
	oldBinVariable = "WEIR_OLD_BIN"
	oldRefVariable = "WEIR_OLD_REF"
)

// buildOf builds the program as it was at a commit.
func buildOf(t *testing.T, ref string) string {
	t.Helper()
	dir := t.TempDir()
	shell := func(line string) {
		cmd := exec.Command("bash", "-c", "set -eo pipefail; "+line)
		cmd.Env = append(os.Environ(), "REF="+ref, "DIR="+dir, "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s of %s: %v\n%s", line, ref, err, out)
		}
	}
	shell(`cd "$(git rev-parse --show-toplevel)" && mkdir "$DIR/src" && git archive "$REF" | tar -x -C "$DIR/src"`)
	shell(`cd "$DIR/src" && go build -buildvcs=false -trimpath -o "$DIR/weir" ./cmd/weir`)
	return filepath.Join(dir, "weir")
}

// TestUpgradeAndDowngrade has three nodes of an older build go to this one and back, one by one, stopped or killed, under a load of
// idempotent producers and a group and under all faults while builds are mixed. Nothing is lost, doubled or refused.
func TestUpgradeAndDowngrade(t *testing.T) {
	old := os.Getenv(oldBinVariable)
	if old == "" {
		ref := os.Getenv(oldRefVariable)
		if ref == "" {
			t.Skipf("neither %s nor %s says what to begin with", oldBinVariable, oldRefVariable)
		}
		old = buildOf(t, ref)
		t.Setenv(oldBinVariable, old) // for the process in its own network
	}
	if !inOwnNetwork(t) {
		return
	}
	young, err := filepath.Abs("../bin/weir")
	if err != nil {
		t.Fatal(err)
	}
	s := newScene(t, staging{binary: old, plain: true})
	u := &upgrade{scene: s}
	u.change()
	for _, to := range []string{young, old} {
		u.roll(to)
	}
	u.agree()
	s.judge()
}

// upgrade changes the metadata now and then, so that each build leaves records for the other.
type upgrade struct {
	*scene
	changes int
}

// roll has all nodes run another build, one by one, with faults in between and a kill in the middle.
func (u *upgrade) roll(to string) {
	u.t.Helper()
	names := []string{"kill", "kill controller", "reassign"}
	length := faultMinutes(u.t) / 6
	if length > 0 {
		names = slices.Sorted(maps.Keys(sceneFaults))
		names = slices.DeleteFunc(names, func(name string) bool { return name == "kill all" }) // older builds do not promise to bear it
	}
	order := u.rng.Perm(len(u.nodes))
	for i, n := range order {
		how := []string{"stop", "kill"}[u.rng.IntN(2)]
		end(u.t, u.nodes[n], how)
		u.goesOn(u.ctx, fmt.Sprintf("without node %d", n+1))
		u.nodes[n].Binary = to
		u.start(n + 1)
		if i == len(order)/2 { // in the middle of the roll, another one dies before all is well
			last := order[len(order)-1]
			end(u.t, u.nodes[last], "kill")
			u.start(last + 1)
		}
		u.t.Logf("node %d (%s) runs %s", n+1, how, to)
		u.healthy("the change of the build")
		u.change()
		u.agree()
		u.playFor(names, length)
		u.change()
	}
}

// change makes and deletes a topic, and alters one and a user.
func (u *upgrade) change() {
	u.t.Helper()
	u.changes++
	name := func(n int) string { return fmt.Sprint("made-", n) }
	u.createTopic(name(u.changes), 2, map[string]string{"retention.ms": fmt.Sprint(3600000 + u.changes)})
	until := func(what string, try func() error) {
		u.t.Helper()
		await(u.t, u.ctx, what, func() bool {
			err := try()
			if err != nil {
				u.t.Logf("%s: %v", what, err)
			}
			return err == nil
		})
	}
	until("a setting is changed", func() error {
		value := fmt.Sprint(1000000 + u.changes)
		got, err := u.adm.AlterTopicConfigs(u.ctx, []kadm.AlterConfig{{Name: "max.message.bytes", Value: &value}}, "t")
		if err == nil {
			err = got[0].Err
		}
		return err
	})
	until("a user is changed", func() error {
		got, err := u.adm.AlterUserSCRAMs(u.ctx, nil, []kadm.UpsertSCRAM{{User: fmt.Sprint("user", u.changes%3), Mechanism: kadm.ScramSha256, Iterations: 4096, Password: name(u.changes)}})
		if err == nil {
			err = got.Error()
		}
		return err
	})
	if u.changes > 2 {
		until("a topic is deleted", func() error {
			got, err := u.adm.DeleteTopics(u.ctx, name(u.changes-2))
			if err == nil && got[name(u.changes-2)].Err != nil && !strings.Contains(got[name(u.changes-2)].Err.Error(), "UNKNOWN_TOPIC") {
				err = got[name(u.changes-2)].Err
			}
			return err
		})
	}
}

// agree waits until all brokers tell the same about the topics.
func (u *upgrade) agree() {
	u.t.Helper()
	ctx, cancel := context.WithTimeout(u.ctx, healthyWithin)
	defer cancel()
	await(u.t, ctx, "all brokers tell the same", func() bool {
		var first []string
		for i := range u.nodes {
			resp, err := u.cl.Broker(i+1).RetriableRequest(ctx, kmsg.NewPtrMetadataRequest())
			if err != nil {
				return false
			}
			var told []string
			for _, topic := range resp.(*kmsg.MetadataResponse).Topics {
				for _, p := range topic.Partitions {
					told = append(told, fmt.Sprint(*topic.Topic, topic.TopicID, p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR))
				}
			}
			slices.Sort(told)
			if i == 0 {
				first = told
			} else if !slices.Equal(first, told) {
				return false
			}
		}
		return len(first) > 0
	})
}
