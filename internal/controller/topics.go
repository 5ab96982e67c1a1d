package controller

import (
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/quota"
	"github.com/weir-stream/weir/internal/wire"
)

// maxRecordsPerUserOp bounds what one request may change, as in Kafka.
const maxRecordsPerUserOp = 10000

// metadataTopic is the name of the metadata log, which no topic may take.
const metadataTopic = "__cluster_metadata"

// createTopics answers CreateTopics v2 to v7.
func (c *Controller) createTopics(rc RequestContext, req *kmsg.CreateTopicsRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
	create := creation{c: c, describable: rc.MayDescribeConfigs, quota: c.mutations(rc, req)}
	if err := create.checkTotal(req); err != nil {
		for _, t := range req.Topics {
			resp.Topics = append(resp.Topics, refusedTopic(t.Topic, err))
		}
		return decision{answer: resp}, nil
	}
	duplicates := duplicateNames(req)
	for i := range req.Topics {
		t := &req.Topics[i]
		if _, twice := duplicates[t.Topic]; twice {
			continue
		}
		result, err := create.topic(t)
		if err != nil {
			result = refusedTopic(t.Topic, err)
		}
		resp.Topics = append(resp.Topics, result)
	}
	for _, name := range slices.Sorted(maps.Keys(duplicates)) {
		resp.Topics = append(resp.Topics, refusedTopic(name, refuse(wire.InvalidRequest, "Duplicate topic name.")))
	}
	resp.ThrottleMillis = int32(create.quota.Wait().Milliseconds())
	if req.ValidateOnly {
		return decision{answer: resp}, nil
	}
	return decision{answer: resp, records: create.records}, nil
}

// refusedTopic is the answer for a topic that was not made.
func refusedTopic(name string, err error) kmsg.CreateTopicsResponseTopic {
	result := kmsg.NewCreateTopicsResponseTopic()
	result.Topic, result.NumPartitions, result.ReplicationFactor = name, -1, -1
	result.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
	result.ErrorCode, result.ErrorMessage = errorFields(err)
	return result
}

// duplicateNames are the names that stand in a request more than once.
func duplicateNames(req *kmsg.CreateTopicsRequest) map[string]struct{} {
	seen, twice := make(map[string]struct{}, len(req.Topics)), map[string]struct{}{}
	for _, t := range req.Topics {
		if _, ok := seen[t.Topic]; ok {
			twice[t.Topic] = struct{}{}
		}
		seen[t.Topic] = struct{}{}
	}
	return twice
}

// creation collects what one CreateTopics request makes.
type creation struct {
	c           *Controller
	describable func(topic string) bool
	quota       *quota.Mutations
	records     []mr.Versioned
	collisions  map[string]string // unified name → name, of topics with '.' or '_' in this request
}

func (n *creation) checkTotal(req *kmsg.CreateTopicsRequest) error {
	total := 0
	for _, t := range req.Topics {
		switch {
		case len(t.ReplicaAssignment) > 0:
			total += len(t.ReplicaAssignment)
		case t.NumPartitions > 0:
			total += int(t.NumPartitions)
		default:
			total += n.c.settings().Int("num.partitions")
		}
		if total > maxRecordsPerUserOp {
			return refuse(wire.PolicyViolation, "Excessively large number of partitions per request.")
		}
	}
	return nil
}

// topic decides on one topic and adds its records.
func (n *creation) topic(t *kmsg.CreateTopicsRequestTopic) (kmsg.CreateTopicsResponseTopic, error) {
	var none kmsg.CreateTopicsResponseTopic
	if err := n.checkName(t.Topic); err != nil {
		return none, err
	}
	configs, configRecords, err := n.configs(t)
	if err != nil {
		return none, err
	}
	replicas, err := n.placement(t)
	if err != nil {
		return none, err
	}
	if err := beyondQuota(n.quota, len(replicas)); err != nil {
		return none, err
	}
	id := n.c.newTopicID()
	n.records = append(n.records, mr.V0(&mr.TopicRecord{Name: t.Topic, TopicID: id}))
	n.records = append(n.records, configRecords...)
	version := n.c.state.MetadataVersion().PartitionRecord()
	for i, r := range replicas {
		p, err := n.c.newPartition(r)
		if err != nil {
			return none, err
		}
		n.records = append(n.records, mr.At(p.Record(id, int32(i)), version))
	}
	result := kmsg.NewCreateTopicsResponseTopic()
	result.Topic, result.TopicID = t.Topic, id
	result.NumPartitions, result.ReplicationFactor = int32(len(replicas)), int16(len(replicas[0]))
	n.describe(&result, configs)
	return result, nil
}

