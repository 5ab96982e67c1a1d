package record

import (
	"fmt"
	"strings"

	"github.com/weir-stream/weir/internal/wire"
)

// Codec is how the records of a batch are compressed, with the numbers that the attributes use.
type Codec int8

// The codecs.
const (
	None   Codec = 0
	Gzip   Codec = 1
	Snappy Codec = 2
	Lz4    Codec = 3
	Zstd   Codec = 4
)

var codecNames = [...]string{"none", "gzip", "snappy", "lz4", "zstd"}

// String is the codec's name in Kafka's configuration and tools.
func (c Codec) String() string {
	if c >= 0 && int(c) < len(codecNames) {
		return codecNames[c]
	}
	return fmt.Sprintf("codec %d", int8(c))
}

// ParseCodec turns a name into a codec: none (also uncompressed, as topics say), gzip, snappy, lz4 or zstd.
func ParseCodec(name string) (Codec, error) {
	if strings.EqualFold(name, "uncompressed") {
		return None, nil
	}
	for i, n := range codecNames {
		if strings.EqualFold(name, n) {
			return Codec(i), nil
		}
	}
	return None, fmt.Errorf("unknown compression name: %s", name)
}

// Default compression levels, as in compression.gzip.level, compression.lz4.level and compression.zstd.level.
const (
	DefaultGzipLevel = -1
	DefaultLz4Level  = 9
	DefaultZstdLevel = 3
)

// Compression is a codec with its level. Only gzip, lz4 and zstd have levels; NewCompression fills in the default.
type Compression struct {
	Codec Codec
	Level int
}

// NewCompression returns the codec at its default level.
func NewCompression(c Codec) Compression {
	switch c {
	case Gzip:
		return Compression{c, DefaultGzipLevel}
	case Lz4:
		return Compression{c, DefaultLz4Level}
	case Zstd:
		return Compression{c, DefaultZstdLevel}
	}
	return Compression{Codec: c}
}

// DefaultMaxUncompressed bounds what one batch may decompress to unless a caller says otherwise.
const DefaultMaxUncompressed = 128 << 20

var errUnknownCodec = fmt.Errorf("unknown compression type: %w", wire.UnsupportedCompressionType)

// corrupt wraps a decoder's complaint into the code that producers get for contents that cannot be read.
func corrupt(c Codec, what any) error {
	return fmt.Errorf("records are not valid %s: %v: %w", c, what, wire.InvalidRecord)
}

func tooLarge(limit int) error {
	return fmt.Errorf("records decompress to more than %d bytes: %w", limit, wire.InvalidRecord)
}
