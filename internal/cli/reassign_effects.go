package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
)

// The settings that hold moves back.
var (
	brokerThrottles = []string{"leader.replication.throttled.rate", "follower.replication.throttled.rate", "replica.alter.log.dirs.io.max.bytes.per.second"}
	topicThrottles  = []string{"leader.replication.throttled.replicas", "follower.replication.throttled.replicas"}
)

// dirRetry is how long to wait for a broker to get a replica that is to go to a certain directory there.
const dirRetry = 100 * time.Millisecond

// moveDirs asks brokers to move replicas between their directories. A broker that does not have the replica yet is
// asked again.
func (r *reassignment) moveDirs(ctx context.Context, targets map[replicaOf]string) error {
	pending := maps.Clone(targets)
	deadline := time.Now().Add(r.timeout)
	for len(pending) > 0 {
		started, err := r.startDirMoves(ctx, pending)
		if err != nil {
			return err
		}
		slices.SortFunc(started, replicaOf.compare)
		for _, replica := range started {
			r.printf("Successfully started moving log directory to %s for replica %s with broker %d \n", pending[replica], replica.partition, replica.broker)
			delete(pending, replica)
		}
		if len(pending) == 0 {
			return nil
		}
		if time.Now().After(deadline) || ctx.Err() != nil {
			var names []string
			for _, replica := range slices.SortedFunc(maps.Keys(pending), replicaOf.compare) {
				names = append(names, replica.String())
			}
			return plainRefusal(fmt.Sprintf("Timed out before log directory move%s could be started for: %s", plural(len(names)), strings.Join(names, ",")))
		}
		pause(ctx, dirRetry)
	}
	return nil
}

func (r *reassignment) startDirMoves(ctx context.Context, targets map[replicaOf]string) (started []replicaOf, err error) {
	byBroker := map[int32]*kmsg.AlterReplicaLogDirsRequest{}
	for replica, dir := range targets {
		req := byBroker[replica.broker]
		if req == nil {
			req = kmsg.NewPtrAlterReplicaLogDirsRequest()
			byBroker[replica.broker] = req
		}
		i := slices.IndexFunc(req.Dirs, func(d kmsg.AlterReplicaLogDirsRequestDir) bool { return d.Dir == dir })
		if i < 0 {
			d := kmsg.NewAlterReplicaLogDirsRequestDir()
			d.Dir = dir
			req.Dirs = append(req.Dirs, d)
			i = len(req.Dirs) - 1
		}
		topic := kmsg.NewAlterReplicaLogDirsRequestDirTopic()
		topic.Topic, topic.Partitions = replica.partition.topic, []int32{replica.partition.partition}
		req.Dirs[i].Topics = mergeDirTopic(req.Dirs[i].Topics, topic)
	}
	for broker, req := range byBroker {
		raw, err := r.cluster.admin.CallBroker(ctx, "alterReplicaLogDirs", broker, req)
		if err != nil {
			return nil, commandError("Failed to alter dir for broker %d: %v", broker, err)
		}
		for _, t := range raw.(*kmsg.AlterReplicaLogDirsResponse).Topics {
			for _, p := range t.Partitions {
				replica := replicaOf{topicPartition{t.Topic, p.Partition}, broker}
				switch err := client.Coded(p.ErrorCode, nil); {
				case err == nil:
					started = append(started, replica)
				case !client.HasCode(err, kerr.ReplicaNotAvailable):
					return nil, commandError("Failed to alter dir for %s", replica)
				}
			}
		}
	}
	return started, nil
}

func mergeDirTopic(topics []kmsg.AlterReplicaLogDirsRequestDirTopic, t kmsg.AlterReplicaLogDirsRequestDirTopic) []kmsg.AlterReplicaLogDirsRequestDirTopic {
	for i := range topics {
		if topics[i].Topic == t.Topic {
			topics[i].Partitions = append(topics[i].Partitions, t.Partitions...)
			return topics
		}
	}
	return append(topics, t)
}

// partitionMove is which brokers a partition's records come from and go to.
type partitionMove struct{ from, to []int32 }

// plannedMoves adds the moves to those under way. Of a partition that is moving, the sources are those of that move.
func plannedMoves(moves []move, active []ongoing, current map[topicPartition][]int32) map[topicPartition]partitionMove {
	without := func(list, others []int32) []int32 {
		return slices.DeleteFunc(slices.Clone(list), func(id int32) bool { return slices.Contains(others, id) })
	}
	planned := map[topicPartition]partitionMove{}
	for _, a := range active {
		planned[a.partition] = partitionMove{without(a.replicas, a.adding), a.adding}
	}
	for _, m := range moves {
		from := current[m.partition]
		if p, ok := planned[m.partition]; ok {
			from = p.from
		}
		planned[m.partition] = partitionMove{from, without(m.replicas, from)}
	}
	return planned
}

func (r *reassignment) setThrottles(ctx context.Context, moves []move, active []ongoing, current map[topicPartition][]int32) error {
	if r.throttle < 0 && r.dirThrottle < 0 {
		return nil
	}
	r.println("Warning: You must run --verify periodically, until the reassignment completes, to ensure the throttle is removed.")
	if r.throttle >= 0 {
		if err := r.throttleMoves(ctx, plannedMoves(moves, active, current)); err != nil {
			return err
		}
	}
	if r.dirThrottle >= 0 {
		changes := newConfigChanges()
		for replica := range dirMoves(moves) {
			changes.broker(replica.broker, brokerThrottles[2], &r.dirThrottle)
		}
		if err := r.apply(ctx, changes); err != nil {
			return err
		}
		r.printf("The replica-alter-dir throttle limit was set to %d B/s\n", r.dirThrottle)
	}
	return nil
}