func (n *creation) describe(result *kmsg.CreateTopicsResponseTopic, configs map[string]string) {
	if n.describable != nil && !n.describable(result.Topic) {
		result.ConfigErrorCode = int16(wire.TopicAuthorizationFailed)
		result.NumPartitions, result.ReplicationFactor = -1, -1
		result.Configs = nil
		return
	}
	result.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
	for _, e := range n.c.settings().DescribeTopic(configs, nil) {
		entry := kmsg.NewCreateTopicsResponseTopicConfig()
		entry.Name, entry.Value, entry.ReadOnly = e.Name, e.Value, e.ReadOnly
		entry.Source, entry.IsSensitive = int8(e.Source), e.Sensitive
		result.Configs = append(result.Configs, entry)
	}
}

// checkName says why a new topic may not have a name.
func (n *creation) checkName(name string) error {
	if err := validateTopicName(name); err != nil {
		return err
	}
	if name == metadataTopic {
		return refuse(wire.InvalidRequest, "Creation of internal topic %s is prohibited.", metadataTopic)
	}
	if n.c.state.TopicByName(name) != nil {
		return refuse(wire.TopicAlreadyExists, "Topic '%s' already exists.", name)
	}
	u, ok := unified(name)
	if !ok {
		return nil
	}
	other := n.collisions[u]
	if there := n.c.index.names[u]; len(there) > 0 {
		other = there[0]
	}
	if other != "" {
		return refuse(wire.InvalidTopicException, "Topic '%s' collides with existing topic: %s", name, other)
	}
	if n.collisions == nil {
		n.collisions = map[string]string{}
	}
	n.collisions[u] = name
	return nil
}

// validateTopicName applies Kafka's rules for names.
func validateTopicName(name string) error {
	bad := func(format string, args ...any) error {
		return refuse(wire.InvalidTopicException, "Topic name is invalid: "+format, args...)
	}
	switch {
	case name == "":
		return bad("the empty string is not allowed")
	case name == "." || name == "..":
		return bad("'%s' is not allowed", name)
	case len(name) > 249:
		return bad("the length of '%s' is longer than the max allowed length 249", name)
	}
	for _, r := range name {
		if !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '_' || r == '-') {
			return bad("'%s' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'", name)
		}
	}
	return nil
}

// configs checks the topic's own settings and makes their records, and the one that clears the ELR when
// min.insync.replicas is among them.
func (n *creation) configs(t *kmsg.CreateTopicsRequestTopic) (map[string]string, []mr.Versioned, error) {
	var null []string
	configs := make(map[string]string, len(t.Configs))
	for _, e := range t.Configs {
		if e.Value == nil {
			null = append(null, e.Name)
		} else {
			configs[e.Name] = *e.Value
		}
	}
	if len(null) > 0 {
		return nil, nil, refuse(wire.InvalidConfig, "Null value not supported for topic configs: %s", strings.Join(null, ","))
	}
	if err := n.c.checkConfigSizes(configs); err != nil {
		return nil, nil, err
	}
	if err := n.c.validateConfig(image.TopicConfig, t.Topic, nil, configs); err != nil {
		return nil, nil, err
	}
	var records []mr.Versioned
	for _, name := range slices.Sorted(maps.Keys(configs)) {
		value := configs[name]
		records = append(records, mr.V0(&mr.ConfigRecord{ResourceType: int8(image.TopicConfig), ResourceName: t.Topic, Name: name, Value: &value}))
	}
	if _, ok := configs["min.insync.replicas"]; ok && n.c.state.ELREnabled() {
		records = append(records, mr.V0(&mr.ClearElrRecord{TopicName: t.Topic}))
	}
	return configs, records, nil
}

