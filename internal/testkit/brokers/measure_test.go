package brokers

import (
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	const line = "4711 (we (ir) x) S 1 4711 4711 0 -1 4194560 1 2 3 4 150 25 0 0 20 0 8 0 12345 1 2"
	got, err := parseStat(line)
	if want := 1750 * time.Millisecond; err != nil || got != want {
		t.Errorf("got %v, %v; want %v", got, err, want)
	}
	if _, err := parseStat("4711 (weir) S 1"); err == nil {
		t.Error("a short line was accepted")
	}
}
