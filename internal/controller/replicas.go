package controller

import (
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/wire"
)

// updates says what happened to brokers, image.NoLeader where nobody is meant.
type updates struct {
	remove  int32 // leaves ISRs and leaderships
	add     int32 // may lead from now on
	unclean int32 // died; what it had is not to be trusted
	// offline are directories of the broker offlineOf that failed.
	offlineOf int32
	offline   []image.UUID
}

// concerns reports whether a partition has to be looked at.
func (u *updates) concerns(p *image.Partition) bool {
	if u.remove != image.NoLeader && (p.InSync(u.remove) || p.Leader == u.remove) {
		return true
	}
	if u.unclean != image.NoLeader && (p.InSync(u.unclean) || slices.Contains(p.ELR, u.unclean) || p.Leader == u.unclean) {
		return true
	}
	if u.add != image.NoLeader && !p.HasLeader() && p.HasReplica(u.add) {
		return true
	}
	return len(u.offline) > 0 && slices.Contains(u.offline, p.Directory(u.offlineOf)) && (p.InSync(u.offlineOf) || p.Leader == u.offlineOf)
}

// leaderAndISRUpdates are the changes of partitions that follow from what happened to brokers.
func (c *Controller) leaderAndISRUpdates(u updates) []mr.Versioned {
	var records []mr.Versioned
	version := c.state.MetadataVersion().PartitionChangeRecord()
	sets := c.index.concerned(&u)
	for at, set := range sets {
		for id, indexes := range set {
			t := c.state.TopicByID(id)
			unclean := c.uncleanAllowed(t.Name)
			for _, i := range indexes {
				if p := t.Partition(i); u.concerns(p) && !inAny(sets[:at], id, i) {
					if r := c.updateOf(&u, t, i, p, unclean).build(); r != nil {
						records = append(records, mr.At(r, version))
					}
				}
			}
		}
	}
	return records
}

// inAny reports whether a partition is in one of the sets.
func inAny(sets []partitionSet, topic image.TopicID, index int32) bool {
	return slices.ContainsFunc(sets, func(s partitionSet) bool {
		_, in := slices.BinarySearch(s[topic], index)
		return in
	})
}

// updateOf is the change of one partition that follows from what happened to brokers.
func (c *Controller) updateOf(u *updates, t *image.Topic, index int32, p *image.Partition, unclean bool) *change {
	ch := c.changeOf(t, index, p)
	if unclean {
		ch.election = electUnclean
	}
	gone := []int32{u.remove, u.unclean}
	if len(u.offline) > 0 {
		gone = append(gone, u.offlineOf)
	}
	ch.isr = without(p.ISR, gone...)
	if u.unclean != image.NoLeader {
		ch.unclean = []int32{u.unclean}
	}
	mayLead := ch.mayLead
	ch.mayLead = func(id int32) bool {
		return !slices.Contains(gone, id) && (id == u.add && c.state.Broker(id).Online(p.Directory(id)) || mayLead(id))
	}
	return ch
}

// changeOf begins a change of a partition under the present settings.
func (c *Controller) changeOf(t *image.Topic, index int32, p *image.Partition) *change {
	ch := newChange(t.ID, index, p)
	ch.version, ch.elr = c.state.MetadataVersion(), c.state.ELREnabled()
	ch.minISR = c.minISR(t.Name, len(p.Replicas))
	ch.mayLead = func(id int32) bool { return c.isActive(id) && c.state.Broker(id).Online(p.Directory(id)) }
	ch.directory = c.defaultDirectory
	ch.lost = func(id int32) bool { b := c.state.Broker(id); return b != nil && !b.Online(p.Directory(id)) }
	return ch
}

// minISR is the least size of the ISR that commits, never more than there are replicas. It is taken from the metadata,
// so that all controllers agree.
func (c *Controller) minISR(topic string, replicas int) int {
	const key = "min.insync.replicas"
	for _, set := range []map[string]string{c.state.Config(image.TopicConfig, topic), c.state.Config(image.BrokerConfig, "")} {
		if n, err := strconv.Atoi(set[key]); err == nil {
			return min(n, replicas)
		}
	}
	return min(c.settings().Int(key), replicas)
}

func (c *Controller) uncleanAllowed(topic string) bool {
	return c.settings().Topic(c.state.Config(image.TopicConfig, topic)).UncleanLeaderElection
}

