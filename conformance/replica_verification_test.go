//go:build conform

package conformance

import (
	"bufio"
	"context"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/kafkadist"
	"github.com/weir-stream/weir/internal/testkit/brokers"
)

// TestReplicaVerification has the tools of both sides read all replicas of three Weir nodes beside each other.
func TestReplicaVerification(t *testing.T) {
	d := dist(t, kafkadist.Current)
	nodes, err := brokers.StartNodes(t.Context(), 3, brokers.Config{Binary: binary(t), Dir: t.TempDir(), Port: basePort + int(started.Add(3))*portsEach})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		for _, n := range nodes {
			n.Kill()
		}
	}()
	cl, err := kgo.NewClient(kgo.SeedBrokers(nodes[0].Addr), kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 3, 3, nil, "verified"); err != nil {
		t.Fatal(err)
	}
	for range 300 {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "verified", Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"--broker-list", nodes[0].Addr, "--time", "-2", "--topics-include", "verified", "--report-interval-ms", "500", "--max-wait-ms", "100"}
	equal := regexp.MustCompile(`^[\d-]+ [\d:,]+: max lag is 0 for partition verified-\d at offset 100 among 3 partitions$`)
	for name, command := range map[string]func(context.Context) *exec.Cmd{
		"apache": func(ctx context.Context) *exec.Cmd {
			return d.Command(ctx, "kafka-run-class", append([]string{"org.apache.kafka.tools.ReplicaVerificationTool"}, args...)...)
		},
		"weir": func(ctx context.Context) *exec.Cmd {
			return exec.CommandContext(ctx, binary(t), append([]string{"kafka-replica-verification"}, args...)...)
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		cmd := command(ctx)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var lines []string
		found := false
		for s := bufio.NewScanner(out); !found && s.Scan(); {
			lines = append(lines, s.Text())
			found = equal.MatchString(s.Text())
		}
		cancel()
		_ = cmd.Wait() // it was stopped
		if !found || strings.Contains(strings.Join(lines, "\n"), "match") {
			t.Errorf("%s: no line %s, or replicas that differ:\n%s", name, equal, strings.Join(lines, "\n"))
		}
	}
}
