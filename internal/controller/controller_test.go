package controller

import (
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/wire"
)

func TestCreateCommitRestart(t *testing.T) {
	k := newCluster(t)
	k.broker(1, -1)
	r := k.create("orders", 3, 1, "retention.ms", "1000")
	topic := k.c.Image().TopicByName("orders")
	if topic == nil || topic.ID != r.TopicID || len(topic.Partitions) != 3 {
		t.Fatalf("published: %+v", topic)
	}
	for i, p := range topic.Partitions {
		if p.Leader != 1 || !slices.Equal(p.ISR, []int32{1}) || p.Directories[0] != (image.UUID{1, 0xd1}) || p.LeaderEpoch != 0 {
			t.Errorf("partition %d: %+v", i, p)
		}
	}
	if got := k.c.Image().Config(image.TopicConfig, "orders")["retention.ms"]; got != "1000" {
		t.Errorf("retention.ms = %q", got)
	}
	for _, power := range []bool{false, true} {
		k.stop(power)
		k.start()
		if again := k.c.Image().TopicByName("orders"); again == nil || again.ID != r.TopicID || len(again.Partitions) != 3 {
			t.Fatalf("after a restart, power %v: %+v", power, again)
		}
	}
}

// TestLeadersAfterKill is rule A13: a replication factor of one, killed without warning, gets all its leaders back.
func TestLeadersAfterKill(t *testing.T) {
	k := newCluster(t)
	k.broker(1, -1)
	k.create("orders", 5, 1)
	k.stop(true)
	k.start()
	k.register(1, -1)
	for i, p := range k.c.Image().TopicByName("orders").Partitions {
		if p.Leader != image.NoLeader || len(p.ISR) != 0 || !slices.Equal(p.LastKnownELR, []int32{1}) {
			t.Errorf("partition %d before the broker is ready: %+v", i, p)
		}
	}
	k.beat(1, false, false)
	for i, p := range k.c.Image().TopicByName("orders").Partitions {
		if p.Leader != 1 || !slices.Equal(p.ISR, []int32{1}) || p.LeaderEpoch != 2 || len(p.LastKnownELR) != 0 {
			t.Errorf("partition %d: %+v", i, p)
		}
	}
}

func TestCleanRestartCostsNoRecords(t *testing.T) {
	k := newCluster(t)
	k.broker(1, -1)
	k.create("orders", 50, 1)
	if r := k.beat(1, false, true); !r.ShouldShutdown || !r.IsFenced {
		t.Errorf("controlled shutdown of the only broker: %+v", r)
	}
	before := k.epochs[1]
	k.stop(false)
	k.start()
	offset := k.c.Image().Offset()
	k.broker(1, before)
	if n := k.c.Image().Offset() - offset; n != 2 {
		t.Errorf("%d records for a clean return, want 2 (registered, unfenced)", n)
	}
	for i, p := range k.c.Image().TopicByName("orders").Partitions {
		if p.Leader != 1 || p.LeaderEpoch != 0 {
			t.Errorf("partition %d: %+v", i, p)
		}
	}
}

func TestConcurrentCreates(t *testing.T) {
	k := newCluster(t)
	k.broker(1, -1)
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			k.create(fmt.Sprintf("t%d", i), 2, 1)
			if k.c.Image().TopicByName(fmt.Sprintf("t%d", i)) == nil {
				t.Errorf("t%d is answered but not published", i)
			}
		}()
	}
	wg.Wait()
	if k.c.Image().TopicCount() != 200 || k.c.Image().PartitionCount() != 400 {
		t.Errorf("%d topics, %d partitions", k.c.Image().TopicCount(), k.c.Image().PartitionCount())
	}
}

func TestCreateTopicErrors(t *testing.T) {
	k := newCluster(t)
	k.broker(1, -1)
	k.create("have.dots", 1, 1)
	for _, c := range []struct {
		name       string
		partitions int32
		factor     int16
		configs    []string
		code       wire.Code
		message    string
	}{
		{"have.dots", 1, 1, nil, wire.TopicAlreadyExists, "Topic 'have.dots' already exists."},
		{"have_dots", 1, 1, nil, wire.InvalidTopicException, "Topic 'have_dots' collides with existing topic: have.dots"},
		{"", 1, 1, nil, wire.InvalidTopicException, "Topic name is invalid: the empty string is not allowed"},
		{"..", 1, 1, nil, wire.InvalidTopicException, "Topic name is invalid: '..' is not allowed"},
		{"a b", 1, 1, nil, wire.InvalidTopicException, "Topic name is invalid: 'a b' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"},
		{"t", 0, 1, nil, wire.InvalidPartitions, "Number of partitions was set to an invalid non-positive value."},
		{"t", 1, 0, nil, wire.InvalidReplicationFactor, "Replication factor must be larger than 0, or -1 to use the default value."},
		{"t", 1, 3, nil, wire.InvalidReplicationFactor, "Unable to replicate the partition 3 time(s): The target replication factor of 3 cannot be reached because only 1 broker(s) are registered or some brokers have all their log directories cordoned."},
		{"t", 1, 1, []string{"no.such", "1"}, wire.InvalidConfig, "Unknown topic config name: no.such"},
	} {
		r := k.tryCreate(c.name, c.partitions, c.factor, c.configs...)
		if wire.Code(r.ErrorCode) != c.code || text(r.ErrorMessage) != c.message {
			t.Errorf("%q: %s %q\n want %s %q", c.name, wire.Code(r.ErrorCode), text(r.ErrorMessage), c.code, c.message)
		}
	}
	if k.c.Image().TopicCount() != 1 {
		t.Errorf("%d topics", k.c.Image().TopicCount())
	}
	if r := ask[*kmsg.CreateTopicsResponse](k, tooMany()).Topics[0]; wire.Code(r.ErrorCode) != wire.PolicyViolation {
		t.Errorf("10001 partitions: %+v", r)
	}
}

func tooMany() *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 7
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic, topic.NumPartitions, topic.ReplicationFactor = "big", 10001, 1
	req.Topics = append(req.Topics, topic)
	return req
}

// TestAnswerWaitsForCommit: an answer leaves when all that was proposed before it is committed and published, not sooner: also one that changed
// nothing itself may rest on it.
func TestAnswerWaitsForCommit(t *testing.T) {
	k := newCluster(t)
	done := make(chan []bool, 1)
	k.c.post(func() {
		applied, proposed := k.c.applied, k.c.proposed
		var seen []bool
		answered := false
		k.c.proposed = applied + 2
		k.c.settle(func(error) { answered = true })
		seen = append(seen, answered)
		k.c.published(applied + 1)
		seen = append(seen, answered)
		k.c.published(applied + 2)
		seen = append(seen, answered)
		k.c.applied, k.c.proposed = applied, proposed
		done <- seen
	})
	if got := <-done; !slices.Equal(got, []bool{false, false, true}) {
		t.Errorf("answered after it was proposed, half of it committed, all committed: %v", got)
	}
}
