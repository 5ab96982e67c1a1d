//go:build conform

package conformance

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/weir-stream/weir/internal/kafkadist"
	"github.com/weir-stream/weir/internal/testkit/brokers"
)

// basePort is where the ports of these tests begin.
const basePort = 20800

// Each broker of a run begins to look for its ports at a place of its own,
// because two that start at once would find the same ones free.
const portsEach = 4

var started atomic.Int32

// heap is enough for Apache Kafka in these tests and leaves the machine room.
const heap = "512M"

// dist is the Apache Kafka to compare with, or a skip with the reason.
func dist(t *testing.T, version string) *kafkadist.Dist {
	t.Helper()
	d, err := kafkadist.Ensure(t.Context(), version, testWriter{t})
	if errors.Is(err, kafkadist.ErrMissing) {
		t.Skipf("Apache Kafka %s: %v", version, err)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", b)
	return len(b), nil
}

// apache starts Apache Kafka on an empty directory.
func apache(t *testing.T, props map[string]string) *brokers.Broker {
	t.Helper()
	return start(t, brokers.Config{Dist: dist(t, kafkadist.Current), Heap: heap, Props: props})
}

// subject starts what is to be judged: bin/weir, or a second Apache Kafka with
// WEIR_CONFORM_SUBJECT=apache, which shows whether a scenario is repeatable.
func subject(t *testing.T, props map[string]string) *brokers.Broker {
	t.Helper()
	if selfComparison() {
		return apache(t, props)
	}
	return weir(t, props)
}

func selfComparison() bool { return os.Getenv("WEIR_CONFORM_SUBJECT") == "apache" }

func weir(t *testing.T, props map[string]string) *brokers.Broker {
	t.Helper()
	return start(t, brokers.Config{Binary: binary(t), Props: props})
}

// binary is bin/weir, which make conform has built, or WEIR_CONFORM_BINARY.
func binary(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../bin/weir")
	if err != nil {
		t.Fatal(err)
	}
	if other := os.Getenv("WEIR_CONFORM_BINARY"); other != "" {
		path = other
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run make build first", err)
	}
	return path
}

func start(t *testing.T, c brokers.Config) *brokers.Broker {
	t.Helper()
	c.Port = basePort + int(started.Add(1))*portsEach
	if c.Dir == "" {
		c.Dir = t.TempDir()
	}
	b, err := brokers.Start(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the end of %s's log:\n%s", b.Name(), b.LogTail(15))
		}
	})
	return b
}
