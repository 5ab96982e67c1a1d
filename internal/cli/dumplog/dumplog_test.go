package dumplog

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func options(files ...string) Options {
	return Options{Files: files, Deep: true, PrintData: true, MaxBytes: math.MaxInt32, MaxMessageSize: 5 << 20}
}

func TestText(t *testing.T) {
	tests := []struct{ in, want string }{
		{"plain ü 日本", "plain ü 日本"},
		{"\xff\xfea\x80", "\ufffd\ufffda\ufffd"},
		{"\xe6\x97x", "\ufffdx"},               // two of three bytes: one mark
		{"\xe0\x80\x80", "\ufffd\ufffd\ufffd"}, // never valid: a mark each
		{"\xf0\x9f\x98", "\ufffd"},
		{"\xed\xa0\x80", "\ufffd\ufffd\ufffd"}, // a surrogate
	}
	for _, tt := range tests {
		if got := javaText([]byte(tt.in)); got != tt.want {
			t.Errorf("javaText(%q) = %q, want %q", tt.in, got, tt.want)
		}
	}
}

func TestSequenceWraps(t *testing.T) {
	if got := addSequence(math.MaxInt32-1, 3); got != 1 {
		t.Errorf("addSequence = %d, want 1", got)
	}
	if got := addSequence(-1, 3); got != -1 {
		t.Errorf("addSequence without sequence = %d, want -1", got)
	}
	if got := subtractSequence(1, 3); got != math.MaxInt32-1 {
		t.Errorf("subtractSequence = %d", got)
	}
}

func TestTruncatedRecordKeySaysWhat(t *testing.T) {
	_, _, err := groupRecords.print(&entry{offset: 7, value: []byte("x")})
	var java *JavaError
	if !errors.As(err, &java) || !strings.Contains(java.Message, "missing key") {
		t.Errorf("record without a key: %v", err)
	}
	key, _, err := groupRecords.print(&entry{offset: 7, key: []byte{0, 99}})
	if err != nil || key.text != "Unknown record type 99 at offset 7, skipping." {
		t.Errorf("unknown type: %q, %v", key.text, err)
	}
	key, _, err = groupRecords.print(&entry{offset: 7, key: []byte{0}})
	if err != nil || key.text != "Error at offset 7, skipping. Could not read version from key's buffer." {
		t.Errorf("short key: %q, %v", key.text, err)
	}
}

// FuzzDump gives any bytes to each kind of file: the dump must end, without a panic, with output in proportion.
func FuzzDump(f *testing.F) {
	for _, pattern := range []string{"*.log", "*.index", "*.timeindex", "*.txnindex", "*.snapshot", "*.checkpoint"} {
		files, err := filepath.Glob("../testdata/dumplog/*/" + pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			p, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(p, p, uint8(len(p)))
		}
	}
	names := []string{"00000000000000000000.log", "00000000000000000000.index", "00000000000000000000.timeindex",
		"00000000000000000000.txnindex", "00000000000000000000.snapshot", "00000000000000000000-0000000000.checkpoint"}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, p, log []byte, how uint8) {
		name := names[int(how)%len(names)]
		if err := os.WriteFile(filepath.Join(dir, names[0]), log, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, names[1]), p, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), p, 0o600); err != nil {
			t.Fatal(err)
		}
		o := options(filepath.Join(dir, name))
		o.Decoder = Decoder(how / 8 % 6)
		o.SkipRecordMetadata = how&1 != 0
		var out bytes.Buffer
		err := Dump(o, &out, io.Discard)
		var java *JavaError
		if err != nil && !errors.As(err, &java) {
			t.Errorf("error of another kind: %v", err)
		}
	})
}