// alterPartition answers AlterPartition v2 and v3 (KIP-497, 841, 903).
func (c *Controller) alterPartition(_ RequestContext, req *kmsg.AlterPartitionRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.AlterPartitionResponse)
	if _, err := c.checkBrokerEpoch(req.BrokerID, req.BrokerEpoch); err != nil {
		return decision{}, err
	}
	var records []mr.Versioned
	for _, t := range req.Topics {
		out := kmsg.NewAlterPartitionResponseTopic()
		out.Topic, out.TopidID = t.Topic, t.TopicID
		topic := c.state.TopicByID(t.TopicID)
		missing := wire.UnknownTopicId
		if req.Version < 2 {
			topic, missing = c.state.TopicByName(t.Topic), wire.UnknownTopicOrPartition
		}
		for _, p := range t.Partitions {
			result := kmsg.NewAlterPartitionResponseTopicPartition()
			result.Partition = p.Partition
			record, err := c.alterOne(req, topic, missing, &p, &result)
			result.ErrorCode = int16(wire.CodeOf(err))
			out.Partitions = append(out.Partitions, result)
			if record != nil {
				records = append(records, mr.At(record, c.state.MetadataVersion().PartitionChangeRecord()))
			}
		}
		resp.Topics = append(resp.Topics, out)
	}
	return decision{answer: resp, records: records, canSplit: true}, nil
}

func (c *Controller) alterOne(req *kmsg.AlterPartitionRequest, topic *image.Topic, missing wire.Code, in *kmsg.AlterPartitionRequestTopicPartition, out *kmsg.AlterPartitionResponseTopicPartition) (*mr.PartitionChangeRecord, error) {
	if topic == nil {
		return nil, missing
	}
	p := topic.Partition(in.Partition)
	if p == nil {
		return nil, wire.UnknownTopicOrPartition
	}
	isr := make([]int32, 0, len(in.NewEpochISR)+len(in.NewISR))
	epochs := map[int32]int64{}
	for _, m := range in.NewEpochISR {
		isr = append(isr, m.BrokerID)
		epochs[m.BrokerID] = m.BrokerEpoch
	}
	isr = append(isr, in.NewISR...)
	if err := c.checkAlter(req, p, in, isr, epochs); err != nil {
		return nil, err
	}
	ch := c.changeOf(topic, in.Partition, p)
	if c.uncleanAllowed(topic.Name) {
		ch.election = electUnclean
	}
	ch.isr, ch.recovery = isr, in.LeaderRecoveryState
	record := ch.build()
	after := p
	if record != nil {
		merged, err := p.Merge(record)
		if err != nil {
			return nil, err
		}
		after = merged
	}
	if after.Leader != req.BrokerID {
		// A reassignment ended with this change and took the leadership along; the record stands all the same.
		if req.Version > 1 {
			return record, wire.NewLeaderElected
		}
		return record, wire.FencedLeaderEpoch
	}
	out.LeaderID, out.LeaderEpoch, out.ISR = after.Leader, after.LeaderEpoch, after.ISR
	out.LeaderRecoveryState, out.PartitionEpoch = after.LeaderRecoveryState, after.PartitionEpoch
	return record, nil
}

func (c *Controller) checkAlter(req *kmsg.AlterPartitionRequest, p *image.Partition, in *kmsg.AlterPartitionRequestTopicPartition, isr []int32, epochs map[int32]int64) error {
	switch {
	case in.LeaderEpoch > p.LeaderEpoch || in.PartitionEpoch > p.PartitionEpoch:
		return wire.NotController // the leader knows more than we: we are not the controller any more
	case in.LeaderEpoch < p.LeaderEpoch:
		return wire.FencedLeaderEpoch
	case req.BrokerID != p.Leader:
		return wire.InvalidRequest
	case in.PartitionEpoch < p.PartitionEpoch:
		return wire.InvalidUpdateVersion
	case len(isr) == 0 || missesAny(p.Replicas, isr) || len(slices.Compact(slices.Sorted(slices.Values(isr)))) != len(isr):
		return wire.InvalidRequest
	case !slices.Contains(isr, p.Leader):
		return wire.InvalidRequest
	case in.LeaderRecoveryState == image.LeaderRecovering && len(isr) > 1:
		return wire.InvalidRequest
	case in.LeaderRecoveryState == image.LeaderRecovering && p.LeaderRecoveryState == image.LeaderRecovered:
		return wire.InvalidRequest
	case in.LeaderRecoveryState != image.LeaderRecovered && in.LeaderRecoveryState != image.LeaderRecovering:
		return wire.InvalidRequest
	}
	for _, id := range isr {
		b := c.state.Broker(id)
		epoch, given := epochs[id]
		if !b.Active() || given && epoch != -1 && epoch != b.Epoch {
			if req.Version <= 1 {
				return wire.OperationNotAttempted
			}
			return wire.IneligibleReplica
		}
	}
	return nil
}

