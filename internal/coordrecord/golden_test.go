package coordrecord

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/weir-stream/weir/internal/metarecord/message"
)

func byName(name string) Message {
	for _, make := range []func(int16) Message{newGroupKey, newGroupValue, newTransactionKey, newTransactionValue, newShareKey, newShareValue} {
		for t := int16(0); t < 64; t++ {
			if m := make(t); m != nil && m.RecordName() == name {
				return m
			}
		}
	}
	return nil
}

func golden(tb testing.TB) [][]string {
	tb.Helper()
	data, err := os.ReadFile("testdata/kafka-4.3.1.tsv")
	if err != nil {
		tb.Fatal(err)
	}
	var out [][]string
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		out = append(out, strings.Split(line, "\t"))
	}
	return out
}

// TestGolden reads what Apache Kafka 4.3.1's own classes wrote and writes the same bytes and the same JSON.
func TestGolden(t *testing.T) {
	seen := map[string]bool{}
	for i, cells := range golden(t) {
		version, err := strconv.Atoi(cells[1])
		if err != nil {
			t.Fatal(err)
		}
		want, err := hex.DecodeString(cells[2])
		if err != nil {
			t.Fatal(err)
		}
		m := byName(cells[0])
		if m == nil {
			t.Errorf("line %d: no type %s", i+1, cells[0])
			continue
		}
		seen[cells[0]] = true
		r := message.NewReader(want)
		m.Decode(r, int16(version))
		if r.Err() != nil || len(r.Remaining()) != 0 {
			t.Errorf("line %d: %s v%d: %v, %d bytes left", i+1, cells[0], version, r.Err(), len(r.Remaining()))
			continue
		}
		if got := m.Append(nil, int16(version)); !bytes.Equal(got, want) {
			t.Errorf("line %d: %s v%d:\n got %x\nwant %x", i+1, cells[0], version, got, want)
		}
		if got := string(m.AppendJSON(nil, int16(version))); got != cells[3] {
			t.Errorf("line %d: %s v%d:\n got %s\nwant %s", i+1, cells[0], version, got, cells[3])
		}
	}
	if len(seen) < 50 {
		t.Errorf("only %d types in the golden file", len(seen))
	}
}

func TestKeyAndValue(t *testing.T) {
	key := AppendKey(nil, &OffsetCommitKey{Group: "g", Topic: "t", Partition: 3})
	want := []byte{0, 1, 0, 1, 'g', 0, 1, 't', 0, 0, 0, 3}
	if !bytes.Equal(key, want) {
		t.Errorf("key %x, want %x", key, want)
	}
	k, err := DecodeGroupKey(key)
	if err != nil || k.(*OffsetCommitKey).Partition != 3 {
		t.Errorf("%+v, %v", k, err)
	}
	v := NewOffsetCommitValue()
	v.Offset, v.TopicID = 9, [16]byte{7}
	for version := int16(0); version <= 4; version++ {
		m, got, err := DecodeGroupValue(k.RecordType(), AppendValue(nil, v, version))
		if err != nil || got != version || m.(*OffsetCommitValue).Offset != 9 || m.(*OffsetCommitValue).LeaderEpoch != -1 {
			t.Errorf("version %d: %+v, %d, %v", version, m, got, err)
		}
	}
}

func TestUnsupported(t *testing.T) {
	if _, err := DecodeGroupKey([]byte{0, 99, 1}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("key type 99: %v", err)
	}
	if _, _, err := DecodeGroupValue(1, []byte{0, 9, 1}); !errors.Is(err, ErrUnsupported) {
		t.Errorf("value version 9: %v", err)
	}
	if _, err := DecodeGroupKey([]byte{0}); !errors.Is(err, ErrMalformed) {
		t.Errorf("half a key: %v", err)
	}
	if _, _, err := DecodeTransactionValue(0, []byte{0, 1, 2}); !errors.Is(err, ErrMalformed) {
		t.Errorf("half a value: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, cells := range golden(f) {
		b, _ := hex.DecodeString(cells[2])
		version, _ := strconv.Atoi(cells[1])
		m := byName(cells[0])
		f.Add(byte(0), m.RecordType(), AppendValue(nil, m, int16(version)))
		f.Add(byte(1), m.RecordType(), append(message.AppendInt16(nil, m.RecordType()), b...))
	}
	f.Fuzz(func(t *testing.T, kind byte, recordType int16, b []byte) {
		for _, decode := range []func([]byte) (Key, error){DecodeGroupKey, DecodeTransactionKey, DecodeShareKey} {
			if k, err := decode(b); err == nil {
				k.AppendJSON(nil, 0)
			}
		}
		for _, decode := range []func(int16, []byte) (Message, int16, error){DecodeGroupValue, DecodeTransactionValue, DecodeShareValue} {
			m, v, err := decode(recordType, b)
			if err != nil {
				continue
			}
			m.AppendJSON(nil, v)
			once := AppendValue(nil, m, v)
			again, _, err := decode(recordType, once)
			if err != nil || !bytes.Equal(AppendValue(nil, again, v), once) {
				t.Fatalf("%s v%d: %x does not stay the same: %v", m.RecordName(), v, once, err)
			}
		}
	})
}
