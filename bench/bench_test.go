//go:build bench

package main

import (
	"errors"
	"regexp"
	"testing"

	"github.com/weir-stream/weir/internal/kafkadist"
)

// slack is what a ratio may exceed its goal by in this short run on a busy
// machine; the goals themselves are for make bench.
const slack = 2.0

// TestQuick runs the short bench and fails when a figure is far off.
func TestQuick(t *testing.T) {
	pairs, err := measure(t.Context(), options{quick: true, rounds: 1, only: regexp.MustCompile(""), binary: "../bin/weir"})
	if errors.Is(err, kafkadist.ErrMissing) {
		t.Skip(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + table(pairs))
	for _, p := range pairs {
		if p.what == "p99" {
			continue // of a few hundred records on a busy machine it says nothing
		}
		if ratio := p.value / p.apache; p.target.most > 0 && ratio > p.target.most*slack {
			t.Errorf("%s, %s: %.3g is %.2f of Apache Kafka's %.3g, wanted %.2f", p.test, p.what, p.value, ratio, p.apache, p.target.most)
		}
	}
}

func TestMergeKeepsOtherRows(t *testing.T) {
	old := head + "| a | x | 1 |\n| b | x | 1 |\n"
	got := merge(old, head+"| b | x | 2 |\n| c | x | 3 |\n")
	if want := head + "| a | x | 1 |\n| b | x | 2 |\n| c | x | 3 |\n"; got != want {
		t.Errorf("got %s", got)
	}
}
