package handler

import (
	"slices"

	"github.com/weir-stream/weir/internal/wire"
)

// A request may name a partition, or a topic, more than once. Apache Kafka gathers what is asked for in maps: the last
// entry of a partition counts, at the place of the first, and it is answered once.

// fewEntries is up to how many entries are compared with each other; beyond, a map is cheaper.
const fewEntries = 32

// once drops the entries of s whose key came before, of which the last one stays at the first one's place. It works in
// place and allocates nothing for short lists.
func once[E any, K comparable](s []E, key func(*E) K, unite func(first, again *E)) []E {
	if len(s) < 2 {
		return s
	}
	var at map[K]int
	if len(s) > fewEntries {
		at = make(map[K]int, len(s))
	}
	kept := s[:0]
	for i := range s {
		k := key(&s[i])
		first := -1
		if j, ok := at[k]; ok {
			first = j
		}
		for j := 0; at == nil && first < 0 && j < len(kept); j++ {
			if key(&kept[j]) == k {
				first = j
			}
		}
		if first >= 0 {
			unite(&kept[first], &s[i])
			continue
		}
		if at != nil {
			at[k] = len(kept)
		}
		kept = append(kept, s[i])
	}
	return kept
}

type topicKey struct {
	name string
	id   wire.TopicID
}

// produceOnce brings a Produce request into the form that Apache Kafka handles.
func produceOnce(topics []wire.ProduceTopic) []wire.ProduceTopic {
	topics = once(topics, func(t *wire.ProduceTopic) topicKey { return topicKey{t.Name, t.ID} }, func(first, again *wire.ProduceTopic) {
		first.Partitions = append(slices.Clip(first.Partitions), again.Partitions...)
	})
	for i := range topics {
		topics[i].Partitions = once(topics[i].Partitions, func(p *wire.ProducePartition) int32 { return p.Index },
			func(first, again *wire.ProducePartition) { *first = *again })
	}
	return topics
}

// fetchOnce does the same for what a Fetch request asks for.
func fetchOnce(items []fetchItem) []fetchItem {
	return once(items, func(it *fetchItem) fetchKey { return it.key }, func(first, again *fetchItem) { *first = *again })
}
