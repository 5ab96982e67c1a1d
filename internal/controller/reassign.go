package controller

import (
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/wire"
)

// alterReassignments answers AlterPartitionReassignments v0 and v1 (KIP-455, 860).
func (c *Controller) alterReassignments(_ RequestContext, req *kmsg.AlterPartitionAssignmentsRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
	allow := req.Version < 1 || req.AllowReplicationFactorChange
	resp.AllowReplicationFactorChange = allow
	var records []mr.Versioned
	for _, t := range req.Topics {
		out := kmsg.NewAlterPartitionAssignmentsResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			result := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			result.Partition = p.Partition
			record, err := c.reassignOne(t.Topic, p, allow)
			result.ErrorCode, result.ErrorMessage = errorFields(err)
			if record != nil {
				records = append(records, mr.At(record, c.state.MetadataVersion().PartitionChangeRecord()))
			}
			out.Partitions = append(out.Partitions, result)
		}
		resp.Topics = append(resp.Topics, out)
	}
	return decision{answer: resp, records: records, canSplit: true}, nil
}

func (c *Controller) reassignOne(name string, in kmsg.AlterPartitionAssignmentsRequestTopicPartition, allow bool) (*mr.PartitionChangeRecord, error) {
	t := c.state.TopicByName(name)
	if t == nil {
		return nil, refuse(wire.UnknownTopicOrPartition, "Unable to find a topic named %s.", name)
	}
	p := t.Partition(in.Partition)
	if p == nil {
		return nil, refuse(wire.UnknownTopicOrPartition, "Unable to find partition %s:%d.", name, in.Partition)
	}
	if in.Replicas == nil {
		return c.cancelReassignment(t, in.Partition, p)
	}
	if err := c.checkManual(in.Replicas, -1); err != nil {
		return nil, err
	}
	current := without(p.Replicas, p.Adding...) // what it was before the reassignment that may be running
	if !allow && len(in.Replicas) != len(current) {
		return nil, refuse(wire.InvalidReplicationFactor, "The replication factor is changed from %d to %d", len(current), len(in.Replicas))
	}
	ch := c.changeOf(t, in.Partition, p)
	ch.removing = without(current, in.Replicas...)
	ch.adding = without(in.Replicas, current...)
	ch.replicas = append(slices.Clone(in.Replicas), ch.removing...)
	ch.isr = without(p.ISR, without(p.Replicas, ch.replicas...)...)
	if len(ch.isr) == 0 && !ch.elr {
		ch.isr = p.ISR
	}
	return ch.build(), nil
}

// cancelReassignment takes back what was added and keeps what was to go.
func (c *Controller) cancelReassignment(t *image.Topic, index int32, p *image.Partition) (*mr.PartitionChangeRecord, error) {
	if !p.Reassigning() {
		return nil, wordless(wire.NoReassignmentInProgress)
	}
	ch := c.changeOf(t, index, p)
	ch.replicas, ch.isr = without(p.Replicas, p.Adding...), without(p.ISR, p.Adding...)
	ch.removing, ch.adding = []int32{}, []int32{}
	if len(ch.isr) == 0 {
		if !c.uncleanAllowed(t.Name) {
			return nil, refuse(wire.InvalidReplicaAssignment, "Unable to revert partition assignment for %s:%d because it would require an unclean leader election.", t.Name, index)
		}
		ch.election = electUnclean
	}
	return ch.build(), nil
}

// listReassignments answers ListPartitionReassignments v0.
func (c *Controller) listReassignments(_ RequestContext, req *kmsg.ListPartitionReassignmentsRequest) (decision, error) {
	return decision{answer: Reassignments(c.state, req)}, nil
}

// Reassignments is the answer to ListPartitionReassignments that a picture of the metadata gives.
func Reassignments(img *image.Image, req *kmsg.ListPartitionReassignmentsRequest) *kmsg.ListPartitionReassignmentsResponse {
	resp := req.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
	add := func(t *image.Topic, indexes []int32) {
		out := kmsg.NewListPartitionReassignmentsResponseTopic()
		for _, i := range indexes {
			p := t.Partition(i)
			if p == nil || !p.Reassigning() {
				continue
			}
			entry := kmsg.NewListPartitionReassignmentsResponseTopicPartition()
			entry.Partition, entry.Replicas, entry.AddingReplicas, entry.RemovingReplicas = i, p.Replicas, p.Adding, p.Removing
			out.Partitions = append(out.Partitions, entry)
		}
		if len(out.Partitions) > 0 {
			out.Topic = t.Name
			resp.Topics = append(resp.Topics, out)
		}
	}
	if req.Topics == nil {
		for _, t := range img.SortedTopics() {
			all := make([]int32, len(t.Partitions))
			for i := range all {
				all[i] = int32(i)
			}
			add(t, all)
		}
	}
	for _, t := range req.Topics {
		if topic := img.TopicByName(t.Topic); topic != nil {
			add(topic, t.Partitions)
		}
	}
	return resp
}
