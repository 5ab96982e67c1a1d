package txn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator/memlog"
	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/wire"
)

// world is a coordinator over one partition in memory, and the partitions of a topic as they take data and markers: requests
// and answers between the two are lost or come twice, and the coordinator forgets all but its log. It checks what transactions
// promise.
type world struct {
	t       *testing.T
	rng     *rand.Rand
	logs    memlog.Logs
	g       *lifecycle.Group
	c       *Coordinator
	version int8
	epoch   int32

	mu     sync.Mutex
	net    *rand.Rand // decides what the network does; the rest is decided by rng
	nextID int64
	parts  [3]map[int64]*openData // by producer id
	seen   [3]map[int64]Producer
	fate   map[string]string // of each transaction: committed or aborted
	loss   int               // percent of requests and of answers that are lost
}

// openData is what a partition has of a producer's transaction.
type openData struct {
	name  string
	epoch int16
}

func (w *world) Leader(log.TopicPartition) (int32, bool) { return 1, true }
func (w *world) Version() int8                           { return w.version }

// Ask implements Cluster: the partitions' side of WriteTxnMarkers, by the rules of package log.
func (w *world) Ask(_ context.Context, _ int32, r kmsg.Request) (kmsg.Response, error) {
	req := r.(*kmsg.WriteTxnMarkersRequest)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.net.IntN(100) < w.loss {
		return nil, errors.New("the request is lost")
	}
	resp := kmsg.NewPtrWriteTxnMarkersResponse()
	for times := 1 + w.net.IntN(2); times > 0; times-- {
		resp.Markers = nil
		for i := range req.Markers {
			resp.Markers = append(resp.Markers, w.mark(&req.Markers[i]))
		}
	}
	if w.net.IntN(100) < w.loss {
		return nil, errors.New("the answer is lost")
	}
	return resp, nil
}

func (w *world) mark(m *kmsg.WriteTxnMarkersRequestMarker) kmsg.WriteTxnMarkersResponseMarker {
	out := kmsg.NewWriteTxnMarkersResponseMarker()
	out.ProducerID = m.ProducerID
	t := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
	t.Topic = "t"
	for _, index := range m.Topics[0].Partitions {
		p := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
		p.Partition = index
		known, open := w.seen[index][m.ProducerID], w.parts[index][m.ProducerID]
		switch {
		case w.net.IntN(100) < w.loss:
			p.ErrorCode = int16(wire.NotLeaderOrFollower) // it moves
		case m.ProducerEpoch < known.Epoch, m.TransactionVersion >= 2 && open != nil && m.ProducerEpoch == known.Epoch && m.ProducerEpoch != 1<<15-1:
			p.ErrorCode = int16(wire.InvalidProducerEpoch)
		default:
			w.seen[index][m.ProducerID] = Producer{m.ProducerID, m.ProducerEpoch}
			if open != nil {
				w.decide(open.name, m.Committed)
				delete(w.parts[index], m.ProducerID)
			}
		}
		t.Partitions = append(t.Partitions, p)
	}
	out.Topics = append(out.Topics, t)
	return out
}

// decide holds atomicity: all partitions of a transaction see the same end.
func (w *world) decide(name string, commit bool) {
	end := "aborted"
	if commit {
		end = "committed"
	}
	if before, ok := w.fate[name]; ok && before != end {
		w.t.Errorf("transaction %s is %s and %s", name, before, end)
	}
	w.fate[name] = end
}

func (w *world) start() {
	quiet := slog.New(slog.DiscardHandler)
	w.g = lifecycle.New("test", quiet)
	w.c = New(Config{AbortInterval: time.Second, RemoveInterval: time.Hour}, Deps{Partitions: &w.logs, PartitionCount: func() int32 { return 1 }, Cluster: w,
		NewProducerID: func(context.Context) (int64, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.nextID++
			return w.nextID, nil
		}, Group: w.g, Logger: quiet})
	w.epoch++
	w.c.Elected(0, w.epoch)
	synctest.Wait()
}

func (w *world) crash() {
	w.c.Close()
	synctest.Wait()
	w.g.Stop()
}

// client is a producer of the one transactional id; several of them fence each other.
type client struct {
	p    Producer
	open string // the transaction it is in
}