// throttleMoves names the replicas that are to be held back at their topics, and the rate at the brokers.
func (r *reassignment) throttleMoves(ctx context.Context, planned map[topicPartition]partitionMove) error {
	leaders, followers := map[string][]string{}, map[string][]string{}
	changes := newConfigChanges()
	for tp, m := range planned {
		for side, ids := range map[*map[string][]string][]int32{&leaders: m.from, &followers: m.to} {
			for _, id := range ids {
				(*side)[tp.topic] = append((*side)[tp.topic], fmt.Sprintf("%d:%d", tp.partition, id))
				changes.broker(id, brokerThrottles[0], &r.throttle)
				changes.broker(id, brokerThrottles[1], &r.throttle)
			}
		}
	}
	topics := newConfigChanges()
	for tp := range planned {
		for i, side := range []map[string][]string{leaders, followers} {
			value := strings.Join(slices.Sorted(slices.Values(side[tp.topic])), ",")
			topics.topic(tp.topic, topicThrottles[i], &value)
		}
	}
	if err := r.apply(ctx, topics); err != nil {
		return err
	}
	if err := r.apply(ctx, changes); err != nil {
		return err
	}
	r.printf("The inter-broker throttle limit was set to %d B/s\n", r.throttle)
	return nil
}

// clearThrottles takes all throttles away, of all brokers, since nothing tells which of them the moves involved.
func (r *reassignment) clearThrottles(ctx context.Context, moves []move) error {
	brokers, err := r.nodes(ctx)
	if err != nil {
		return inFuture{err}
	}
	for _, m := range moves {
		brokers = append(brokers, m.replicas...)
	}
	slices.Sort(brokers)
	brokers = slices.Compact(brokers)
	hashOrder(brokers, defaultHashCapacity, func(id int32) int32 { return id })
	r.printf("Clearing broker-level throttles on broker%s %s\n", plural(len(brokers)), joinIDs(brokers))
	changes := newConfigChanges()
	for _, id := range brokers {
		for _, name := range brokerThrottles {
			changes.broker(id, name, nil)
		}
	}
	if err := r.apply(ctx, changes); err != nil {
		return err
	}
	topics := topicNames(moves)
	r.printf("Clearing topic-level throttles on topic%s %s\n", plural(len(topics)), strings.Join(topics, ","))
	changes = newConfigChanges()
	for _, name := range topics {
		for _, setting := range topicThrottles {
			changes.topic(name, setting, nil)
		}
	}
	return r.apply(ctx, changes)
}

// nodes are the ids of the brokers, or of the controllers if it is they who are asked, as with Kafka's tool.
func (r *reassignment) nodes(ctx context.Context) (ids []int32, err error) {
	if r.cluster.controllers {
		controllers, _, err := r.cluster.describe(ctx, false)
		for _, c := range controllers {
			ids = append(ids, c.id)
		}
		return ids, err
	}
	brokers, err := clusterNodes(ctx, r.cluster.admin)
	for _, b := range brokers {
		ids = append(ids, b.id)
	}
	return ids, err
}

// configChanges collects changes of settings by resource.
type configChanges struct {
	order []configTarget
	ops   map[configTarget]map[string]*string
}

type configTarget struct {
	kind kmsg.ConfigResourceType
	name string
}

func newConfigChanges() *configChanges {
	return &configChanges{ops: map[configTarget]map[string]*string{}}
}

func (c *configChanges) set(target configTarget, setting string, value *string) {
	if c.ops[target] == nil {
		c.ops[target] = map[string]*string{}
		c.order = append(c.order, target)
	}
	c.ops[target][setting] = value
}

func (c *configChanges) broker(id int32, setting string, value *int64) {
	var text *string
	if value != nil {
		text = kmsg.StringPtr(strconv.FormatInt(*value, 10))
	}
	c.set(configTarget{kmsg.ConfigResourceTypeBroker, strconv.Itoa(int(id))}, setting, text)
}

func (c *configChanges) topic(name, setting string, value *string) {
	c.set(configTarget{kmsg.ConfigResourceTypeTopic, name}, setting, value)
}

// apply makes the changes; a nil value takes a setting away.
func (r *reassignment) apply(ctx context.Context, c *configChanges) error {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	for _, target := range c.order {
		res := kmsg.NewIncrementalAlterConfigsRequestResource()
		res.ResourceType, res.ResourceName = target.kind, target.name
		for _, setting := range slices.Sorted(maps.Keys(c.ops[target])) {
			op := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
			op.Name, op.Value = setting, c.ops[target][setting]
			if op.Value == nil {
				op.Op = kmsg.IncrementalAlterConfigOpDelete
			}
			res.Configs = append(res.Configs, op)
		}
		req.Resources = append(req.Resources, res)
	}
	if len(req.Resources) == 0 {
		return nil
	}
	if r.cluster.controllers {
		raw, err := r.cluster.callLeader(ctx, "incrementalAlterConfigs", req)
		if err != nil {
			return inFuture{err}
		}
		return configErrors(raw.(*kmsg.IncrementalAlterConfigsResponse))
	}
	for _, shard := range r.cluster.admin.CallSharded(ctx, "incrementalAlterConfigs", req) {
		if shard.Err != nil {
			return inFuture{shard.Err}
		}
		if err := configErrors(shard.Resp.(*kmsg.IncrementalAlterConfigsResponse)); err != nil {
			return err
		}
	}
	return nil
}

func configErrors(resp *kmsg.IncrementalAlterConfigsResponse) error {
	for _, res := range resp.Resources {
		if err := client.Coded(res.ErrorCode, res.ErrorMessage); err != nil {
			return inFuture{err}
		}
	}
	return nil
}
