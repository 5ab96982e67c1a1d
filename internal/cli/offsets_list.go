package cli

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
)

// The special timestamps of ListOffsets.
const (
	offsetLatest       = -1
	offsetEarliest     = -2
	offsetMaxTimestamp = -3
)

// listedOffset is what a broker says of a partition's offset. offset is -1 when nothing has the timestamp.
type listedOffset struct {
	offset      int64
	timestamp   int64
	leaderEpoch int32
	err         error
}

// listOffsets asks the leaders of partitions for the offset at a timestamp (or at one of the special ones). A
// partition that no leader answered for has the error of the call.
func listOffsets(ctx context.Context, admin *client.Admin, partitions []topicPartition, timestamp int64) map[topicPartition]listedOffset {
	out := map[topicPartition]listedOffset{}
	if len(partitions) == 0 {
		return out
	}
	byTopic := map[string][]int32{}
	for _, tp := range partitions {
		byTopic[tp.topic] = append(byTopic[tp.topic], tp.partition)
	}
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	for topic, indexes := range byTopic {
		t := kmsg.NewListOffsetsRequestTopic()
		t.Topic = topic
		for _, i := range indexes {
			p := kmsg.NewListOffsetsRequestTopicPartition()
			p.Partition, p.Timestamp, p.CurrentLeaderEpoch = i, timestamp, -1
			t.Partitions = append(t.Partitions, p)
		}
		req.Topics = append(req.Topics, t)
	}
	for _, shard := range admin.CallSharded(ctx, "listOffsets", req) {
		if shard.Err != nil {
			if asked, ok := shard.Req.(*kmsg.ListOffsetsRequest); ok {
				for _, t := range asked.Topics {
					for _, p := range t.Partitions {
						out[topicPartition{t.Topic, p.Partition}] = listedOffset{offset: -1, err: shard.Err}
					}
				}
			}
			continue
		}
		for _, t := range shard.Resp.(*kmsg.ListOffsetsResponse).Topics {
			for _, p := range t.Partitions {
				out[topicPartition{t.Topic, p.Partition}] = listedOffset{p.Offset, p.Timestamp, p.LeaderEpoch, client.Coded(p.ErrorCode, nil)}
			}
		}
	}
	for _, tp := range partitions {
		if _, ok := out[tp]; !ok {
			out[tp] = listedOffset{offset: -1, err: client.Coded(kerr.UnknownTopicOrPartition.Code, nil)}
		}
	}
	return out
}

// partitionState is what the metadata say of a partition.
type partitionState struct {
	tp     topicPartition
	leader int32 // -1 for none
}

// topicPartitions are the partitions of the named topics (of all topics, for nil), by topic and index. The error is
// that of the first topic in trouble, together with its name.
func topicPartitions(ctx context.Context, admin *client.Admin, topics []string) (states []partitionState, troubled string, err error) {
	req := kmsg.NewPtrMetadataRequest()
	if topics != nil {
		if len(topics) == 0 {
			return nil, "", nil
		}
		req.Topics = []kmsg.MetadataRequestTopic{}
		for _, name := range topics {
			t := kmsg.NewMetadataRequestTopic()
			t.Topic = kmsg.StringPtr(name)
			req.Topics = append(req.Topics, t)
		}
	}
	raw, err := admin.Call(ctx, "describeTopics", req)
	if err != nil {
		return nil, "", err
	}
	for _, t := range raw.(*kmsg.MetadataResponse).Topics {
		if t.Topic == nil {
			continue
		}
		if err := client.Coded(t.ErrorCode, nil); err != nil {
			return nil, *t.Topic, err
		}
		for _, p := range t.Partitions {
			states = append(states, partitionState{topicPartition{*t.Topic, p.Partition}, p.Leader})
		}
	}
	slices.SortFunc(states, func(a, b partitionState) int { return a.tp.compare(b.tp) })
	return states, "", nil
}
