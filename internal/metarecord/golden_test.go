package metarecord

import (
	"bytes"
	"encoding/hex"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/weir-stream/weir/internal/metarecord/message"
	"github.com/weir-stream/weir/internal/record"
)

// byName makes the message that a name in the golden file means.
func byName(name string) Message {
	for t := int16(0); t < 64; t++ {
		if r := New(t); r != nil && r.RecordName() == name {
			return r
		}
	}
	for _, m := range []Message{new(LeaderChangeMessage), new(SnapshotHeaderRecord), new(SnapshotFooterRecord), new(KRaftVersionRecord), new(VotersRecord)} {
		if m.RecordName() == name {
			return m
		}
	}
	return nil
}

// TestGolden reads what Apache Kafka 4.3.1's own classes wrote (each message in each version, with defaults, with one
// and with two of everything), and writes the same bytes and the same JSON.
func TestGolden(t *testing.T) {
	data, err := os.ReadFile("testdata/kafka-4.3.1.tsv")
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for i, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		cells := strings.Split(line, "\t")
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
	if len(seen) < 31 {
		t.Errorf("only %d types in the golden file", len(seen))
	}
}

// TestSeenBytes checks bytes that were seen in a real metadata log.
func TestSeenBytes(t *testing.T) {
	v := V0(&FeatureLevelRecord{Name: "metadata.version", FeatureLevel: 33})
	want, _ := hex.DecodeString("010c0011" + hex.EncodeToString([]byte("metadata.version")) + "002100")
	if got := v.AppendFrame(nil); !bytes.Equal(got, want) {
		t.Errorf("frame %x, want %x", got, want)
	}
	lc, _ := hex.DecodeString("00000000000102000000010002000000010000")
	m, err := DecodeControl(record.ControlLeaderChange, lc)
	if err != nil || m.(*LeaderChangeMessage).LeaderID != 1 || !bytes.Equal(m.Append(nil, 0), lc) {
		t.Errorf("LeaderChange %+v, %v", m, err)
	}
}

func TestUnknownIsKept(t *testing.T) {
	for _, frame := range [][]byte{{1, 120, 0, 1, 2, 3}, {1, 2, 9, 5}} {
		v, err := DecodeFrame(frame)
		if !errors.Is(err, ErrUnsupported) {
			t.Errorf("%x: %v", frame, err)
		}
		if got := v.AppendFrame(nil); !bytes.Equal(got, frame) {
			t.Errorf("kept %x of %x", got, frame)
		}
	}
	for _, bad := range [][]byte{nil, {1}, {2, 2, 0, 1}, {1, 2, 0, 200}, append(V0(&TopicRecord{Name: "t"}).AppendFrame(nil), 0)} {
		if _, err := DecodeFrame(bad); !errors.Is(err, ErrMalformed) {
			t.Errorf("%x: %v", bad, err)
		}
	}
}

// TestUnknownTagsAreKept: a tagged field of a later version survives being read and written.
func TestUnknownTagsAreKept(t *testing.T) {
	b := V0(&TopicRecord{Name: "t"}).Record.Append(nil, 0)
	b = append(b[:len(b)-1], 1, 9, 2, 0xca, 0xfe)
	var r TopicRecord
	rd := message.NewReader(b)
	r.Decode(rd, 0)
	if got := r.Append(nil, 0); rd.Err() != nil || !bytes.Equal(got, b) {
		t.Errorf("%x, %v; want %x", got, rd.Err(), b)
	}
}

// TestLengthsThatLie: a length far beyond the bytes must fail, and cost no memory.
func TestLengthsThatLie(t *testing.T) {
	for _, b := range [][]byte{
		{1, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f},
		{1, 14, 0, 0xff, 0xff, 0xff, 0x7f},
		{1, 2, 0, 0xff, 0xff, 0xff, 0xff, 0x0f},
	} {
		if n := testing.AllocsPerRun(1, func() {
			if _, err := DecodeFrame(b); !errors.Is(err, ErrMalformed) {
				t.Errorf("%x: %v", b, err)
			}
		}); n > 50 {
			t.Errorf("%x: %v allocations", b, n)
		}
	}
}

func FuzzDecodeFrame(f *testing.F) {
	data, err := os.ReadFile("testdata/kafka-4.3.1.tsv")
	if err != nil {
		f.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimSpace(string(data)), "\n") {
		cells := strings.Split(line, "\t")
		b, _ := hex.DecodeString(cells[2])
		if r, ok := byName(cells[0]).(Record); ok {
			v, _ := strconv.Atoi(cells[1])
			f.Add(append([]byte{1, byte(r.RecordType()), byte(v)}, b...))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		v, err := DecodeFrame(b)
		if err != nil {
			return
		}
		// What decodes is written in its one right form, which decodes to the same.
		once := v.AppendFrame(nil)
		again, err := DecodeFrame(once)
		if err != nil {
			t.Fatalf("%x does not decode: %v", once, err)
		}
		if twice := again.AppendFrame(nil); !bytes.Equal(once, twice) {
			t.Fatalf("%x became %x", once, twice)
		}
		_ = v.String()
	})
}

func FuzzDecodeControl(f *testing.F) {
	f.Add(int16(2), []byte{0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 1, 0, 2, 0, 0, 0, 1, 0, 0})
	f.Add(int16(6), []byte{0, 0, 1, 0})
	f.Fuzz(func(_ *testing.T, kind int16, b []byte) {
		if m, err := DecodeControl(record.ControlType(kind), b); err == nil {
			m.AppendJSON(nil, 0)
		}
	})
}
