package group

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestLoadsWhatKafkaWrote loads a partition of __consumer_offsets that Apache Kafka 4.3.1 wrote: offsets of groups
// without members, a classic group from its first member to its deletion, static members, a deleted topic, offsets
// in a committed and in an aborted transaction, and groups of the consumer protocol, one with a member and one
// without.
func TestLoadsWhatKafkaWrote(t *testing.T) {
	segment, err := os.ReadFile("testdata/kafka-4.3.1-offsets.log")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		b := &bench{cfg: DefaultConfig(), settings: GroupSettings{SessionTimeout: 45 * time.Second}}
		if err := b.logs.Log(0).Load(segment); err != nil {
			t.Fatal(err)
		}
		b.start()
		defer b.crash()
		synctest.Wait()
		var got []string
		for i := range b.c.Groups(t.Context()) {
			got = append(got, strings.TrimSpace(i.Group+" "+i.Type+" "+i.State+offsetsLine(i.Offsets)))
		}
		want := []string{
			"classic Empty u/0=5", // the group with the empty id
			"nope classic Empty",
			"s classic Empty t/1=110(m) u/0=5 u/1=5",
			"st classic Empty",
			"txg classic Empty t/0=42", // t/1 was aborted
			"v0 classic Empty",
			"new1 consumer Stable",
			"new2 consumer Empty",
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Fatalf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		b.c.DescribeConsumerGroups([]string{"new1", "new2", "s"}, func(ds []ConsumerDescription) {
			for _, d := range ds {
				b.say("%s %s %d %d %s %d %v", d.Group, d.State, d.Epoch, d.TargetEpoch, d.Assignor, len(d.Members), d.Err)
				for _, m := range d.Members {
					b.say("%s %d %d %v %d %d", m.ClientID, m.Member.Epoch, m.State, m.Topics, m.Owned.Len(), m.Target.Len())
				}
			}
		})
		const members = "new1 Stable 2 2 uniform 1 <nil>\nkgo 2 0 [t] 2 2\nnew2 Empty 3 2 uniform 0 <nil>\ns  0 0  0 Group s is not a consumer group.\n"
		if got := b.heard(); got != members {
			t.Fatalf("got\n%swant\n%s", got, members)
		}
	})
}
