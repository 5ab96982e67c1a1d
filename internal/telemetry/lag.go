package telemetry

import "strconv"

// The names that kafka_exporter serves, which the boards on consumer lag use.
var (
	expBrokers       = plain("kafka_brokers", "Number of brokers.")
	expBrokerInfo    = plain("kafka_broker_info", "Brokers by id and address.")
	expPartitions    = plain("kafka_topic_partitions", "Partitions of a topic.")
	expCurrentOffset = plain("kafka_topic_partition_current_offset", "High watermark of a partition.")
	expOldestOffset  = plain("kafka_topic_partition_oldest_offset", "First offset of a partition.")
	expInSync        = plain("kafka_topic_partition_in_sync_replica", "In-sync replicas of a partition.")
	expLeader        = plain("kafka_topic_partition_leader", "Id of the leader of a partition.")
	expPreferred     = plain("kafka_topic_partition_leader_is_preferred", "1 if the leader is the first replica.")
	expReplicas      = plain("kafka_topic_partition_replicas", "Replicas of a partition.")
	expUnder         = plain("kafka_topic_partition_under_replicated_partition", "1 if not all replicas are in sync.")
	expGroupOffset   = plain("kafka_consumergroup_current_offset", "Committed offset of a group, -1 if there is none.")
	expGroupLag      = plain("kafka_consumergroup_lag", "Records that a group has not read, -1 if there is no commit.")
	expGroupOffsets  = plain("kafka_consumergroup_current_offset_sum", "Sum of a group's committed offsets in a topic.")
	expGroupLags     = plain("kafka_consumergroup_lag_sum", "Records of a topic that a group has not read.")
	expMembers       = plain("kafka_consumergroup_members", "Members of a group.")
)

// BrokerInfo is a broker of the cluster.
type BrokerInfo struct {
	ID      int32
	Address string
}

// ClusterPartition is a partition as the whole cluster sees it, with the offsets that the leader knows.
type ClusterPartition struct {
	Topic                string
	Partition            int32
	Leader               int32
	Replicas, ISR        []int32
	HighWatermark, Start int64 // -1: not led here, so that another broker serves them
}

// GroupCommit is a committed offset of a group.
type GroupCommit struct {
	Group, Topic string
	Partition    int32
	Offset       int64
	// HighWatermark is the end of the partition, -1 if it is not known here.
	HighWatermark int64
}

// GroupMembers is how many members a group has.
type GroupMembers struct {
	Group   string
	Members int
}

// ClusterSource is who answers for the cluster at a scrape. All functions must not wait.
type ClusterSource struct {
	Brokers    func() []BrokerInfo
	Partitions func(yield func(ClusterPartition) bool)
	Count      func() int // of partitions that Partitions yields
}

// Cluster serves kafka_exporter's figures of the cluster: offsets of those partitions that are led here. Together the
// brokers of a cluster serve each once.
func (r *Registry) Cluster(src ClusterSource) {
	r.Source(func(emit Emit) {
		brokers := src.Brokers()
		emit(expBrokers, nil, float64(len(brokers)))
		for _, b := range brokers {
			emit(expBrokerInfo, Labels{"id", strconv.Itoa(int(b.ID)), "address", b.Address}, 1)
		}
		r.emitClusterPartitions(emit, src)
	})
}

func (r *Registry) emitClusterPartitions(emit Emit, src ClusterSource) {
	detail := src.Count() <= r.opt.MaxPartitionSeries
	counts := map[string]int{}
	src.Partitions(func(p ClusterPartition) bool {
		counts[p.Topic]++
		if !detail || p.HighWatermark < 0 {
			return true
		}
		l := Labels{"topic", p.Topic, "partition", strconv.Itoa(int(p.Partition))}
		emit(expCurrentOffset, l, float64(p.HighWatermark))
		emit(expOldestOffset, l, float64(p.Start))
		emit(expInSync, l, float64(len(p.ISR)))
		emit(expLeader, l, float64(p.Leader))
		emit(expPreferred, l, truth(len(p.Replicas) > 0 && p.Replicas[0] == p.Leader))
		emit(expReplicas, l, float64(len(p.Replicas)))
		emit(expUnder, l, truth(len(p.ISR) < len(p.Replicas)))
		return true
	})
	for topic, n := range counts {
		emit(expPartitions, Labels{"topic", topic}, float64(n))
	}
}

type groupTopic struct{ group, topic string }

// Lag collects kafka_exporter's figures of the groups coordinated here during one scrape. The zero value is ready.
type Lag struct {
	commits       []GroupCommit
	members       []GroupMembers
	offsets, lags map[groupTopic]float64
}

// Members tells how many members a group has.
func (g *Lag) Members(group string, members int) {
	g.members = append(g.members, GroupMembers{group, members})
}

// Commit tells of a committed offset.
func (g *Lag) Commit(c GroupCommit) {
	if g.offsets == nil {
		g.offsets, g.lags = map[groupTopic]float64{}, map[groupTopic]float64{}
	}
	key := groupTopic{c.Group, c.Topic}
	g.offsets[key] += float64(max(c.Offset, 0))
	g.lags[key] += max(float64(c.lag()), 0)
	g.commits = append(g.commits, c)
}

// lag is -1 where it is not known.
func (c GroupCommit) lag() int64 {
	if c.Offset < 0 || c.HighWatermark < 0 {
		return -1
	}
	return max(c.HighWatermark-c.Offset, 0)
}

// Emit hands over what was collected.
func (g *Lag) Emit(emit Emit) {
	for _, c := range g.commits {
		l := Labels{"consumergroup", c.Group, "topic", c.Topic, "partition", strconv.Itoa(int(c.Partition))}
		emit(expGroupOffset, l, float64(c.Offset))
		emit(expGroupLag, l, float64(c.lag()))
	}
	for key, sum := range g.offsets {
		l := Labels{"consumergroup", key.group, "topic", key.topic}
		emit(expGroupOffsets, l, sum)
		emit(expGroupLags, l, g.lags[key])
	}
	for _, m := range g.members {
		emit(expMembers, Labels{"consumergroup", m.Group}, float64(m.Members))
	}
}
