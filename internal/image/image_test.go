package image

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/record"
)

// dump is everything an image says, as the records of a snapshot; the order of unordered things is made fixed.
func dump(i *Image) []string {
	var out []string
	i.Snapshot().Records(func(v mr.Versioned) bool {
		out = append(out, v.String())
		return true
	})
	slices.Sort(out)
	return append(out, fmt.Sprintf("%d topics, %d partitions", i.TopicCount(), i.PartitionCount()))
}

// world draws records that are possible in the present image.
type world struct {
	t   *rapid.T
	img *Image
	n   byte
}

func (w *world) id() TopicID {
	w.n++
	return TopicID{w.n, 0xee, byte(rapid.IntRange(0, 255).Draw(w.t, "id"))}
}

func (w *world) topic() *Topic {
	all := w.img.SortedTopics()
	if len(all) == 0 {
		return nil
	}
	return all[rapid.IntRange(0, len(all)-1).Draw(w.t, "topic")]
}

func (w *world) brokers() []int32 {
	return rapid.SliceOfNDistinct(rapid.Int32Range(1, 5), 1, 3, rapid.ID[int32]).Draw(w.t, "brokers")
}

// draw returns the records of one step, all of which fit the image.
func (w *world) draw() []mr.Versioned {
	value := rapid.SampledFrom([]string{"1", "2", "x"}).Draw(w.t, "value")
	switch rapid.IntRange(0, 9).Draw(w.t, "kind") {
	case 0, 1:
		t := &mr.TopicRecord{Name: fmt.Sprintf("t%d", w.n), TopicID: w.id()}
		if w.img.TopicByName(t.Name) != nil {
			return nil
		}
		out := []mr.Versioned{mr.V0(t)}
		for i := range rapid.Int32Range(0, 4).Draw(w.t, "partitions") {
			r := w.brokers()
			out = append(out, mr.At(&mr.PartitionRecord{PartitionID: i, TopicID: t.TopicID, Replicas: r, ISR: r, Leader: r[0], Directories: make([][16]byte, len(r))}, 2))
		}
		return out
	case 2:
		if t := w.topic(); t != nil {
			return []mr.Versioned{mr.V0(&mr.RemoveTopicRecord{TopicID: t.ID})}
		}
	case 3, 4:
		t := w.topic()
		if t == nil || len(t.Partitions) == 0 {
			return nil
		}
		c := mr.NewPartitionChangeRecord()
		c.TopicID, c.PartitionID = t.ID, rapid.Int32Range(0, int32(len(t.Partitions))-1).Draw(w.t, "partition")
		if rapid.Bool().Draw(w.t, "leader") {
			c.Leader = w.brokers()[0]
		}
		c.ISR = w.brokers()
		c.EligibleLeaderReplicas = w.brokers()
		return []mr.Versioned{mr.At(c, 2)}
	case 5:
		name, v := "", &value
		if t := w.topic(); t != nil {
			name = t.Name
		}
		if rapid.Bool().Draw(w.t, "unset") {
			v = nil
		}
		return []mr.Versioned{mr.V0(&mr.ConfigRecord{ResourceType: int8(TopicConfig), ResourceName: name, Name: value, Value: v})}
	case 6:
		id := rapid.Int32Range(1, 5).Draw(w.t, "broker")
		if b := w.img.Broker(id); b != nil {
			return []mr.Versioned{mr.At(&mr.BrokerRegistrationChangeRecord{BrokerID: id, BrokerEpoch: b.Epoch, Fenced: -1}, 1)}
		}
		return []mr.Versioned{mr.At(&mr.RegisterBrokerRecord{BrokerID: id, BrokerEpoch: int64(w.n), Fenced: true, LogDirs: [][16]byte{{byte(id), 1}}}, 4)}
	case 7:
		u := &value
		if rapid.Bool().Draw(w.t, "default") {
			u = nil
		}
		return []mr.Versioned{mr.V0(&mr.ClientQuotaRecord{Entity: []mr.ClientQuotaRecordEntityData{{EntityType: "user", EntityName: u}}, Key: "k", Value: 3, Remove: rapid.Bool().Draw(w.t, "remove")})}
	case 8:
		return []mr.Versioned{mr.V0(&mr.ClearElrRecord{}), mr.V0(&mr.FeatureLevelRecord{Name: value, FeatureLevel: rapid.Int16Range(0, 2).Draw(w.t, "level")}),
			mr.V0(&mr.AccessControlEntryRecord{ID: UUID{byte(len(value))}, Principal: value}), mr.V0(&mr.UserScramCredentialRecord{Name: value, Mechanism: 1, Salt: []byte{1}, StoredKey: []byte{2}, ServerKey: []byte{3}}),
			mr.V0(&mr.DelegationTokenRecord{TokenID: value}), mr.V0(&mr.ProducerIdsRecord{NextProducerID: int64(w.n)})}
	case 9:
		return []mr.Versioned{mr.V0(&mr.RemoveAccessControlEntryRecord{ID: UUID{1}}), mr.V0(&mr.RemoveUserScramCredentialRecord{Name: value, Mechanism: 1}), mr.V0(&mr.RemoveDelegationTokenRecord{TokenID: value})}
	}
	return nil
}

