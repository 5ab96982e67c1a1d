package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/weir-stream/weir/internal/wire"
)

// ErrTruncated says that bytes end within a batch. A reader of a log or of a Fetch answer stops there quietly; a
// producer may not send it.
var ErrTruncated = fmt.Errorf("record batch is cut off: %w", wire.CorruptMessage)

// ErrMagic says that bytes hold a message of format 0 or 1, or of one that is not known.
var ErrMagic = errors.New("message format is not supported")

// PeekSize reads the size of the whole batch that starts at p, which must hold LogOverhead bytes. It fails, with
// an error that wraps wire.CorruptMessage, on a length that no batch can have.
func PeekSize(p []byte) (int, error) {
	if len(p) < LogOverhead {
		return 0, ErrTruncated
	}
	n := int32(binary.BigEndian.Uint32(p[posLength:]))
	// Formats 0 and 1 have a least length of 14; the magic byte, at the same place, tells them apart.
	if n < 14 || n > 1<<31-1-LogOverhead {
		return 0, fmt.Errorf("record size %d is out of range: %w", n, wire.CorruptMessage)
	}
	return LogOverhead + int(n), nil
}

// Next cuts the first batch off p. It checks the lengths and the magic, nothing else. The errors wrap ErrTruncated,
// ErrMagic (also wire.UnsupportedForMessageFormat) or wire.CorruptMessage. Next of an empty p returns ErrTruncated.
func Next(p []byte) (b Batch, rest []byte, err error) {
	if len(p) <= posMagic {
		return nil, p, ErrTruncated
	}
	size, err := PeekSize(p)
	if err != nil {
		return nil, p, err
	}
	if m := int8(p[posMagic]); m != CurrentMagic {
		return nil, p, fmt.Errorf("magic %d at offset %d: %w: %w", m, int64(binary.BigEndian.Uint64(p)), ErrMagic,
			wire.UnsupportedForMessageFormat)
	}
	if size < HeaderSize {
		return nil, p, fmt.Errorf("record batch of %d bytes is smaller than its header: %w", size, wire.CorruptMessage)
	}
	if size > len(p) {
		return nil, p, ErrTruncated
	}
	return Batch(p[:size:size]), p[size:], nil
}

// Split goes over concatenated batches. After an error it stops; the error is that of Next.
func Split(p []byte) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		for len(p) > 0 {
			b, rest, err := Next(p)
			if !yield(b, err) || err != nil {
				return
			}
			p = rest
		}
	}
}

// CheckProduced does what a broker asks of a partition's records before it looks for the partition: exactly one
// batch, of magic 2, and zstd only from Produce version 7 on. The error wraps the code that Kafka answers with.
func CheckProduced(p []byte, produceVersion int16) (Batch, error) {
	if len(p) == 0 {
		return nil, fmt.Errorf("Produce requests with version %d must have at least one record batch per partition: %w",
			produceVersion, wire.InvalidRecord)
	}
	b, rest, err := Next(p)
	switch {
	case errors.Is(err, ErrMagic):
		return nil, fmt.Errorf("Produce requests with version %d are only allowed to contain record batches with magic version 2: %w",
			produceVersion, wire.InvalidRecord)
	case err != nil:
		return nil, err
	case len(rest) > 0:
		return nil, fmt.Errorf("Produce requests with version %d are only allowed to contain exactly one record batch per partition: %w",
			produceVersion, wire.InvalidRecord)
	case produceVersion < 7 && b.Codec() == Zstd:
		return nil, fmt.Errorf("Produce requests with version %d are not allowed to use ZStandard compression: %w",
			produceVersion, wire.UnsupportedCompressionType)
	}
	return b, nil
}