// electLeaders answers ElectLeaders v0 to v2 (KIP-183, 460).
func (c *Controller) electLeaders(_ RequestContext, req *kmsg.ElectLeadersRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.ElectLeadersResponse)
	if req.ElectionType != 0 && req.ElectionType != 1 {
		return decision{}, refuse(wire.InvalidRequest, "Unknown election type %d", req.ElectionType)
	}
	kind := electPreferred
	if req.ElectionType == 1 {
		kind = electUnclean
	}
	var records []mr.Versioned
	add := func(out *kmsg.ElectLeadersResponseTopic, name string, index int32, all bool) {
		record, err := c.electOne(name, index, kind)
		if all && wire.CodeOf(err) == wire.ElectionNotNeeded {
			return
		}
		result := kmsg.NewElectLeadersResponseTopicPartition()
		result.Partition = index
		result.ErrorCode, result.ErrorMessage = errorFields(err)
		out.Partitions = append(out.Partitions, result)
		if record != nil {
			records = append(records, mr.At(record, c.state.MetadataVersion().PartitionChangeRecord()))
		}
	}
	if req.Topics == nil {
		for _, t := range c.state.SortedTopics() {
			out := kmsg.NewElectLeadersResponseTopic()
			out.Topic = t.Name
			for i := range t.Partitions {
				add(&out, t.Name, int32(i), true)
			}
			resp.Topics = append(resp.Topics, out) // also without a partition in it, as Kafka does
		}
	}
	for _, t := range req.Topics {
		out := kmsg.NewElectLeadersResponseTopic()
		out.Topic = t.Topic
		for _, i := range t.Partitions {
			add(&out, t.Topic, i, false)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return decision{answer: resp, records: records, canSplit: true}, nil
}

func (c *Controller) electOne(name string, index int32, kind election) (*mr.PartitionChangeRecord, error) {
	t := c.state.TopicByName(name)
	if t == nil {
		return nil, refuse(wire.UnknownTopicOrPartition, "No such topic as %s", name)
	}
	p := t.Partition(index)
	if p == nil {
		return nil, refuse(wire.UnknownTopicOrPartition, "No such partition as %s-%d", name, index)
	}
	if kind == electPreferred && p.Leader == p.Preferred() || kind == electUnclean && p.HasLeader() {
		return nil, plain(wire.ElectionNotNeeded)
	}
	ch := c.changeOf(t, index, p)
	ch.election = kind
	record := ch.build()
	if record == nil || record.Leader == leaderUnchanged {
		if kind == electPreferred {
			return nil, plain(wire.PreferredLeaderNotAvailable)
		}
		return nil, plain(wire.EligibleLeadersNotAvailable)
	}
	return record, nil
}

// assignReplicasToDirs answers AssignReplicasToDirs v0 (KIP-858).
func (c *Controller) assignReplicasToDirs(_ RequestContext, req *kmsg.AssignReplicasToDirsRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.AssignReplicasToDirsResponse)
	b, err := c.checkBrokerEpoch(req.BrokerID, req.BrokerEpoch)
	if err != nil {
		return decision{}, err
	}
	var records []mr.Versioned
	for _, d := range req.Directories {
		dir := kmsg.NewAssignReplicasToDirsResponseDirectory()
		dir.ID = d.ID
		for _, t := range d.Topics {
			topic := kmsg.NewAssignReplicasToDirsResponseDirectoryTopic()
			topic.TopicID = t.TopicID
			for _, p := range t.Partitions {
				result := kmsg.NewAssignReplicasToDirsResponseDirectoryTopicPartition()
				result.Partition = p.Partition
				record, err := c.assignOne(b, d.ID, t.TopicID, p.Partition)
				result.ErrorCode = int16(wire.CodeOf(err))
				if record != nil {
					records = append(records, mr.At(record, c.state.MetadataVersion().PartitionChangeRecord()))
				}
				topic.Partitions = append(topic.Partitions, result)
			}
			dir.Topics = append(dir.Topics, topic)
		}
		resp.Directories = append(resp.Directories, dir)
	}
	return decision{answer: resp, records: records, canSplit: true}, nil
}

func (c *Controller) assignOne(b *image.Broker, dir image.UUID, id image.TopicID, index int32) (*mr.PartitionChangeRecord, error) {
	t := c.state.TopicByID(id)
	if t == nil {
		return nil, wire.UnknownTopicId
	}
	p := t.Partition(index)
	if p == nil {
		return nil, wire.UnknownTopicOrPartition
	}
	at := slices.Index(p.Replicas, b.ID)
	if at < 0 {
		return nil, wire.NotLeaderOrFollower
	}
	if p.Directory(b.ID) == dir {
		return nil, nil
	}
	var r *mr.PartitionChangeRecord
	if !b.Online(dir) && (p.InSync(b.ID) || p.Leader == b.ID) { // it says that the replica lies in a directory that it has lost
		u := updates{remove: image.NoLeader, add: image.NoLeader, unclean: image.NoLeader, offlineOf: b.ID, offline: []image.UUID{p.Directory(b.ID)}}
		r = c.updateOf(&u, t, index, p, c.uncleanAllowed(t.Name)).build()
	}
	if r == nil {
		r = mr.NewPartitionChangeRecord()
		r.TopicID, r.PartitionID = id, index
	}
	r.Directories = slices.Clone(p.Directories)
	r.Directories[at] = dir
	if slices.Contains(p.LastKnownELR, b.ID) && !b.Online(p.Directory(b.ID)) {
		r.LastKnownELR = []int32{} // what it had is gone with its directory: it begins with an empty log
	}
	return r, nil
}