// TestImagesNeverChange: an image made step by step is the one made in one go and the one loaded from its own snapshot;
// the images in between stay what they were; and the delta of a step is what a comparison of both images finds.
func TestImagesNeverChange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := &world{t: t, img: Empty()}
		var all []mr.Versioned
		var images []*Image
		var dumps [][]string
		for step := range rapid.IntRange(1, 40).Draw(t, "steps") {
			records := w.draw()
			next, delta, err := w.img.Apply(Provenance{Offset: int64(step)}, records...)
			if err != nil {
				t.Fatal(err)
			}
			checkDelta(t, w.img, next, delta)
			all = append(all, records...)
			w.img = next
			images, dumps = append(images, next), append(dumps, dump(next))
		}
		for i, img := range images {
			if d := cmp.Diff(dumps[i], dump(img)); d != "" {
				t.Fatalf("image %d has changed: %s", i, d)
			}
		}
		once, _, err := Empty().Apply(w.img.Provenance(), all...)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(dump(w.img), dump(once)); d != "" {
			t.Fatalf("all at once: %s", d)
		}
		var snapshot []mr.Versioned
		w.img.Snapshot().Records(func(v mr.Versioned) bool { snapshot = append(snapshot, v); return true })
		loaded, _, err := Empty().Apply(w.img.Provenance(), snapshot...)
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(dump(w.img), dump(loaded)); d != "" {
			t.Fatalf("from its snapshot: %s", d)
		}
	})
}

func checkDelta(t *rapid.T, from, to *Image, got *Delta) {
	want := Diff(from, to)
	for id, w := range want.Topics {
		g := got.Topics[id]
		if g == nil || g.Old != w.Old || g.New != w.New {
			t.Fatalf("topic %x: %+v, comparison finds %+v", id, g, w)
		}
		for _, p := range w.Changed {
			if !slices.Contains(g.Changed, p) {
				t.Fatalf("topic %x: partition %d is not in %v", id, p, g.Changed)
			}
		}
	}
	for r := range want.Configs {
		if _, ok := got.Configs[r]; !ok {
			t.Fatalf("configs of %v are not in the delta", r)
		}
	}
	for _, sets := range [][2][]int32{{slices.Sorted(maps.Keys(want.Brokers)), slices.Sorted(maps.Keys(got.Brokers))}} {
		for _, id := range sets[0] {
			if !slices.Contains(sets[1], id) {
				t.Fatalf("broker %d is not in the delta", id)
			}
		}
	}
	if want.Features && !got.Features || want.ProducerIDs && !got.ProducerIDs || len(want.ACLs) > len(got.ACLs) || len(want.Scram) > len(got.Scram) || len(want.Tokens) > len(got.Tokens) || len(want.Quotas) > len(got.Quotas) {
		t.Fatalf("delta %+v lacks something of %+v", got, want)
	}
}

func TestRecordsThatCannotBe(t *testing.T) {
	img, _, err := Empty().Apply(Provenance{}, mr.V0(&mr.TopicRecord{Name: "a", TopicID: TopicID{1}}))
	if err != nil {
		t.Fatal(err)
	}
	change := mr.NewPartitionChangeRecord()
	change.TopicID = TopicID{1}
	for _, r := range []mr.Record{
		&mr.TopicRecord{Name: "a", TopicID: TopicID{2}},
		&mr.TopicRecord{Name: "b", TopicID: TopicID{1}},
		&mr.RemoveTopicRecord{TopicID: TopicID{9}},
		&mr.PartitionRecord{TopicID: TopicID{9}},
		&mr.PartitionRecord{TopicID: TopicID{1}, PartitionID: 1 << 30},
		&mr.PartitionRecord{TopicID: TopicID{1}, PartitionID: -1},
		&mr.PartitionRecord{TopicID: TopicID{1}, Replicas: []int32{1}, Directories: [][16]byte{{}, {}}},
		change,
		&mr.ClearElrRecord{TopicName: "nowhere"},
		&mr.UnregisterBrokerRecord{BrokerID: 4},
		&mr.FenceBrokerRecord{ID: 4},
	} {
		if _, _, err := img.Apply(Provenance{}, mr.V0(r)); err == nil {
			t.Errorf("%s was taken: %+v", r.RecordName(), r)
		}
	}
}