// placement is the replicas of each partition, given or chosen.
func (n *creation) placement(t *kmsg.CreateTopicsRequestTopic) ([][]int32, error) {
	if len(t.ReplicaAssignment) > 0 {
		return n.manualPlacement(t)
	}
	if t.ReplicationFactor < -1 || t.ReplicationFactor == 0 {
		return nil, refuse(wire.InvalidReplicationFactor, "Replication factor must be larger than 0, or -1 to use the default value.")
	}
	if t.NumPartitions < -1 || t.NumPartitions == 0 {
		return nil, refuse(wire.InvalidPartitions, "Number of partitions was set to an invalid non-positive value.")
	}
	partitions, factor := int(t.NumPartitions), int(t.ReplicationFactor)
	if partitions == -1 {
		partitions = n.c.settings().Int("num.partitions")
	}
	if factor == -1 {
		factor = n.c.settings().Int("default.replication.factor")
	}
	return n.c.place(0, partitions, factor)
}

func (n *creation) manualPlacement(t *kmsg.CreateTopicsRequestTopic) ([][]int32, error) {
	if t.ReplicationFactor != -1 {
		return nil, refuse(wire.InvalidRequest, "A manual partition assignment was specified, but replication factor was not set to -1.")
	}
	if t.NumPartitions != -1 {
		return nil, refuse(wire.InvalidRequest, "A manual partition assignment was specified, but numPartitions was not set to -1.")
	}
	byPartition := make(map[int32][]int32, len(t.ReplicaAssignment))
	factor := -1
	for _, a := range t.ReplicaAssignment {
		if _, ok := byPartition[a.Partition]; ok {
			return nil, refuse(wire.InvalidReplicaAssignment, "Found multiple manual partition assignments for partition %d", a.Partition)
		}
		if err := n.c.checkManual(a.Replicas, factor); err != nil {
			return nil, err
		}
		factor = len(a.Replicas)
		if !slices.ContainsFunc(a.Replicas, n.c.isActive) {
			return nil, refuse(wire.InvalidReplicaAssignment, "All brokers specified in the manual partition assignment for partition %d are fenced or in controlled shutdown.", a.Partition)
		}
		byPartition[a.Partition] = a.Replicas
	}
	out := make([][]int32, len(byPartition))
	for i := range out {
		r, ok := byPartition[int32(i)]
		if !ok {
			return nil, refuse(wire.InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence")
		}
		out[i] = r
	}
	return out, nil
}

// checkManual checks one partition's replicas as given by a person; factor is what they must be in number, -1: any.
func (c *Controller) checkManual(replicas []int32, factor int) error {
	if len(replicas) == 0 {
		return refuse(wire.InvalidReplicaAssignment, "The manual partition assignment includes an empty replica list.")
	}
	sorted := slices.Sorted(slices.Values(replicas))
	for i, id := range sorted {
		if c.state.Broker(id) == nil {
			return refuse(wire.InvalidReplicaAssignment, "The manual partition assignment includes broker %d, but no such broker is registered.", id)
		}
		if i > 0 && sorted[i-1] == id {
			return refuse(wire.InvalidReplicaAssignment, "The manual partition assignment includes the broker %d more than once.", id)
		}
	}
	if factor >= 0 && len(replicas) != factor {
		return refuse(wire.InvalidReplicaAssignment, "The manual partition assignment includes a partition with %d replica(s), but this is not consistent with previous partitions, which have %d replica(s).", len(replicas), factor)
	}
	return nil
}

// newPartition is a partition that begins: in sync are the replicas that live.
func (c *Controller) newPartition(replicas []int32) (*image.Partition, error) {
	p := &image.Partition{Replicas: replicas}
	for _, r := range replicas {
		if c.isActive(r) {
			p.ISR = append(p.ISR, r)
		}
		p.Directories = append(p.Directories, c.defaultDirectory(r))
	}
	if len(p.ISR) == 0 {
		return nil, refuse(wire.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): All brokers are currently fenced or in controlled shutdown.", len(replicas))
	}
	p.Leader = p.ISR[0]
	return p, nil
}

// newTopicID makes an id that no topic has.
func (c *Controller) newTopicID() image.TopicID {
	for {
		if id := newID(); c.state.TopicByID(id) == nil {
			return id
		}
	}
}

// deleteTopics answers DeleteTopics v1 to v6.
func (c *Controller) deleteTopics(rc RequestContext, req *kmsg.DeleteTopicsRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.DeleteTopicsResponse)
	if !c.settings().Bool("delete.topic.enable") {
		if req.Version < 3 {
			return decision{}, wire.InvalidRequest
		}
		return decision{}, wire.TopicDeletionDisabled
	}
	wanted := req.Topics
	for _, name := range req.TopicNames {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = &name
		wanted = append(wanted, t)
	}
	duplicates := duplicateDeletions(wanted)
	var records []mr.Versioned
	done := map[image.TopicID]struct{}{}
	counted := c.mutations(rc, req)
	for _, w := range distinctDeletions(wanted) {
		result := kmsg.NewDeleteTopicsResponseTopic()
		result.Topic, result.TopicID = w.Topic, w.TopicID
		t, err := c.toDelete(w, duplicates)
		if t != nil {
			result.Topic, result.TopicID = &t.Name, t.ID
			if _, twice := done[t.ID]; twice {
				err = refuse(wire.InvalidRequest, "The provided topic name maps to an ID that was already supplied.")
			}
			done[t.ID] = struct{}{}
		}
		if err == nil {
			err = beyondQuota(counted, len(t.Partitions))
		}
		if err == nil {
			records = append(records, mr.V0(&mr.RemoveTopicRecord{TopicID: t.ID}))
		}
		result.ErrorCode, result.ErrorMessage = errorFields(err)
		if err != nil && t == nil && w.Topic == nil && w.TopicID == (image.TopicID{}) {
			result.Topic = nil
		}
		resp.Topics = append(resp.Topics, result)
	}
	resp.ThrottleMillis = int32(counted.Wait().Milliseconds())
	return decision{answer: resp, records: records, canSplit: true}, nil
}

