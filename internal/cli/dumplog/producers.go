package dumplog

import (
	"fmt"
	"hash/crc32"
	"os"
)

const (
	snapshotHeader    = 10 // version int16, crc uint32, count int32
	snapshotChecked   = 6  // where the bytes start that the CRC covers
	snapshotEntrySize = 46
	abortedSize       = 34
	maxSideFile       = 1 << 30 // bytes of a producer snapshot or transaction index
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// producerSnapshot dumps a snapshot of producer state. One that is broken is a line on the error stream, not an
// error, as with Kafka's tool.
func (d *dumper) producerSnapshot(path string) error {
	p, err := readFile(path, maxSideFile)
	if err != nil {
		return err
	}
	if what := snapshotFault(p); what != "" {
		if err := d.out.Flush(); err != nil {
			return err
		}
		fmt.Fprintln(d.errOut, what)
		return nil
	}
	for e := p[snapshotHeader:]; len(e) >= snapshotEntrySize; e = e[snapshotEntrySize:] {
		d.printProducer(e)
	}
	return nil
}

// snapshotFault says what is wrong with a snapshot, "" for nothing.
func snapshotFault(p []byte) string {
	const prefix = "Snapshot failed schema validation: "
	if len(p) < 2 {
		return prefix + "null"
	}
	if version := be16(p); version != 1 {
		return fmt.Sprintf("%sSnapshot contained an unknown file version %d", prefix, version)
	}
	if len(p) < snapshotHeader {
		return prefix + "null"
	}
	count := be32(p[snapshotChecked:])
	switch rest := len(p) - snapshotHeader; {
	case count < 0:
		return prefix + "non-nullable field producerEntries was serialized as null"
	case int(count) > rest:
		return fmt.Sprintf("%sTried to allocate a collection of size %d, but there are only %d bytes remaining.", prefix, count, rest)
	case int(count)*snapshotEntrySize > rest:
		return prefix + "null"
	}
	stored, computed := uint32(be32(p[2:])), crc32.Checksum(p[snapshotChecked:], castagnoli)
	if stored != computed {
		return fmt.Sprintf("Snapshot is corrupt (CRC is no longer valid). Stored crc: %d. Computed crc: %d", stored, computed)
	}
	return ""
}

// printProducer prints an entry: producerId int64, epoch int16, lastSequence int32, lastOffset int64, offsetDelta int32,
// timestamp int64, coordinatorEpoch int32, currentTxnFirstOffset int64.
func (d *dumper) printProducer(e []byte) {
	lastSequence, lastOffset, offsetDelta, timestamp := be32(e[10:]), be64(e[14:]), be32(e[22:]), be64(e[26:])
	first := be64(e[38:])
	d.printf("producerId: %d producerEpoch: %d coordinatorEpoch: %d currentTxnFirstOffset: %s lastTimestamp: %d",
		be64(e), be16(e[8:]), be32(e[34:]), appendOptional(nil, first >= 0, first), timestamp)
	if lastOffset >= 0 {
		d.printf(" firstSequence: %d lastSequence: %d lastOffset: %d offsetDelta: %d timestamp: %d",
			subtractSequence(lastSequence, offsetDelta), lastSequence, lastOffset, offsetDelta, timestamp)
	}
	d.printf("\n")
}

func subtractSequence(sequence, n int32) int32 {
	if sequence < n {
		return 1<<31 - 1 - (n - sequence) + 1
	}
	return sequence - n
}

// txnIndex dumps an index of aborted transactions. A tail that is shorter than an entry is left out.
func (d *dumper) txnIndex(path string) error {
	if _, err := offsetInName(path); err != nil {
		return err
	}
	if _, err := os.Stat(path); os.IsNotExist(err) {
		return nil // as many segments have none
	}
	p, err := readFile(path, maxSideFile)
	if err != nil {
		return err
	}
	// The entries are read before the first is printed, so that one of an unknown version leaves no lines.
	for e := p; len(e) >= abortedSize; e = e[abortedSize:] {
		if version := int8(e[0]); version > 0 {
			return kafkaError("Unexpected aborted transaction version %d in transaction index %s, current version is 0", version, absolute(path))
		}
	}
	for e := p; len(e) >= abortedSize; e = e[abortedSize:] {
		d.printf("version: %d producerId: %d firstOffset: %d lastOffset: %d lastStableOffset: %d\n",
			int8(e[0]), be64(e[2:]), be64(e[10:]), be64(e[18:]), be64(e[26:]))
	}
	return nil
}
