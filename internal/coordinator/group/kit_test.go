package group

import (
	"encoding/binary"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing/synctest"
	"time"

	"github.com/weir-stream/weir/internal/coordinator"
	"github.com/weir-stream/weir/internal/coordinator/memlog"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/wire"
)

// bench is a coordinator over one partition in memory, in virtual time, whose answers are collected as lines.
type bench struct {
	cfg  Config
	logs memlog.Logs
	img  atomic.Pointer[image.Image]

	settings GroupSettings
	g        *lifecycle.Group
	c        *Coordinator

	started time.Time

	mu    sync.Mutex
	lines []string
	uuids int
}

func newBench(cfg Config) *bench {
	b := &bench{cfg: cfg, settings: GroupSettings{45 * time.Second, 5 * time.Second, time.Second}}
	b.cfg.NewMemberID = func() string { return "made-" + b.cfg.NewUUID() }
	b.cfg.NewUUID = func() string {
		b.uuids++
		return strconv.Itoa(b.uuids)
	}
	b.start()
	return b
}

func (b *bench) start() {
	quiet := slog.New(slog.DiscardHandler)
	b.g = lifecycle.New("test", quiet)
	b.c = New(b.cfg, Deps{Partitions: &b.logs, PartitionCount: func() int32 { return 1 }, Group: b.g, Logger: quiet, Image: b.image,
		GroupSettings: func(string) GroupSettings { return b.settings }})
	b.c.Elected(0, 1)
	b.started = time.Now()
	synctest.Wait()
}

// image is the metadata, without topics until there are some.
func (b *bench) image() *image.Image {
	b.img.CompareAndSwap(nil, image.Empty())
	return b.img.Load()
}

// crash forgets everything but the log.
func (b *bench) crash() {
	b.c.Close()
	synctest.Wait()
	b.g.Stop()
}

func (b *bench) say(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.lines = append(b.lines, fmt.Sprintf(format, args...))
}

// heard waits until nothing moves and returns what was answered.
func (b *bench) heard() string {
	synctest.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	out := strings.Join(b.lines, "\n")
	b.lines = nil
	if out != "" {
		out += "\n"
	}
	return out
}

func name(code int16) string { return wire.Code(code).Name() }

// subscription is a consumer's subscription to topics.
func subscription(topics []string) []byte {
	b := binary.BigEndian.AppendUint16(nil, 0)
	b = binary.BigEndian.AppendUint32(b, uint32(len(topics)))
	for _, t := range topics {
		b = binary.BigEndian.AppendUint16(b, uint16(len(t)))
		b = append(b, t...)
	}
	return binary.BigEndian.AppendUint32(b, 0)
}

// raw appends one record past the coordinator.
func (b *bench) raw(key, value []byte) {
	rt := lifecycle.New("raw", nil)
	defer rt.Stop()
	r := coordinator.NewRuntime(coordinator.Config{Topic: OffsetsTopic, Partitions: &b.logs, Group: rt,
		Logger: slog.New(slog.DiscardHandler)}, func(*coordinator.Shard) deaf { return deaf{} })
	r.Elected(0, 1)
	synctest.Wait()
	r.Run(0, func(tx *coordinator.Tx, _ deaf) { tx.Append(key, value) }, nil)
	synctest.Wait()
	r.Close()
	synctest.Wait()
}

// deaf is a machine without state.
type deaf struct{}

func (deaf) Replay(coordinator.Replayed) error { return nil }
func (deaf) ReplayMarker(int64, bool) error    { return nil }
func (deaf) Loaded(*coordinator.Tx)            {}
func (deaf) Unloaded(error)                    {}
