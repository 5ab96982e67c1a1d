package telemetry

import "time"

// Topic counts the traffic of one topic, or of all.
type Topic struct {
	MessagesIn, BytesIn, BytesOut, BytesRejected              Counter
	FailedProduce, FailedFetch, TotalProduce, TotalFetch      Counter
	ProduceConversions, FetchConversions                      Counter
	ReplicationBytesIn, ReplicationBytesOut                   Counter
	InvalidMagic, InvalidCRC, InvalidOffsetOrSequence, NoKeyC Counter
	all                                                       *Topic
	keys                                                      map[string]bool
}

func brokerTopic(name, help string) Fact {
	return Fact{Domain: "kafka.server", Type: "BrokerTopicMetrics", Name: name, Kind: Meter, Help: help}
}

// newTopic declares the counters of a topic; without labels those of all topics.
func (r *Registry) newTopic(l Labels) *Topic {
	t := &Topic{keys: map[string]bool{}}
	for _, c := range []struct {
		name, help string
		counter    *Counter
		allOnly    bool
	}{
		{"MessagesInPerSec", "Records appended.", &t.MessagesIn, false},
		{"BytesInPerSec", "Bytes of records appended from clients.", &t.BytesIn, false},
		{"BytesOutPerSec", "Bytes of records sent to consumers.", &t.BytesOut, false},
		{"BytesRejectedPerSec", "Bytes of records refused.", &t.BytesRejected, false},
		{"FailedProduceRequestsPerSec", "Produce requests that failed, per partition.", &t.FailedProduce, false},
		{"FailedFetchRequestsPerSec", "Fetch requests that failed, per partition.", &t.FailedFetch, false},
		{"TotalProduceRequestsPerSec", "Produce requests, per partition.", &t.TotalProduce, false},
		{"TotalFetchRequestsPerSec", "Fetch requests, per partition.", &t.TotalFetch, false},
		{"ProduceMessageConversionsPerSec", "Records converted on produce: compressed anew or stamped.", &t.ProduceConversions, false},
		{"FetchMessageConversionsPerSec", "Records converted on fetch; always 0.", &t.FetchConversions, false},
		{"ReplicationBytesInPerSec", "Bytes fetched from leaders.", &t.ReplicationBytesIn, true},
		{"ReplicationBytesOutPerSec", "Bytes sent to followers.", &t.ReplicationBytesOut, true},
		{"InvalidMagicNumberRecordsPerSec", "Batches refused for their format version.", &t.InvalidMagic, true},
		{"InvalidMessageCrcRecordsPerSec", "Batches refused for their checksum.", &t.InvalidCRC, true},
		{"InvalidOffsetOrSequenceRecordsPerSec", "Batches refused for their offsets or sequence numbers.", &t.InvalidOffsetOrSequence, true},
		{"NoKeyCompactedTopicRecordsPerSec", "Records without key refused by compacted topics.", &t.NoKeyC, true},
	} {
		if c.allOnly && l != nil {
			continue
		}
		f := brokerTopic(c.name, c.help)
		t.keys[f.key(l)] = true
		r.add(f, l, func(now time.Time) figures {
			return figures{value: float64(c.counter.Load()), rate: c.counter.perSecond(now)}
		})
	}
	return t
}

// AllTopics returns the counters of all topics together. What is counted for a topic by Count must not be
// counted here again.
func (r *Registry) AllTopics() *Topic { return r.all }

// Topic returns the counters of a topic, the same ones each time. Resolve it once per partition and keep it.
func (r *Registry) Topic(name string) *Topic {
	if t, ok := r.topics.Load(name); ok {
		return t.(*Topic)
	}
	t := r.newTopic(Labels{"topic", name})
	t.all = r.all
	if old, loaded := r.topics.LoadOrStore(name, t); loaded {
		return old.(*Topic)
	}
	return t
}

// RemoveTopic forgets a topic. Who still holds its counters may go on counting in vain.
func (r *Registry) RemoveTopic(name string) {
	if t, ok := r.topics.LoadAndDelete(name); ok {
		r.remove(t.(*Topic).keys)
	}
}

// Produced counts an append from a client.
func (t *Topic) Produced(records, bytes int64) {
	t.MessagesIn.Add(records)
	t.BytesIn.Add(bytes)
	t.TotalProduce.Inc()
	if t.all != nil {
		t.all.Produced(records, bytes)
	}
}

// ProduceFailed counts a refused append.
func (t *Topic) ProduceFailed(bytes int64) {
	t.TotalProduce.Inc()
	t.FailedProduce.Inc()
	t.BytesRejected.Add(bytes)
	if t.all != nil {
		t.all.ProduceFailed(bytes)
	}
}

// Converted counts records that had to be changed on produce.
func (t *Topic) Converted(records int64) {
	t.ProduceConversions.Add(records)
	if t.all != nil {
		t.all.Converted(records)
	}
}

// Fetched counts an answer to a consumer.
func (t *Topic) Fetched(bytes int64) {
	t.TotalFetch.Inc()
	t.BytesOut.Add(bytes)
	if t.all != nil {
		t.all.Fetched(bytes)
	}
}

// FetchFailed counts a refused fetch.
func (t *Topic) FetchFailed() {
	t.TotalFetch.Inc()
	t.FailedFetch.Inc()
	if t.all != nil {
		t.all.FetchFailed()
	}
}

// ReplicatedIn counts bytes that came from a leader.
func (t *Topic) ReplicatedIn(bytes int64) {
	if t.all != nil {
		t.all.ReplicationBytesIn.Add(bytes)
	}
}

// ReplicatedOut counts bytes that were sent to a follower.
func (t *Topic) ReplicatedOut(bytes int64) {
	if t.all != nil {
		t.all.ReplicationBytesOut.Add(bytes)
	}
}