// write is data of the client's transaction in a partition, by the rules of package log: it counts if the coordinator says that
// the partition is in the transaction and nobody has fenced the producer there.
func (w *world) write(c *client, index int32) bool {
	verified := false
	w.c.AddPartitions("x", c.p, []log.TopicPartition{{Topic: "t", Partition: index}}, w.version, func(code wire.Code) { verified = code == wire.None })
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if known, ok := w.seen[index][c.p.ID]; !verified || ok && c.p.Epoch < known.Epoch {
		return false
	}
	if open := w.parts[index][c.p.ID]; open != nil && open.name != c.open {
		w.t.Errorf("data of %s gets into transaction %s", c.open, open.name)
	}
	if fate, ended := w.fate[c.open]; ended {
		w.t.Errorf("data of transaction %s after it was %s", c.open, fate)
	}
	w.seen[index][c.p.ID] = c.p
	w.parts[index][c.p.ID] = &openData{c.open, c.p.Epoch}
	return true
}

func (w *world) end(c *client, commit bool) (wire.Code, bool) {
	code, answered := wire.None, false
	w.c.EndTransaction("x", c.p, commit, w.version >= 2, func(got wire.Code, now Producer) {
		code, answered = got, true
		if got == wire.None && w.version >= 2 {
			c.p = now
		}
	})
	synctest.Wait()
	return code, answered
}

func (w *world) init(c *client) bool {
	ok := false
	w.c.InitProducer("x", 5000, nil, func(code wire.Code, p Producer) {
		if ok = code == wire.None; ok {
			c.p = p
		}
	})
	synctest.Wait()
	return ok
}

func (w *world) step(clients []*client, names *int, promised map[string]string) {
	log := w.logs.Log(0)
	switch k := w.rng.IntN(100); {
	case k < 4:
		if w.rng.IntN(2) == 0 {
			log.Hold() // what is under way when it ends is lost or not
			epoch := w.epoch
			defer func() {
				if w.rng.IntN(2) == 0 {
					log.Fail(wire.NotLeaderOrFollower)
					if w.epoch != epoch { // who has loaded what is cut off now does not lead any more
						w.crash()
						w.start()
					}
				} else {
					log.Release()
				}
				synctest.Wait()
			}()
			w.step(clients, names, promised)
			return
		}
		w.crash()
		w.start()
	case k < 12:
		<-time.After(time.Duration(w.rng.IntN(3000)) * time.Millisecond)
		synctest.Wait()
	default:
		c := clients[w.rng.IntN(len(clients))]
		switch {
		case c.p.ID == 0 || w.rng.IntN(20) == 0:
			c.p, c.open = Producer{}, "" // without an answer it has no producer
			w.init(c)
		case c.open == "":
			*names++
			c.open = fmt.Sprint("T", *names)
			fallthrough
		case w.rng.IntN(3) > 0:
			if !w.write(c, int32(w.rng.IntN(3))) {
				c.p, c.open = Producer{}, "" // it begins anew
			}
		default:
			commit := w.rng.IntN(3) > 0
			code, answered := w.end(c, commit)
			if answered && code == wire.None && commit {
				promised[c.open] = "committed"
			}
			if !answered || code != wire.None {
				c.p = Producer{}
			}
			c.open = ""
		}
	}
}

// TestHistories plays random histories; WEIR_TXN_SEEDS asks for more of them.
func TestHistories(t *testing.T) {
	seeds := 150
	if n, err := strconv.Atoi(os.Getenv("WEIR_TXN_SEEDS")); err == nil {
		seeds = n
	}
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			w := &world{t: t, rng: rand.New(rand.NewPCG(uint64(seed), 1)), net: rand.New(rand.NewPCG(uint64(seed), 2)), version: int8(seed % 3), fate: map[string]string{}}
			w.loss = w.rng.IntN(40)
			for i := range w.parts {
				w.parts[i], w.seen[i] = map[int64]*openData{}, map[int64]Producer{}
			}
			w.start()
			clients, names, promised := []*client{{}, {}}, 0, map[string]string{}
			for range 150 {
				w.step(clients, &names, promised)
			}
			w.mu.Lock()
			w.loss = 0
			w.mu.Unlock()
			w.settle(promised)
			w.crash()
			if t.Failed() {
				t.Logf("seed %d", seed)
			}
		})
		if t.Failed() {
			return
		}
	}
}

// settle ends all that is open: no transaction hangs, and what was promised has come true.
func (w *world) settle(promised map[string]string) {
	c := &client{}
	for range 100 {
		if w.init(c) {
			break
		}
		<-time.After(time.Second)
	}
	<-time.After(20 * time.Second)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i := range w.parts {
		for _, o := range w.parts[i] {
			w.t.Errorf("transaction %s hangs in partition %d", o.name, i)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(promised)) {
		if w.fate[name] != promised[name] && w.fate[name] != "" {
			w.t.Errorf("transaction %s was promised to be %s and is %s", name, promised[name], w.fate[name])
		}
	}
}
