package telemetry

import "time"

// Topic counts the traffic of one topic, or of all. A node may have many thousands of them: their figures have no entries in
// the registry, which would cost kilobytes for each, but are read from here when somebody scrapes.
type Topic struct {
	MessagesIn, BytesIn, BytesOut, BytesRejected              Counter
	FailedProduce, FailedFetch, TotalProduce, TotalFetch      Counter
	ProduceConversions, FetchConversions                      Counter
	ReplicationBytesIn, ReplicationBytesOut                   Counter
	InvalidMagic, InvalidCRC, InvalidOffsetOrSequence, NoKeyC Counter
	all                                                       *Topic // nil: it is that of all
}

// topicFact is what one counter of a topic is called.
type topicFact struct {
	Fact
	of      func(*Topic) *Counter
	allOnly bool
}

var topicFacts = []topicFact{
	brokerTopic("MessagesInPerSec", "Records appended.", func(t *Topic) *Counter { return &t.MessagesIn }),
	brokerTopic("BytesInPerSec", "Bytes of records appended from clients.", func(t *Topic) *Counter { return &t.BytesIn }),
	brokerTopic("BytesOutPerSec", "Bytes of records sent to consumers.", func(t *Topic) *Counter { return &t.BytesOut }),
	brokerTopic("BytesRejectedPerSec", "Bytes of records refused.", func(t *Topic) *Counter { return &t.BytesRejected }),
	brokerTopic("FailedProduceRequestsPerSec", "Produce requests that failed, per partition.", func(t *Topic) *Counter { return &t.FailedProduce }),
	brokerTopic("FailedFetchRequestsPerSec", "Fetch requests that failed, per partition.", func(t *Topic) *Counter { return &t.FailedFetch }),
	brokerTopic("TotalProduceRequestsPerSec", "Produce requests, per partition.", func(t *Topic) *Counter { return &t.TotalProduce }),
	brokerTopic("TotalFetchRequestsPerSec", "Fetch requests, per partition.", func(t *Topic) *Counter { return &t.TotalFetch }),
	brokerTopic("ProduceMessageConversionsPerSec", "Records converted on produce: compressed anew or stamped.", func(t *Topic) *Counter { return &t.ProduceConversions }),
	brokerTopic("FetchMessageConversionsPerSec", "Records converted on fetch; always 0.", func(t *Topic) *Counter { return &t.FetchConversions }),
	ofAll("ReplicationBytesInPerSec", "Bytes fetched from leaders.", func(t *Topic) *Counter { return &t.ReplicationBytesIn }),
	ofAll("ReplicationBytesOutPerSec", "Bytes sent to followers.", func(t *Topic) *Counter { return &t.ReplicationBytesOut }),
	ofAll("InvalidMagicNumberRecordsPerSec", "Batches refused for their format version.", func(t *Topic) *Counter { return &t.InvalidMagic }),
	ofAll("InvalidMessageCrcRecordsPerSec", "Batches refused for their checksum.", func(t *Topic) *Counter { return &t.InvalidCRC }),
	ofAll("InvalidOffsetOrSequenceRecordsPerSec", "Batches refused for their offsets or sequence numbers.", func(t *Topic) *Counter { return &t.InvalidOffsetOrSequence }),
	ofAll("NoKeyCompactedTopicRecordsPerSec", "Records without key refused by compacted topics.", func(t *Topic) *Counter { return &t.NoKeyC }),
}

func brokerTopic(name, help string, of func(*Topic) *Counter) topicFact {
	return topicFact{Fact: Fact{Domain: "kafka.server", Type: "BrokerTopicMetrics", Name: name, Kind: Meter, Help: help}, of: of}
}

func ofAll(name, help string, of func(*Topic) *Counter) topicFact {
	f := brokerTopic(name, help, of)
	f.allOnly = true
	return f
}

// emitTopics hands over the figures of all topics together, and of each.
func (r *Registry) emitTopics(now time.Time, send func(Fact, Labels, figures)) {
	emit := func(t *Topic, l Labels) {
		for i := range topicFacts {
			if f := &topicFacts[i]; t.all == nil || !f.allOnly {
				c := f.of(t)
				send(f.Fact, l, figures{value: float64(c.Load()), rate: c.perSecond(now)})
			}
		}
	}
	emit(r.all, nil)
	r.topics.Range(func(name, t any) bool {
		emit(t.(*Topic), Labels{"topic", name.(string)})
		return true
	})
}

// AllTopics returns the counters of all topics together. What is counted for a topic by Count must not be
// counted here again.
func (r *Registry) AllTopics() *Topic { return r.all }

// Topic returns the counters of a topic, the same ones each time. Resolve it once per partition and keep it.
func (r *Registry) Topic(name string) *Topic {
	if t, ok := r.topics.Load(name); ok {
		return t.(*Topic)
	}
	t, _ := r.topics.LoadOrStore(name, &Topic{all: r.all})
	return t.(*Topic)
}

// RemoveTopic forgets a topic. Who still holds its counters may go on counting in vain.
func (r *Registry) RemoveTopic(name string) { r.topics.Delete(name) }

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
