//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-stream/weir/internal/testkit/brokers"
)

// dynamicNodes makes, but does not start, nodes of a dynamic quorum: the first three are its initial controllers, the others
// have no place in it yet.
func dynamicNodes(t *testing.T, count int) (all []*brokers.Broker, directories []string) {
	t.Helper()
	binary, err := filepath.Abs("../bin/weir")
	if err != nil {
		t.Fatal(err)
	}
	var seeds, initial []string
	next := 22600
	for i := range count {
		var ports [2]int
		for j := range ports {
			if ports[j], err = brokers.FreePort(next); err != nil {
				t.Fatal(err)
			}
			next = ports[j] + 1
		}
		b := &brokers.Broker{Config: brokers.Config{Binary: binary, Dir: filepath.Join(t.TempDir(), fmt.Sprint("node", i+1))},
			Addr: fmt.Sprintf("127.0.0.1:%d", ports[0]), Controller: ports[1]}
		all = append(all, b)
		if i < 3 {
			directories = append(directories, strings.TrimSpace(tool(t, binary, "kafka-storage", "random-uuid")))
			seeds = append(seeds, fmt.Sprintf("127.0.0.1:%d", ports[1]))
			initial = append(initial, fmt.Sprintf("%d@127.0.0.1:%d:%s", i+1, ports[1], directories[i]))
		}
	}
	for i, b := range all {
		if err := os.MkdirAll(filepath.Join(b.Dir, "logs"), 0o755); err != nil {
			t.Fatal(err)
		}
		props := strings.Join([]string{
			"process.roles=broker,controller", fmt.Sprint("node.id=", i+1), "controller.quorum.bootstrap.servers=" + strings.Join(seeds, ","),
			"controller.listener.names=CONTROLLER", fmt.Sprintf("listeners=PLAINTEXT://%s,CONTROLLER://127.0.0.1:%d", b.Addr, b.Controller),
			"log.dirs=" + b.DataDir(), "offsets.topic.num.partitions=4",
		}, "\n")
		if err := os.WriteFile(b.PropsFile(), []byte(props+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		how := []string{"--no-initial-controllers"}
		if i < 3 {
			how = []string{"--initial-controllers", strings.Join(initial, ",")}
		}
		tool(t, binary, append([]string{"kafka-storage", "format", "-t", "5L6g3nShT-eMCtK--X86sw", "-c", b.PropsFile()}, how...)...)
		t.Cleanup(func() {
			if t.Failed() {
				t.Logf("node %d:\n%s", i+1, b.LogTail(15))
			}
			b.Kill()
		})
	}
	return all, directories
}

// tool runs one of Weir's tools, which must succeed, and returns what it printed.
func tool(t *testing.T, binary string, args ...string) string {
	t.Helper()
	out, err := exec.Command(binary, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return string(out)
}

// TestVoters: a fourth controller is added by kafka-metadata-quorum, the leader is removed, and then killed nodes are
// spared by the voters that are left; records go on being acknowledged.
func TestVoters(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	all, directories := dynamicNodes(t, 4)
	errs := make([]error, len(all))
	var wg sync.WaitGroup
	for i, b := range all {
		wg.Go(func() { errs[i] = b.Run(ctx) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(all[0].Addr, all[1].Addr, all[2].Addr, all[3].Addr), kgo.MetadataMinAge(50*time.Millisecond),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	await(t, ctx, "the topic is made", func() bool {
		_, err := adm.CreateTopic(ctx, 4, 3, nil, "t")
		return err == nil || strings.Contains(err.Error(), "EXISTS")
	})
	load := watchGaps(cl, "t", 4)
	defer func() { load.stop(); load.wait.Wait() }()

	server := func(b *brokers.Broker) []string {
		return []string{"kafka-metadata-quorum", "--bootstrap-server", b.Addr}
	}
	out := tool(t, all[0].Binary, append(server(all[0]), "--command-config", all[3].PropsFile(), "add-controller")...)
	if !strings.Contains(out, "Added controller 4 with directory id ") {
		t.Errorf("add-controller said %q", out)
	}
	status := func(b *brokers.Broker) string {
		return tool(t, b.Binary, append(server(b), "describe", "--status")...)
	}
	leader := 0
	for i := range 4 {
		if strings.Contains(status(all[0]), fmt.Sprintf("LeaderId:               %d\n", i+1)) {
			leader = i
		}
	}
	if leader == 3 {
		t.Fatal("the added controller leads already")
	}
	out = tool(t, all[0].Binary, append(server(all[3]), "remove-controller", "-i", fmt.Sprint(leader+1), "-d", directories[leader])...)
	if !strings.Contains(out, fmt.Sprintf("KRaft controller %d with directory id %s", leader+1, directories[leader])) {
		t.Errorf("remove-controller said %q", out)
	}
	after := status(all[3])
	voters, _, _ := strings.Cut(after[strings.Index(after, "CurrentVoters:"):], "\n")
	if strings.Contains(voters, directories[leader]) || strings.Count(voters, `"id"`) != 3 {
		t.Errorf("after the removal: %s", after)
	}
	// The quorum is the other three now: it bears the loss of the removed one and of one more.
	all[leader].Kill()
	all[(leader+1)%3].Kill()
	at := time.Now()
	await(t, ctx, "a topic can be made", func() bool {
		_, err := adm.CreateTopic(ctx, 1, 2, nil, "after")
		return err == nil || strings.Contains(err.Error(), "EXISTS")
	})
	for p := range int32(4) {
		await(t, ctx, "records are acknowledged again", func() bool { return load.count(p, at.Add(100*time.Millisecond)) > 20 })
	}
	t.Logf("FIGURE two of four nodes killed: the next topic was made after %v", time.Since(at))
}
