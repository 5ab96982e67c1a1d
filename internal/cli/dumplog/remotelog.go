package dumplog

import (
	"fmt"
	"strings"

	"github.com/weir-stream/weir/internal/metarecord/message"
)

// The record types of __remote_log_metadata.
const (
	remoteSegment       = 0
	remoteSegmentUpdate = 1
	remotePartition     = 2
	remoteSnapshot      = 3
)

var (
	segmentStates   = []string{"COPY_SEGMENT_STARTED", "COPY_SEGMENT_FINISHED", "DELETE_SEGMENT_STARTED", "DELETE_SEGMENT_FINISHED"}
	partitionStates = []string{"DELETE_PARTITION_MARKED", "DELETE_PARTITION_STARTED", "DELETE_PARTITION_FINISHED"}
)

// remoteLogRecord is a record of __remote_log_metadata in the words of Kafka's tiered storage, or what is wrong
// with it.
func remoteLogRecord(e *entry) string {
	text, problem := remoteLogText(e.value)
	if problem != "" {
		return fmt.Sprintf("Error at offset %d, skipping. %s", e.offset, problem)
	}
	return text
}

func remoteLogText(value []byte) (text, problem string) {
	recordType, _, r, problem := openFrame(value)
	if problem != "" {
		return "", problem
	}
	switch recordType {
	case remoteSegment, remoteSnapshot:
		text = remoteSegmentText(r, recordType == remoteSnapshot)
	case remoteSegmentUpdate:
		text = remoteUpdateText(r)
	case remotePartition:
		text = remotePartitionDelete(r)
	default:
		return "", unknownType(recordType)
	}
	r.Tags(nil)
	return text, closeFrame(recordType, r)
}

func remotePartitionDelete(r *message.Reader) string {
	partition, broker, time := remotePartitionText(r), r.Int32(), r.Int64()
	return fmt.Sprintf("RemotePartitionDeleteMetadata{topicPartition=%s, state=%s, eventTimestampMs=%d, brokerId=%d}",
		partition, state(partitionStates, r.Int8()), time, broker)
}

func state(names []string, n int8) string {
	if n >= 0 && int(n) < len(names) {
		return names[n]
	}
	return "null"
}

func remotePartitionText(r *message.Reader) string {
	name, id, partition := r.String(true), r.UUID(), r.Int32()
	r.Tags(nil)
	return fmt.Sprintf("%s:%s-%d", message.UUIDString(id), name, partition)
}

func remoteSegmentID(r *message.Reader) string {
	partition := remotePartitionText(r)
	id := r.UUID()
	r.Tags(nil)
	return fmt.Sprintf("RemoteLogSegmentId{topicIdPartition=%s, id=%s}", partition, message.UUIDString(id))
}

func customMetadata(r *message.Reader) string {
	if p := r.NullableBytes(true); p != nil {
		return fmt.Sprintf("Optional[CustomMetadata{%d bytes}]", len(p))
	}
	return "Optional.empty"
}

func remoteSegmentText(r *message.Reader, snapshot bool) string {
	name, id := "RemoteLogSegmentMetadata", "remoteLogSegmentId="
	if snapshot {
		name, id = "RemoteLogSegmentMetadataSnapshot", "segmentId="+message.UUIDString(r.UUID())
	} else {
		id += remoteSegmentID(r)
	}
	start, end, broker, maxTime, time := r.Int64(), r.Int64(), r.Int32(), r.Int64(), r.Int64()
	epochs := make([]string, 0, 4)
	for range max(0, r.RequiredArrayLen(true, 13)) {
		epochs = append(epochs, fmt.Sprintf("%d=%d", r.Int32(), r.Int64()))
		r.Tags(nil)
	}
	size, custom := r.Int32(), customMetadata(r)
	return fmt.Sprintf("%s{%s, startOffset=%d, endOffset=%d, brokerId=%d, maxTimestampMs=%d, eventTimestampMs=%d, "+
		"segmentLeaderEpochs={%s}, segmentSizeInBytes=%d, customMetadata=%s, state=%s}", name, id, start, end, broker, maxTime, time,
		strings.Join(epochs, ", "), size, custom, state(segmentStates, r.Int8()))
}

func remoteUpdateText(r *message.Reader) string {
	id, broker, time, custom := remoteSegmentID(r), r.Int32(), r.Int64(), customMetadata(r)
	return fmt.Sprintf("RemoteLogSegmentMetadataUpdate{remoteLogSegmentId=%s, customMetadata=%s, state=%s, eventTimestampMs=%d, brokerId=%d}",
		id, custom, state(segmentStates, r.Int8()), time, broker)
}