// batch makes a batch of the metadata log.
func batch(t *testing.T, base int64, records ...mr.Record) record.Batch {
	t.Helper()
	var b record.Builder
	b.Reset(record.Compression{}, base)
	for _, r := range records {
		b.Append(1000, nil, mr.V0(r).AppendFrame(nil))
	}
	out, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestMetadataTransactions is rule B21: nothing is published between Begin and End, and an abort undoes.
func TestMetadataTransactions(t *testing.T) {
	var published []*Image
	l := NewLoader(func(i *Image, _ *Delta) { published = append(published, i) }, nil)
	l.Release()
	topic := func(n byte) mr.Record { return &mr.TopicRecord{Name: string('a' + rune(n)), TopicID: TopicID{n, 1}} }
	commit := func(b ...record.Batch) {
		t.Helper()
		if err := l.Commit(b); err != nil {
			t.Fatal(err)
		}
	}
	commit(batch(t, 0, topic(0)))
	n := len(published)
	commit(batch(t, 1, topic(1), &mr.BeginTransactionRecord{}, topic(2)))
	if l.Image().TopicByName("c") != nil || l.Pending() != nil || !l.InTransaction() {
		t.Errorf("inside a transaction: %v published", l.Image().TopicByName("c"))
	}
	if l.Image().TopicByName("b") == nil || len(published) != n+1 {
		t.Errorf("what came before the transaction is not published")
	}
	commit(batch(t, 4, topic(3)))
	if img, inTx := l.Settled(); !inTx || img.TopicByName("d") != nil {
		t.Errorf("settled state has what the transaction did")
	}
	commit(batch(t, 5, &mr.EndTransactionRecord{}))
	if l.Image().TopicByName("c") == nil || l.Image().TopicByName("d") == nil || l.Image().Offset() != 5 {
		t.Errorf("after the end: %+v", dump(l.Image()))
	}
	commit(batch(t, 6, &mr.BeginTransactionRecord{}, topic(4)), batch(t, 8, &mr.AbortTransactionRecord{}, topic(5)))
	if l.Image().TopicByName("e") != nil || l.Image().TopicByName("f") == nil {
		t.Errorf("after an abort: %v", dump(l.Image()))
	}
	if err := l.Commit([]record.Batch{batch(t, 10, &mr.EndTransactionRecord{})}); err == nil {
		t.Error("the end of no transaction was taken")
	}
}

// TestHeldLoaderPublishesOnce: a long log is published as one image with one delta.
func TestHeldLoaderPublishesOnce(t *testing.T) {
	var deltas []*Delta
	l := NewLoader(func(_ *Image, d *Delta) { deltas = append(deltas, d) }, nil)
	for i := range int64(50) {
		if err := l.Commit([]record.Batch{batch(t, i, &mr.TopicRecord{Name: fmt.Sprint("t", i), TopicID: TopicID{byte(i), 1}})}); err != nil {
			t.Fatal(err)
		}
	}
	l.Release()
	if len(deltas) != 1 || len(deltas[0].Topics) != 50 || l.Image().Offset() != 49 {
		t.Errorf("%d publications", len(deltas))
	}
}

func TestUnknownRecordsSurviveASnapshot(t *testing.T) {
	var told error
	l := NewLoader(func(*Image, *Delta) {}, func(err error) { told = err })
	l.Release()
	u := &mr.Unknown{ID: 99, Frame: []byte{1, 99, 0, 42}}
	if err := l.Commit([]record.Batch{batch(t, 0, u)}); err != nil {
		t.Fatal(err)
	}
	var last mr.Versioned
	l.Image().Snapshot().Records(func(v mr.Versioned) bool { last = v; return true })
	if !errors.Is(told, mr.ErrUnsupported) || last.Record == nil || string(last.AppendFrame(nil)) != string(u.Frame) {
		t.Errorf("told %v, snapshot ends with %v", told, last)
	}
}

func TestMetadataVersions(t *testing.T) {
	for name, want := range map[string]MetadataVersion{"4.3-IV0": 30, "4.3": 30, "4.3.1": 30, "3.9": 21, "4.4": 33, "3.3-IV3": 7, "2.8": 0, "": 0, "4": 0} {
		if got, ok := MetadataVersionOf(name); got != want || ok != (want != 0) {
			t.Errorf("%q is %d, %v; want %d", name, got, ok, want)
		}
	}
	if MetadataVersion(30).String() != "4.3-IV0" || MetadataVersion(7).String() != "3.3-IV3" || MetadataVersion(34).Known() {
		t.Error("names of metadata versions")
	}
}

// BenchmarkOneChange shows what one change costs in an image of 60,000 partitions.
func BenchmarkOneChange(b *testing.B) {
	e := Empty().Edit()
	var ids []TopicID
	for i := range 10000 {
		id := TopicID{byte(i), byte(i >> 8), 1}
		ids = append(ids, id)
		if err := e.Replay(mr.V0(&mr.TopicRecord{Name: fmt.Sprint("t", i), TopicID: id})); err != nil {
			b.Fatal(err)
		}
		for p := range int32(6) {
			r := []int32{1, 2, 3}
			if err := e.Replay(mr.At(&mr.PartitionRecord{PartitionID: p, TopicID: id, Replicas: r, ISR: r, Leader: 1}, 2)); err != nil {
				b.Fatal(err)
			}
		}
	}
	img, _ := e.Finish(Provenance{})
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		c := mr.NewPartitionChangeRecord()
		c.TopicID, c.PartitionID, c.Leader = ids[i%len(ids)], 0, 2
		var err error
		if img, _, err = img.Apply(Provenance{Offset: int64(i)}, mr.At(c, 2)); err != nil {
			b.Fatal(err)
		}
	}
}
