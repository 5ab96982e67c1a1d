package group

import (
	"os"
	"strings"
	"testing"
	"testing/synctest"
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
		b := &bench{cfg: DefaultConfig()}
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
	})
}
