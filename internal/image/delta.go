package image

import "slices"

// Delta names what differs between two images, by key; look the values up in the images. Immutable once published.
type Delta struct {
	// From and To are the images on both sides.
	From, To *Image
	// Topics that were made, changed or removed.
	Topics map[TopicID]*TopicDelta
	// Configs are the resources whose configuration changed.
	Configs map[ConfigResource]struct{}
	// Brokers that were registered, changed or unregistered.
	Brokers map[int32]struct{}
	// Quotas are the entities whose client quotas changed.
	Quotas map[string]QuotaEntity
	// ACLs added, changed or removed.
	ACLs map[UUID]struct{}
	// Scram are the credentials that changed.
	Scram map[ScramKey]struct{}
	// Tokens are the ids of delegation tokens that changed.
	Tokens map[string]struct{}

	Features, Controllers, ProducerIDs bool
	// Snapshot says that To was loaded from a snapshot; all that differs is still named.
	Snapshot bool
}

// TopicDelta is the change of one topic.
type TopicDelta struct {
	// Old is nil for a new topic, New for a removed one.
	Old, New *Topic
	// Changed are the partitions that are new or changed, in rising order, without doubles. Empty when the
	// topic was removed.
	Changed []int32
}

// Empty reports whether nothing changed.
func (d *Delta) Empty() bool {
	return len(d.Topics) == 0 && len(d.Configs) == 0 && len(d.Brokers) == 0 && len(d.Quotas) == 0 && len(d.ACLs) == 0 &&
		len(d.Scram) == 0 && len(d.Tokens) == 0 && !d.Features && !d.Controllers && !d.ProducerIDs
}

func (d *Delta) markTopic(t *Topic) *TopicDelta {
	if d.Topics == nil {
		d.Topics = make(map[TopicID]*TopicDelta)
	}
	td := d.Topics[t.ID]
	if td == nil {
		td = &TopicDelta{}
		d.Topics[t.ID] = td
	}
	return td
}

func mark[K comparable](set *map[K]struct{}, k K) {
	if *set == nil {
		*set = make(map[K]struct{})
	}
	(*set)[k] = struct{}{}
}

// finish removes doubles and what came and went within the delta.
func (d *Delta) finish() {
	for id, td := range d.Topics {
		if td.Old == nil && td.New == nil {
			delete(d.Topics, id)
			continue
		}
		slices.Sort(td.Changed)
		td.Changed = slices.Compact(td.Changed)
	}
}

// Diff names all that differs between two images, at a cost in proportion to them. It serves after a snapshot was
// loaded.
func Diff(from, to *Image) *Delta {
	d := &Delta{From: from, To: to, Snapshot: true, ProducerIDs: from.producer != to.producer, Controllers: true}
	d.Features = !equalMaps(from.features, to.features)
	for _, t := range from.topics.all() {
		if to.TopicByID(t.ID) == nil {
			d.markTopic(t).Old = t
		}
	}
	for _, t := range to.topics.all() {
		d.diffTopic(from.TopicByID(t.ID), t)
	}
	diffTables(from.configs, to.configs, &d.Configs, equalMaps[string, string])
	diffTables(from.acls, to.acls, &d.ACLs, func(a, b *ACL) bool { return *a == *b })
	diffTables(from.scram, to.scram, &d.Scram, func(a, b *ScramCredential) bool { return a == b })
	diffTables(from.tokens, to.tokens, &d.Tokens, func(a, b *DelegationToken) bool { return a == b })
	var quotas map[string]struct{}
	diffTables(from.quotas, to.quotas, &quotas, func(a, b *ClientQuota) bool { return equalMaps(a.Values, b.Values) })
	for k := range quotas {
		q, ok := to.quotas.get(k)
		if !ok {
			q, _ = from.quotas.get(k)
		}
		d.markQuota(q.Entity)
	}
	for id, b := range from.brokers {
		if to.brokers[id] != b {
			mark(&d.Brokers, id)
		}
	}
	for id, b := range to.brokers {
		if from.brokers[id] != b {
			mark(&d.Brokers, id)
		}
	}
	d.finish()
	return d
}

func (d *Delta) markQuota(e QuotaEntity) {
	if d.Quotas == nil {
		d.Quotas = make(map[string]QuotaEntity)
	}
	d.Quotas[e.key()] = e
}

func (d *Delta) diffTopic(old, now *Topic) {
	if old == now {
		return
	}
	td := d.markTopic(now)
	td.Old, td.New = old, now
	for p := range now.Partitions {
		if old.Partition(int32(p)) != now.Partitions[p] {
			td.Changed = append(td.Changed, int32(p))
		}
	}
}

func diffTables[K comparable, V any](from, to table[K, V], into *map[K]struct{}, equal func(a, b V) bool) {
	for k, v := range from.all() {
		if w, ok := to.get(k); !ok || !equal(v, w) {
			mark(into, k)
		}
	}
	for k := range to.all() {
		if _, ok := from.get(k); !ok {
			mark(into, k)
		}
	}
}

func equalMaps[K, V comparable](a, b map[K]V) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || v != w {
			return false
		}
	}
	return true
}
