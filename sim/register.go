package sim

import (
	"context"
	"errors"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"time"

	"fmt"
	"github.com/anishathalye/porcupine"
)

// A register is one partition. To write it is to append a record with acks=all; to read it is to append a mark with
// acks=all and to take the last value in front of the mark, from any replica. Both are linearizable if no acknowledged
// record is lost and no two leaders acknowledge in one another's time.
type registers struct {
	topic string
	clock atomic.Int64 // of calls and returns
	ops   [][]porcupine.Operation
}

type registerCall struct {
	write bool
	value string
}

// mark begins the values that are no writes.
const mark = "?"

// registerClient writes and reads one register until ctx ends.
func (c *cluster) registerClient(ctx context.Context, regs *registers, index int32, id int, rng *rand.Rand) {
	cl := c.newClient(fmt.Sprint("register-", id))
	defer cl.close()
	for seq := 0; ctx.Err() == nil; seq++ {
		if !wait(ctx, time.Duration(rng.Int64N(int64(150*time.Millisecond)))) {
			return
		}
		call := registerCall{write: rng.IntN(5) < 3}
		value := fmt.Sprintf("%s/%d", cl.name, seq)
		if !call.write {
			value = mark + value
		}
		w := c.sent(&write{topic: regs.topic, index: index, value: value, client: cl.name, seq: seq})
		op := porcupine.Operation{ClientId: id, Call: regs.clock.Add(1)}
		offset, err := cl.produce(context.Background(), regs.topic, index, batchOf(value))
		switch {
		case err == nil:
			c.told(w, offset)
		case errors.Is(err, errNotWritten):
			c.notWritten(w, err)
			wait(ctx, time.Duration(rng.Int64N(int64(300*time.Millisecond))))
			continue
		default:
			c.trace.note("%s: %q on %s-%d: %v", cl.name, value, regs.topic, index, err)
		}
		if call.write {
			call.value = value
			op.Output = ""
			op.Return = regs.clock.Add(1)
			if err != nil {
				op.Return = -1 // nobody knows
			}
		} else {
			if err != nil {
				continue
			}
			got, ok := cl.before(ctx, regs, index, offset, rng)
			if !ok {
				continue
			}
			op.Output, op.Return = got, regs.clock.Add(1)
		}
		op.Input = call
		c.history.mu.Lock()
		regs.ops[index] = append(regs.ops[index], op)
		c.history.mu.Unlock()
	}
}

// before finds the last value in front of an offset that is committed.
func (cl *client) before(ctx context.Context, regs *registers, index int32, offset int64, rng *rand.Rand) (string, bool) {
	from, last, at := max(0, offset-10), "", int64(-1)
	next := from
	for try := 0; try < 8; {
		broker := int32(-1)
		if rng.IntN(3) == 0 {
			broker = int32(1 + rng.IntN(len(cl.c.nodes)))
		}
		f, err := cl.fetch(context.Background(), broker, regs.topic, index, next)
		if err != nil {
			try++
			if !wait(ctx, 100*time.Millisecond) {
				return "", false
			}
			continue
		}
		cl.c.saw(regs.topic, index, f)
		if len(f.batches) == 0 {
			try++
		}
		for _, b := range f.batches {
			it := b.Records(1 << 20)
			for it.Next() {
				if r := it.Record(); r.Offset < offset && r.Offset >= next && !strings.HasPrefix(string(r.Value), mark) {
					last, at = string(r.Value), r.Offset
				}
			}
			_ = it.Close() // saw has looked at it
			next = max(next, b.NextOffset())
		}
		if next >= offset {
			if at < 0 && from > 0 {
				from = 0
				next = 0
				continue
			}
			return last, true
		}
	}
	return "", false
}

func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// registerModel is a register that begins empty.
var registerModel = porcupine.Model{
	Init: func() any { return "" },
	Step: func(state, in, out any) (bool, any) {
		call := in.(registerCall)
		if call.write {
			return true, call.value
		}
		return state == out, state
	},
	DescribeOperation: func(in, out any) string {
		call := in.(registerCall)
		if call.write {
			return "write " + call.value
		}
		return fmt.Sprintf("read → %v", out)
	},
}

// linearizable checks a register's history. Writes of which nobody knows the end count if their record is in the log; it is
// not called from within the bubble, since it takes real time.
func (r *registers) linearizable(index int, logged map[string]bool) porcupine.CheckResult {
	var ops []porcupine.Operation
	for _, op := range r.ops[index] {
		if op.Return < 0 {
			if !logged[op.Input.(registerCall).value] {
				continue
			}
			op.Return = r.clock.Load() + 1
		}
		ops = append(ops, op)
	}
	return porcupine.CheckOperationsTimeout(registerModel, ops, 20*time.Second)
}
