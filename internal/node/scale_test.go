package node

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/controller"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/testkit/kwire"
	"github.com/weir-stream/weir/internal/vfs"
)

// crowd is a whole node, broker 1 and the only voter, with its files in memory, in a cluster of many partitions. The other
// brokers only say that they are there. Broker 5 has ten partitions, however many there are.
type crowd struct {
	t      testing.TB
	n      *Node
	epochs map[int32]int64
	count  int
}

const (
	crowdPartitions = 6  // of a topic
	crowdHere       = 20 // of so many topics, one has its replicas on the node itself
)

func newCrowd(t testing.TB, partitions int) *crowd {
	t.Helper()
	set, _, err := config.Load(nil, []string{
		"broker.id=1", "listeners=PLAINTEXT://127.0.0.1:0", "log.dirs=/data", "broker.session.timeout.ms=3600000",
		"auto.leader.rebalance.enable=false", // by hand, where it is wanted
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	n, err := Start(ctx, Options{Config: set, FS: vfs.NewMem(), Logs: telemetry.NewLogs(t.Output(), slog.LevelError, false)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { (&member{n: n}).kill() }) // the other brokers would have to follow a clean stop
	k := &crowd{t: t, n: n, epochs: map[int32]int64{}}
	for id := int32(2); id <= 5; id++ {
		k.register(id)
		k.beat(id, false)
	}
	k.create("few", 10, 5, 2, 3)
	k.create("isr", 1, 2, 3, 4)
	for made := 11; made < partitions; {
		req := kmsg.NewPtrCreateTopicsRequest()
		for i := 0; i < 200 && made < partitions; i++ {
			brokers := []int32{2, 3, 4}
			if i%crowdHere == 0 {
				brokers = []int32{1, 2, 3}
			}
			req.Topics = append(req.Topics, topicOn(fmt.Sprintf("crowd.%d", made), crowdPartitions, brokers...))
			made += crowdPartitions
		}
		k.make(req)
	}
	return k
}

func (k *crowd) ask(req kmsg.Request) kmsg.Response {
	resp, err := k.n.controller.Handle(context.Background(), controller.RequestContext{Principal: "User:ANONYMOUS"}, req)
	if err != nil {
		k.t.Fatalf("%T: %v", req, err)
	}
	return resp
}

func (k *crowd) register(id int32) {
	req := kmsg.NewPtrBrokerRegistrationRequest()
	req.Version = 4
	req.BrokerID, req.ClusterID, req.IncarnationID, req.PreviousBrokerEpoch = id, k.n.ClusterID(), [16]byte{byte(id), 1}, -1
	req.LogDirs = [][16]byte{{byte(id), 0xd1}}
	l := kmsg.NewBrokerRegistrationRequestListener()
	l.Name, l.Host, l.Port = "PLAINTEXT", "127.0.0.1", 1
	req.Listeners = append(req.Listeners, l)
	for _, f := range image.SupportedFeatures() {
		rf := kmsg.NewBrokerRegistrationRequestFeature()
		rf.Name, rf.MinSupportedVersion, rf.MaxSupportedVersion = f.Name, f.Min, f.Max
		req.Features = append(req.Features, rf)
	}
	k.epochs[id] = k.ask(req).(*kmsg.BrokerRegistrationResponse).BrokerEpoch
}

func (k *crowd) beat(id int32, wantFence bool) {
	req := kmsg.NewPtrBrokerHeartbeatRequest()
	req.Version = 2
	req.BrokerID, req.BrokerEpoch, req.WantFence, req.CurrentMetadataOffset = id, k.epochs[id], wantFence, k.n.image.Load().Offset()
	if fenced := k.ask(req).(*kmsg.BrokerHeartbeatResponse).IsFenced; fenced != wantFence {
		k.t.Fatalf("broker %d: fenced %v", id, fenced)
	}
}

func topicOn(name string, partitions int32, brokers ...int32) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, -1, -1
	for i := range partitions {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = i, brokers
		t.ReplicaAssignment = append(t.ReplicaAssignment, a)
	}
	return t
}

func (k *crowd) make(req *kmsg.CreateTopicsRequest) {
	req.Version = 7
	for _, t := range k.ask(req).(*kmsg.CreateTopicsResponse).Topics {
		if t.ErrorCode != 0 {
			k.t.Fatalf("create %s: error %d", t.Topic, t.ErrorCode)
		}
	}
}

func (k *crowd) create(name string, partitions int32, brokers ...int32) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Topics = append(req.Topics, topicOn(name, partitions, brokers...))
	k.make(req)
}

func (k *crowd) delete(name string) {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.Version = 5
	req.TopicNames = []string{name}
	if code := k.ask(req).(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode; code != 0 {
		k.t.Fatalf("delete %s: error %d", name, code)
	}
}

func (k *crowd) configure(topic, value string) {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	c.Name, c.Value = "retention.ms", &value
	r.Configs = append(r.Configs, c)
	req.Resources = append(req.Resources, r)
	if code := k.ask(req).(*kmsg.IncrementalAlterConfigsResponse).Resources[0].ErrorCode; code != 0 {
		k.t.Fatalf("configure %s: error %d", topic, code)
	}
}

// inSync changes the ISR of all partitions of a topic, as their leader, which is the same for all.
func (k *crowd) inSync(topic string, isr ...int32) {
	all := k.n.image.Load().TopicByName(topic)
	leader := all.Partitions[0].Leader
	req := kmsg.NewPtrAlterPartitionRequest()
	req.Version = 3
	req.BrokerID, req.BrokerEpoch = leader, k.epochs[leader]
	t := kmsg.NewAlterPartitionRequestTopic()
	t.TopicID = all.ID
	for i, p := range all.Partitions {
		in := kmsg.NewAlterPartitionRequestTopicPartition()
		in.Partition, in.LeaderEpoch, in.PartitionEpoch = int32(i), p.LeaderEpoch, p.PartitionEpoch
		for _, id := range isr {
			e := kmsg.NewAlterPartitionRequestTopicPartitionNewEpochISR()
			e.BrokerID, e.BrokerEpoch = id, k.epochs[id]
			in.NewEpochISR = append(in.NewEpochISR, e)
		}
		t.Partitions = append(t.Partitions, in)
	}
	req.Topics = append(req.Topics, t)
	for _, p := range k.ask(req).(*kmsg.AlterPartitionResponse).Topics[0].Partitions {
		if p.ErrorCode != 0 {
			k.t.Fatalf("change the ISR of %s-%d: error %d", topic, p.Partition, p.ErrorCode)
		}
	}
}

// lead gives the partitions of a topic back to their preferred leaders.
func (k *crowd) lead(topic string) {
	req := kmsg.NewPtrElectLeadersRequest()
	req.Version = 2
	t := kmsg.NewElectLeadersRequestTopic()
	t.Topic = topic
	for i := range k.n.image.Load().TopicByName(topic).Partitions {
		t.Partitions = append(t.Partitions, int32(i))
	}
	req.Topics = append(req.Topics, t)
	for _, p := range k.ask(req).(*kmsg.ElectLeadersResponse).Topics[0].Partitions {
		if p.ErrorCode != 0 {
			k.t.Fatalf("elect leaders of %s-%d: error %d", topic, p.Partition, p.ErrorCode)
		}
	}
}

// crowdChanges are the changes of the metadata that are measured, each of which leaves all as it was before.
var crowdChanges = []struct {
	name string
	run  func(k *crowd)
}{
	{"topic made and deleted, elsewhere", func(k *crowd) { k.passing(2, 3, 4) }},
	{"topic made and deleted, here", func(k *crowd) { k.passing(1, 2, 3) }},
	{"topic's setting changed", func(k *crowd) {
		k.configure("few", "1000")
		k.configure("few", "2000")
	}},
	{"partition's ISR changed", func(k *crowd) {
		k.inSync("isr", 2, 3)
		k.inSync("isr", 2, 3, 4)
	}},
	{"broker fenced and unfenced", func(k *crowd) {
		k.beat(5, true)
		k.beat(5, false)
		k.inSync("few", 5, 2, 3)
		k.lead("few")
	}},
	{"heartbeat", func(k *crowd) { k.beat(4, false) }},
}

// passing makes a topic and deletes it.
func (k *crowd) passing(brokers ...int32) {
	k.count++
	name := fmt.Sprintf("passing.%d", k.count)
	k.create(name, 1, brokers...)
	k.delete(name)
}

// cost is what a change takes at the least of many times.
type cost struct {
	objects, bytes uint64
	took           time.Duration
}

func (k *crowd) measure(run func(*crowd)) cost {
	least := cost{objects: 1 << 62, bytes: 1 << 62, took: 1 << 62}
	var before, after runtime.MemStats
	for range 40 {
		runtime.ReadMemStats(&before)
		begin := time.Now()
		run(k)
		took := time.Since(begin)
		runtime.ReadMemStats(&after)
		least.took = min(least.took, took)
		least.objects = min(least.objects, after.Mallocs-before.Mallocs)
		least.bytes = min(least.bytes, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// TestChangesCostWhatTheyChange: a change of the metadata, from the request to the controller until the broker acts on the
// image with all that it consists of, takes as many allocations, as many bytes and as much time in a cluster of 6,000
// partitions (60,000 without -short) as in one of 100. The least of many times is measured: what grows with the image would
// be in that too.
func TestChangesCostWhatTheyChange(t *testing.T) {
	sizes := []int{100, 6000}
	if !testing.Short() {
		sizes = append(sizes, 60000)
	}
	costs := map[string][]cost{}
	for _, size := range sizes {
		begin := time.Now()
		k := newCrowd(t, size)
		if got := k.n.image.Load().PartitionCount(); got < size || got > size+crowdPartitions {
			t.Fatalf("%d partitions", got)
		}
		made := time.Since(begin)
		for _, c := range crowdChanges {
			costs[c.name] = append(costs[c.name], k.measure(c.run))
		}
		t.Logf("%d partitions: made in %v, measured in %v", size, made, time.Since(begin)-made)
	}
	for _, c := range crowdChanges {
		few, many := costs[c.name][0], costs[c.name][len(sizes)-1]
		t.Logf("%-36s %v", c.name, costs[c.name])
		if many.objects > few.objects*5/4+10 || many.bytes > few.bytes*2 || many.took > 3*few.took+100*time.Microsecond {
			t.Errorf("%s: with %d partitions %v, with %d %v", c.name, sizes[0], few, sizes[len(sizes)-1], many)
		}
	}
}

// BenchmarkChange is the cost of each change, by the number of partitions of the cluster.
func BenchmarkChange(b *testing.B) {
	for _, size := range []int{100, 6000, 60000} {
		k := newCrowd(b, size)
		for _, c := range crowdChanges {
			b.Run(fmt.Sprintf("%s, %d partitions", c.name, size), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					c.run(k)
				}
			})
		}
	}
}

// String implements fmt.Stringer.
func (c cost) String() string {
	return fmt.Sprintf("%d allocations, %d B, %v", c.objects, c.bytes, c.took)
}

// followed is a follower of the node, broker 2, as the node's fetch session sees it.
type followed struct {
	k       *crowd
	conn    *kwire.Conn
	session int32
	epoch   int32
}

func (f *followed) fetch(topics []kmsg.FetchRequestTopic) *kmsg.FetchResponse {
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.MaxBytes = 17, 1<<20
	req.ReplicaState.ID, req.ReplicaState.Epoch = 2, f.k.epochs[2]
	req.SessionID, req.SessionEpoch, req.Topics = f.session, f.epoch, topics
	resp, err := f.conn.Request(req)
	if err != nil {
		f.k.t.Fatal(err)
	}
	r := resp.(*kmsg.FetchResponse)
	if r.ErrorCode != 0 {
		f.k.t.Fatalf("fetch: error %d", r.ErrorCode)
	}
	f.session, f.epoch = r.SessionID, f.epoch+1
	return r
}

// TestFollowersFetchCostsItsNews: what a follower's request takes at the leader is in proportion to what has happened, not
// to how many partitions it follows.
func TestFollowersFetchCostsItsNews(t *testing.T) {
	measure := func(partitions int) cost {
		k := newCrowd(t, 11)
		conn, err := kwire.Dial(k.n.Addr("PLAINTEXT"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = conn.Close() })
		k.create("followed", int32(partitions), 1, 2, 3)
		all := kmsg.NewFetchRequestTopic()
		all.TopicID = k.n.image.Load().TopicByName("followed").ID
		for i := range partitions {
			p := kmsg.NewFetchRequestTopicPartition()
			p.Partition, p.PartitionMaxBytes, p.CurrentLeaderEpoch = int32(i), 1<<20, 0
			all.Partitions = append(all.Partitions, p)
		}
		f := &followed{k: k, conn: conn}
		f.fetch([]kmsg.FetchRequestTopic{all})
		f.fetch(nil) // looks at all once more, since something may have come meanwhile
		one := all
		return k.measure(func(*crowd) {
			f.fetch(nil)
			one.Partitions = all.Partitions[:1]
			f.fetch([]kmsg.FetchRequestTopic{one})
		})
	}
	few, many := measure(10), measure(3000)
	t.Logf("10 partitions: %v; 3000: %v", few, many)
	if many.objects > few.objects*5/4+10 || many.bytes > few.bytes*2 || many.took > 3*few.took+200*time.Microsecond {
		t.Errorf("with 10 partitions %v, with 3000 %v", few, many)
	}
}
