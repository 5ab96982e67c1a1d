package scenarios

import (
	"bytes"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

func produceVersions(s *script.Session) {
	t := createTarget(s, "produce-versions", 2)
	_, hi := s.Versions(int16(kmsg.Produce))
	for v := int16(3); v <= hi; v++ {
		batch := script.Batch{Base: s.Base, Records: script.Values("a", "b")}.Encode()
		s.Ask("acks 1", v, produceReq(t, 1, batch))
		s.Ask("acks all", v, produceReq(t, -1, batch))
		s.Ask("missing topic", v, produceReq(target{"produce-missing", [16]byte{7}}, 1, batch))
		wrong := produceReq(t, 1, batch)
		wrong.Topics[0].Partitions[0].Partition = 5
		s.Ask("missing partition", v, wrong)
		two := produceReq(t, 1, batch)
		p := kmsg.NewProduceRequestTopicPartition()
		p.Partition, p.Records = 1, batch
		two.Topics[0].Partitions = append(two.Topics[0].Partitions, p)
		s.Ask("two partitions", v, two)
		if _, err := s.Conn().Send(withVersion(produceReq(t, 0, batch), v)); err != nil {
			s.Note("acks 0", err.Error())
		}
		// The answer to the next request says that nothing came for the one before.
		s.Ask("behind acks 0", 9, metadataReq(byName("produce-versions")))
		s.Ask("acks 2", v, produceReq(t, 2, batch))
		s.Drop()
	}
	for v := range int16(3) {
		s.Ask("too old", v, produceReq(t, 1, script.Batch{Base: s.Base, Records: script.Values("a")}.Encode()))
		s.Drop()
	}
	fetchAll(s, "all of it", t)
}

func withVersion(req *kmsg.ProduceRequest, v int16) *kmsg.ProduceRequest {
	req.SetVersion(v)
	return req
}

func produceCodecs(s *script.Session) {
	headers := []kmsg.Header{{Key: "h", Value: []byte("1")}, {Key: "h", Value: nil}, {Key: "", Value: []byte{}}}
	for codec, name := range script.Codecs {
		t := createTarget(s, "produce-"+name, 1)
		records := []script.Rec{
			{Key: []byte("k"), Value: []byte(strings.Repeat("value ", 50)), Headers: headers},
			{Key: []byte{}, Value: []byte{}, At: 3},
			{Key: []byte("tombstone"), At: 2},
		}
		s.Ask(name, 9, produceReq(t, -1, script.Batch{Base: s.Base, Codec: codec, Records: records}.Encode()))
		fetchAll(s, name+" comes back", t)
		for v := int16(3); v < 9; v += 3 {
			s.Ask(name+" in an older request", v, produceReq(t, -1, script.Batch{Base: s.Base, Codec: codec, Records: records}.Encode()))
		}
		garbage := script.Batch{Base: s.Base, Codec: codec, Records: records, Edit: func(b *kmsg.RecordBatch) {
			b.Records = bytes.Repeat([]byte{0xa5}, 64)
		}}
		s.Ask(name+" garbage", 9, produceReq(t, -1, garbage.Encode()))
		cut := script.Batch{Base: s.Base, Codec: codec, Records: records, Edit: func(b *kmsg.RecordBatch) {
			b.Records = b.Records[:len(b.Records)-5]
		}}
		s.Ask(name+" cut off", 9, produceReq(t, -1, cut.Encode()))
	}
	t := createTarget(s, "produce-codec-unknown", 1)
	s.Ask("codec 5", 9, produceReq(t, -1, script.Batch{Base: s.Base, Attributes: 5, Records: script.Values("a")}.Encode()))
	s.Ask("codec 7", 9, produceReq(t, -1, script.Batch{Base: s.Base, Attributes: 7, Records: script.Values("a")}.Encode()))
	for codec, name := range script.Codecs[1:] {
		for other, otherName := range script.Codecs {
			t := createTarget(s, "produce-"+name+"-to-"+otherName, 1, "compression.type="+map[bool]string{true: "uncompressed", false: otherName}[other == 0])
			s.Ask(name+" to "+otherName, 9, produceReq(t, -1, script.Batch{Base: s.Base, Codec: codec + 1, Records: script.Values("x", "y", "z")}.Encode()))
			fetchAll(s, name+" to "+otherName+" comes back", t)
		}
	}
}

func produceRefused(s *script.Session) {
	t, next := createTarget(s, "produce-refused", 40, "max.message.bytes=1000"), int32(0)
	ask := func(label string, v int16, req *kmsg.ProduceRequest) {
		for i := range req.Topics[0].Partitions {
			req.Topics[0].Partitions[i].Partition = next
		}
		s.Ask(label, v, req)
		next++
	}
	good := script.Batch{Base: s.Base, Records: script.Values("a")}.Encode()
	big := script.Batch{Base: s.Base, Records: script.Values(strings.Repeat("x", 1000))}.Encode()
	squeezed := script.Batch{Base: s.Base, Codec: 1, Records: script.Values(strings.Repeat("x", 5000))}.Encode()
	magic := func(m byte) []byte {
		b := bytes.Clone(good)
		b[16] = m
		return b
	}
	for label, records := range inOrder(map[string][]byte{
		"no records":          {},
		"two batches":         append(bytes.Clone(good), good...),
		"too large":           big,
		"large when unpacked": squeezed,
		"magic 0":             magic(0),
		"magic 1":             magic(1),
		"magic 3":             magic(3),
		"eleven bytes":        good[:11],
		"sixty bytes":         good[:60],
		"cut off":             good[:len(good)-1],
		"a byte too many":     append(bytes.Clone(good), 0),
		"zeros":               make([]byte, 100),
	}) {
		for _, v := range []int16{3, 9} {
			ask(label, v, produceReq(t, -1, records))
		}
	}
	twice := produceReq(t, -1, good)
	twice.Topics[0].Partitions = append(twice.Topics[0].Partitions, twice.Topics[0].Partitions[0])
	ask("partition twice", 9, twice)
	s.Ask("internal topic", 9, produceReq(target{name: "__consumer_offsets"}, -1, good))
	s.Ask("bad name", 9, produceReq(target{name: "a/b"}, -1, good))
	s.Ask("no topics", 9, &kmsg.ProduceRequest{Acks: 1, TimeoutMillis: 100})
	isr := createTarget(s, "produce-isr", 1, "min.insync.replicas=2")
	s.Ask("too few replicas, acks all", 9, produceReq(isr, -1, good))
	s.Ask("too few replicas, acks 1", 9, produceReq(isr, 1, good))
	transactional := produceReq(t, -1, good)
	transactional.TransactionID = ptr("produce-transaction")
	ask("transactional id, plain batch", 9, transactional)
}

func produceInvalid(s *script.Session) {
	// Each batch goes to a partition of its own, so that one that is taken shifts no offsets of others.
	t, next := createTarget(s, "produce-invalid", 80), int32(0)
	send := func(label string, b script.Batch) {
		req := produceReq(t, -1, b.Encode())
		req.Topics[0].Partitions[0].Partition = next
		s.Ask(label, 9, req)
		kept := fetchReq(t, 0)
		kept.MinBytes, kept.Topics[0].Partitions[0].Partition = 0, next
		if resp, ok := s.Quiet(12, kept).(*kmsg.FetchResponse); ok && resp.Topics[0].Partitions[0].HighWatermark > 0 {
			s.Record(label+": what was kept", resp)
		}
		next++
	}
	three := func(edit func(*kmsg.RecordBatch), record func(int, *kmsg.Record)) script.Batch {
		return script.Batch{Base: s.Base, Records: script.Values("a", "b", "c"), Edit: edit, EditRecord: record}
	}
	head := func(f func(*kmsg.RecordBatch)) script.Batch { return three(f, nil) }
	record := func(f func(int, *kmsg.Record)) script.Batch { return three(nil, f) }
	crc := three(nil, nil)
	crc.BadCRC = true
	for label, b := range inOrder(map[string]script.Batch{
		"checksum":                 crc,
		"base offset 5":            head(func(b *kmsg.RecordBatch) { b.FirstOffset = 5 }),
		"leader epoch 3":           head(func(b *kmsg.RecordBatch) { b.PartitionLeaderEpoch = 3 }),
		"count too high":           head(func(b *kmsg.RecordBatch) { b.NumRecords = 4 }),
		"count too low":            head(func(b *kmsg.RecordBatch) { b.NumRecords = 2 }),
		"count 0":                  head(func(b *kmsg.RecordBatch) { b.NumRecords = 0 }),
		"count -1":                 head(func(b *kmsg.RecordBatch) { b.NumRecords = -1 }),
		"count of billions":        head(func(b *kmsg.RecordBatch) { b.NumRecords = 1 << 30 }),
		"last delta too high":      head(func(b *kmsg.RecordBatch) { b.LastOffsetDelta = 3 }),
		"last delta too low":       head(func(b *kmsg.RecordBatch) { b.LastOffsetDelta = 1 }),
		"last delta -1":            head(func(b *kmsg.RecordBatch) { b.LastOffsetDelta = -1 }),
		"control":                  head(func(b *kmsg.RecordBatch) { b.Attributes |= 0x20 }),
		"transactional, no id":     head(func(b *kmsg.RecordBatch) { b.Attributes |= 0x10 }),
		"log append time":          head(func(b *kmsg.RecordBatch) { b.Attributes |= 0x08 }),
		"delete horizon":           head(func(b *kmsg.RecordBatch) { b.Attributes |= 0x40 }),
		"unknown attribute":        head(func(b *kmsg.RecordBatch) { b.Attributes |= 0x100 }),
		"sequence without a pid":   head(func(b *kmsg.RecordBatch) { b.FirstSequence = 5 }),
		"pid without a sequence":   head(func(b *kmsg.RecordBatch) { b.ProducerID, b.ProducerEpoch = 5, 0 }),
		"pid without an epoch":     head(func(b *kmsg.RecordBatch) { b.ProducerID, b.FirstSequence = 5, 0 }),
		"max timestamp too low":    head(func(b *kmsg.RecordBatch) { b.MaxTimestamp-- }),
		"max timestamp too high":   head(func(b *kmsg.RecordBatch) { b.MaxTimestamp += 1000 }),
		"max timestamp -1":         head(func(b *kmsg.RecordBatch) { b.MaxTimestamp = -1 }),
		"first timestamp -1":       head(func(b *kmsg.RecordBatch) { b.FirstTimestamp, b.MaxTimestamp = -1, 1 }),
		"no timestamps":            head(func(b *kmsg.RecordBatch) { b.FirstTimestamp, b.MaxTimestamp = -1, -1 }),
		"record deltas backwards":  record(func(i int, r *kmsg.Record) { r.OffsetDelta = int32(2 - i) }),
		"record deltas with a gap": record(func(i int, r *kmsg.Record) { r.OffsetDelta = int32(i * 2) }),
		"record deltas all 0":      record(func(_ int, r *kmsg.Record) { r.OffsetDelta = 0 }),
		"record attributes":        record(func(_ int, r *kmsg.Record) { r.Attributes = 1 }),
		"record time before base":  record(func(i int, r *kmsg.Record) { r.TimestampDelta64 = int64(-10 * i) }),
		"record cut in the middle": head(func(b *kmsg.RecordBatch) { b.Records = b.Records[:len(b.Records)-3] }),
		"bytes behind the records": head(func(b *kmsg.RecordBatch) { b.Records = append(b.Records, 0, 0, 0) }),
		"record length lies":       head(func(b *kmsg.RecordBatch) { b.Records[0] += 2 }),
		"record length negative":   head(func(b *kmsg.RecordBatch) { b.Records[0] = 1 }),
		"record length huge": head(func(b *kmsg.RecordBatch) {
			b.Records = append([]byte{0xfe, 0xff, 0xff, 0xff, 0x0f}, b.Records[1:]...)
		}),
		"key length lies":       head(func(b *kmsg.RecordBatch) { b.Records[4] = 0x7e }),
		"key length -2":         head(func(b *kmsg.RecordBatch) { b.Records[4] = 3 }),
		"header count negative": head(func(b *kmsg.RecordBatch) { b.Records[len(b.Records)-1] = 1 }),
		"header count too high": head(func(b *kmsg.RecordBatch) { b.Records[len(b.Records)-1] = 0x7e }),
		"length field too high": head(func(b *kmsg.RecordBatch) { b.Length += 10 }),
		"no records at all":     {Base: s.Base},
	}) {
		send(label, b)
		for codec := 1; codec < len(script.Codecs); codec += 3 { // gzip and zstd
			if len(b.Records) > 0 && b.EditRecord != nil || strings.HasPrefix(label, "count") {
				b.Codec = codec
				send(label+", "+script.Codecs[codec], b)
			}
		}
	}
}

func produceSettings(s *script.Session) {
	hour := int64(3600_000)
	at := func(offsets ...int64) script.Batch {
		b := script.Batch{Base: s.Base}
		for _, o := range offsets {
			b.Records = append(b.Records, script.Rec{Value: []byte("x"), At: o})
		}
		return b
	}
	for label, config := range inOrder(map[string][]string{
		"before":     {"message.timestamp.before.max.ms=7200000"},
		"after":      {"message.timestamp.after.max.ms=600000"},
		"stamped":    {"message.timestamp.type=LogAppendTime"},
		"unlimited":  {},
		"compacted":  {"cleanup.policy=compact"},
		"compressed": {"compression.type=zstd"},
	}) {
		t := createTarget(s, "produce-settings-"+label, 1, config...)
		for _, v := range []int16{7, 8, 9, 10} {
			s.Ask(label+", now", v, produceReq(t, -1, at(0, 5).Encode()))
			s.Ask(label+", one of three old", v, produceReq(t, -1, at(0, -3*hour, 5).Encode()))
			s.Ask(label+", one of three in the future", v, produceReq(t, -1, at(0, 5, 3*hour).Encode()))
		}
		keyed := script.Batch{Base: s.Base, Records: []script.Rec{{Key: []byte("k"), Value: []byte("v")}, {Value: []byte("no key"), At: 1}, {Key: []byte("k"), At: 2}}}
		s.Ask(label+", one without a key", 9, produceReq(t, -1, keyed.Encode()))
		keyed.Codec = 3
		s.Ask(label+", one without a key, lz4", 9, produceReq(t, -1, keyed.Encode()))
		keyed.Records = keyed.Records[:1]
		s.Ask(label+", keyed", 9, produceReq(t, -1, keyed.Encode()))
		if label != "stamped" {
			fetchAll(s, label+" comes back", t)
		}
	}
}