func deletionKey(w kmsg.DeleteTopicsRequestTopic) string {
	if w.Topic != nil {
		return "n" + *w.Topic
	}
	return "i" + string(w.TopicID[:])
}

func duplicateDeletions(wanted []kmsg.DeleteTopicsRequestTopic) map[string]bool {
	seen := make(map[string]bool, len(wanted))
	for _, w := range wanted {
		k := deletionKey(w)
		_, twice := seen[k]
		seen[k] = twice
	}
	return seen
}

// distinctDeletions has each name and id once, but every topic that is named by neither or both.
func distinctDeletions(wanted []kmsg.DeleteTopicsRequestTopic) []kmsg.DeleteTopicsRequestTopic {
	seen := make(map[string]struct{}, len(wanted))
	var out []kmsg.DeleteTopicsRequestTopic
	for _, w := range wanted {
		k := deletionKey(w)
		if _, twice := seen[k]; twice && (w.Topic != nil) != (w.TopicID != image.TopicID{}) {
			continue
		}
		seen[k] = struct{}{}
		out = append(out, w)
	}
	return out
}

func (c *Controller) toDelete(w kmsg.DeleteTopicsRequestTopic, duplicates map[string]bool) (*image.Topic, error) {
	byID := w.TopicID != image.TopicID{}
	switch {
	case w.Topic == nil && !byID:
		return nil, refuse(wire.InvalidRequest, "Neither topic name nor id were specified.")
	case w.Topic != nil && byID:
		return nil, refuse(wire.InvalidRequest, "You may not specify both topic name and topic id.")
	case duplicates[deletionKey(w)] && w.Topic != nil:
		return nil, refuse(wire.InvalidRequest, "Duplicate topic name.")
	case duplicates[deletionKey(w)]:
		return nil, refuse(wire.InvalidRequest, "Duplicate topic id.")
	case byID:
		if t := c.state.TopicByID(w.TopicID); t != nil {
			return t, nil
		}
		return nil, plain(wire.UnknownTopicId)
	}
	if t := c.state.TopicByName(*w.Topic); t != nil {
		return t, nil
	}
	return nil, plain(wire.UnknownTopicOrPartition)
}
