package handler

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/quota"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/security/principal"
	"github.com/weir-stream/weir/internal/wire"
)

// nodesOnly lets User:node act as a node, and nobody else do anything.
type nodesOnly struct{ authz.Authorizer }

func (nodesOnly) Authorize(c authz.Caller, _ authz.Operation, _ authz.ResourceType, _ string) bool {
	return c.Principal == (principal.Principal{Type: "User", Name: "node"})
}

func TestAnswersAreCounted(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	limits := map[string]float64{"producer_byte_rate": 100, "request_percentage": 10}
	broker := func() *Broker {
		m := quota.NewManager(quota.Options{Now: func() time.Time { return now }})
		m.Update(quota.NewTable([]quota.Entry{{Entity: quota.Entity{{Type: quota.User, Default: true}}, Values: limits}}))
		return &Broker{Deps: Deps{Quotas: m, Authorizer: nodesOnly{}}}
	}
	if (&Broker{}).Measured() || !broker().Measured() {
		t.Fatal("what is measured is wrong")
	}
	for _, c := range []struct {
		what  string
		r     wire.Request
		resp  wire.Response
		local time.Duration
		want  int32
	}{
		{"bytes within", wire.Request{Key: 0, Size: 900, Produce: &wire.ProduceRequest{Acks: 1}}, kmsg.NewPtrProduceResponse(), 0, 0},
		{"bytes beyond", wire.Request{Key: 0, Size: 3000, Produce: &wire.ProduceRequest{Acks: 1}}, kmsg.NewPtrProduceResponse(), 0, 20000},
		{"both beyond, the bytes more", wire.Request{Key: 0, Size: 3000, Produce: &wire.ProduceRequest{Acks: 1}}, kmsg.NewPtrProduceResponse(), time.Minute, 20000},
		{"both beyond, the time more", wire.Request{Key: 0, Size: 1050, Produce: &wire.ProduceRequest{Acks: 1}}, kmsg.NewPtrProduceResponse(), time.Minute, 1000},
		{"no answer: the time does not count", wire.Request{Key: 0, Size: 10, Produce: &wire.ProduceRequest{Acks: 0}}, nil, time.Minute, 0},
		{"no answer: the bytes do", wire.Request{Key: 0, Size: 2000, Produce: &wire.ProduceRequest{Acks: 0}}, nil, 0, 10000},
		{"time beyond", wire.Request{Key: 3}, kmsg.NewPtrMetadataResponse(), 1050 * time.Millisecond, 500},
		{"a fetch that failed", wire.Request{Key: 1}, &wire.FetchResponse{}, time.Minute, 1000},
		{"what the controller says", wire.Request{Key: 19}, &kmsg.CreateTopicsResponse{ThrottleMillis: 7000}, time.Minute, 7000},
		{"counted before", wire.Request{Key: 1, Charged: true}, &wire.FetchResponse{}, time.Minute, 0},
	} {
		c.r.Conn = &wire.ConnInfo{Principal: "User:a"}
		b := broker()
		b.Answered(&c.r, c.resp, c.local)
		told := c.want
		switch resp := c.resp.(type) {
		case *wire.FetchResponse:
			told = resp.ThrottleMs
		case kmsg.ThrottleResponse:
			told, _ = resp.Throttle()
		}
		if c.r.ThrottleMs != c.want || told != c.want {
			t.Errorf("%s: held back for %d ms, told %d, want %d", c.what, c.r.ThrottleMs, told, c.want)
		}
	}
	for who, counted := range map[string]bool{"User:node": false, "User:a": true} {
		r := &wire.Request{Key: 56, Body: kmsg.NewPtrAlterPartitionRequest(), Conn: &wire.ConnInfo{Principal: who}, ReplyFunc: func(*wire.Request, wire.Response) {}}
		b := broker()
		b.mayAct(r)
		b.Answered(r, kmsg.NewPtrAlterPartitionResponse(), time.Minute)
		if held := r.ThrottleMs > 0; held != counted {
			t.Errorf("%s, for a request of nodes, is held back: %v", who, held)
		}
	}
}
