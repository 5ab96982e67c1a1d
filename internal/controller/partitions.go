package controller

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/quota"
	"github.com/weir-stream/weir/internal/wire"
)

// createPartitions answers CreatePartitions v0 to v3.
func (c *Controller) createPartitions(rc RequestContext, req *kmsg.CreatePartitionsRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.CreatePartitionsResponse)
	var records []mr.Versioned
	seen := map[string]bool{}
	for _, t := range req.Topics {
		_, twice := seen[t.Topic]
		seen[t.Topic] = twice
	}
	told := map[string]bool{}
	counted := c.mutations(rc, req)
	for _, t := range req.Topics {
		if told[t.Topic] {
			continue
		}
		told[t.Topic] = true
		var recs []mr.Versioned
		err := refuse(wire.InvalidRequest, "Duplicate topic name.")
		if !seen[t.Topic] {
			recs, err = c.morePartitions(t, len(records), counted)
		}
		result := kmsg.NewCreatePartitionsResponseTopic()
		result.Topic = t.Topic
		result.ErrorCode, result.ErrorMessage = errorFields(err)
		resp.Topics = append(resp.Topics, result)
		records = append(records, recs...)
	}
	resp.ThrottleMillis = int32(counted.Wait().Milliseconds())
	if req.ValidateOnly {
		records = nil
	}
	return decision{answer: resp, records: records}, nil
}

func (c *Controller) morePartitions(t kmsg.CreatePartitionsRequestTopic, before int, counted *quota.Mutations) ([]mr.Versioned, error) {
	topic := c.state.TopicByName(t.Topic)
	if topic == nil {
		return nil, wordless(wire.UnknownTopicOrPartition)
	}
	have := len(topic.Partitions)
	switch {
	case int(t.Count) == have:
		return nil, refuse(wire.InvalidPartitions, "Topic already has %d partition(s).", have)
	case int(t.Count) < have:
		return nil, refuse(wire.InvalidPartitions, "The topic %s currently has %d partition(s); %d would not be an increase.", t.Topic, have, t.Count)
	}
	more := int(t.Count) - have
	if t.Assignment != nil && len(t.Assignment) != more {
		return nil, refuse(wire.InvalidReplicaAssignment, "Attempted to add %d additional partition(s), but only %d assignment(s) were specified.", more, len(t.Assignment))
	}
	if before+more > maxRecordsPerUserOp {
		return nil, refuse(wire.PolicyViolation, "Excessively large number of partitions per request.")
	}
	if err := beyondQuota(counted, more); err != nil {
		return nil, err
	}
	placed, err := c.placeMore(topic, t, have, more)
	if err != nil {
		return nil, err
	}
	var records []mr.Versioned
	version := c.state.MetadataVersion().PartitionRecord()
	for i, r := range placed {
		p, err := c.newPartition(r)
		if err != nil {
			if t.Assignment != nil {
				err = refuse(wire.InvalidReplicaAssignment, "All brokers specified in the manual partition assignment for partition %d are fenced or in controlled shutdown.", have+i)
			}
			return nil, err
		}
		records = append(records, mr.At(p.Record(topic.ID, int32(have+i)), version))
	}
	return records, nil
}

func (c *Controller) placeMore(topic *image.Topic, t kmsg.CreatePartitionsRequestTopic, start, more int) ([][]int32, error) {
	if have := len(topic.Partitions); have == 0 {
		return nil, fmt.Errorf("topic %q has no partitions: %w", topic.Name, wire.UnknownServerError)
	}
	factor := len(topic.Partitions[0].Replicas)
	if t.Assignment == nil {
		return c.place(start, more, factor)
	}
	var placed [][]int32
	for _, a := range t.Assignment {
		if err := c.checkManual(a.Replicas, factor); err != nil {
			return nil, err
		}
		placed = append(placed, a.Replicas)
	}
	return placed, nil
}
