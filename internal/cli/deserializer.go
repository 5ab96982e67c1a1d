package cli

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"

	"github.com/weir-stream/weir/internal/cli/client"
)

// deserializer turns bytes into the text that Java prints for the value. nil leaves bytes as they are.
type deserializer func([]byte) (string, error)

const serializationPackage = "org.apache.kafka.common.serialization."

// deserializerOf makes the deserializer that a setting names. An unknown class is logged and ignored, as in Kafka.
func deserializerOf(key string, settings client.Properties, stderr io.Writer) deserializer {
	class, ok := settings[key]
	if !ok {
		return nil
	}
	name := strings.TrimPrefix(class, serializationPackage)
	if name == "StringDeserializer" {
		return stringDeserializer(settings, key)
	}
	if d, ok := deserializers[name]; ok {
		return d
	}
	client.Logf(stderr, "ERROR", formatterPackage+"DefaultMessageFormatter", "Unable to instantiate a deserializer from %s", class)
	fmt.Fprintf(stderr, "java.lang.ClassNotFoundException: %s\n", class)
	return nil
}

var deserializers = map[string]deserializer{
	"ByteArrayDeserializer": func(b []byte) (string, error) { return string(b), nil }, // Java prints an address here
	"BytesDeserializer":     func(b []byte) (string, error) { return escapedBytes(b), nil },
	"ByteBufferDeserializer": func(b []byte) (string, error) {
		return fmt.Sprintf("java.nio.HeapByteBuffer[pos=0 lim=%d cap=%[1]d]", len(b)), nil
	},
	"ShortDeserializer":   sized("ShortDeserializer", 2, func(b []byte) string { return strconv.Itoa(int(int16(binary.BigEndian.Uint16(b)))) }),
	"IntegerDeserializer": sized("IntegerDeserializer", 4, func(b []byte) string { return strconv.Itoa(int(int32(binary.BigEndian.Uint32(b)))) }),
	"LongDeserializer":    sized("LongDeserializer", 8, func(b []byte) string { return strconv.FormatInt(int64(binary.BigEndian.Uint64(b)), 10) }),
	"FloatDeserializer": sized("Deserializer", 4, func(b []byte) string {
		return javaFloat(float64(math.Float32frombits(binary.BigEndian.Uint32(b))), 32)
	}),
	"DoubleDeserializer": sized("Deserializer", 8, func(b []byte) string {
		return javaFloat(math.Float64frombits(binary.BigEndian.Uint64(b)), 64)
	}),
	"BooleanDeserializer": booleanDeserializer,
	"UUIDDeserializer":    uuidDeserializer,
	"VoidDeserializer": func([]byte) (string, error) {
		return "", client.IllegalArgument("Data should be null for a VoidDeserializer.")
	},
}

func serializationError(format string, args ...any) error {
	return &client.Error{Class: "org.apache.kafka.common.errors.SerializationException", Message: fmt.Sprintf(format, args...)}
}

func sized(name string, size int, read func([]byte) string) deserializer {
	return func(b []byte) (string, error) {
		if len(b) != size {
			return "", serializationError("Size of data received by %s is not %d", name, size)
		}
		return read(b), nil
	}
}

func stringDeserializer(settings client.Properties, key string) deserializer {
	encoding := "UTF-8"
	for _, k := range []string{"deserializer.encoding", key} {
		if v := settings[key+"."+k+".encoding"]; v != "" {
			encoding = v
		}
	}
	if v := settings[key+".deserializer.encoding"]; v != "" {
		encoding = v
	}
	if v := settings[key+"."+key+".encoding"]; v != "" {
		encoding = v
	}
	switch strings.ToUpper(encoding) {
	case "ISO-8859-1", "LATIN1", "ISO8859-1", "ISO8859_1":
		return func(b []byte) (string, error) {
			runes := make([]rune, len(b))
			for i, c := range b {
				runes[i] = rune(c)
			}
			return string(runes), nil
		}
	case "UTF-8", "UTF8", "US-ASCII", "ASCII":
		return func(b []byte) (string, error) { return strings.ToValidUTF8(string(b), "\uFFFD"), nil }
	}
	return func([]byte) (string, error) {
		return "", serializationError("Error when deserializing byte[] to string due to unsupported encoding %s", encoding)
	}
}

func booleanDeserializer(b []byte) (string, error) {
	switch {
	case len(b) != 1:
		return "", serializationError("Size of data received by BooleanDeserializer is not 1")
	case b[0] > 1:
		return "", serializationError("Unexpected byte received by BooleanDeserializer: %d", int8(b[0]))
	}
	return strconv.FormatBool(b[0] == 1), nil
}

// uuidDeserializer reads the text form, which is what Kafka's UUIDSerializer writes.
func uuidDeserializer(b []byte) (string, error) {
	parts := strings.Split(string(b), "-")
	if len(parts) != 5 {
		return "", serializationError("Error parsing data into UUID")
	}
	raw, err := hex.DecodeString(strings.Join(parts, ""))
	if err != nil || len(raw) != 16 {
		return "", serializationError("Error parsing data into UUID")
	}
	return fmt.Sprintf("%x-%x-%x-%x-%x", raw[:4], raw[4:6], raw[6:8], raw[8:10], raw[10:]), nil
}

// escapedBytes is how Kafka's Bytes prints: printable ASCII as it is, everything else as \xHH.
func escapedBytes(b []byte) string {
	var out strings.Builder
	for _, c := range b {
		if c >= ' ' && c <= '~' && c != '\\' {
			out.WriteByte(c)
			continue
		}
		fmt.Fprintf(&out, `\x%02X`, c)
	}
	return out.String()
}

// javaFloat is Java's Double.toString and Float.toString.
func javaFloat(v float64, bits int) string {
	switch {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 0):
		return strings.Replace(strconv.FormatFloat(v, 'g', -1, 64)[:1], "+", "", 1) + "Infinity"
	case v == 0:
		if math.Signbit(v) {
			return "-0.0"
		}
		return "0.0"
	}
	if a := math.Abs(v); a >= 1e-3 && a < 1e7 {
		text := strconv.FormatFloat(v, 'f', -1, bits)
		if !strings.Contains(text, ".") {
			text += ".0"
		}
		return text
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'E', -1, bits), "E")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	n, _ := strconv.Atoi(exponent)
	return mantissa + "E" + strconv.Itoa(n)
}
