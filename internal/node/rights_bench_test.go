package node

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/handler"
	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/wire"
)

// manyRules is 100,000 rules: of the caller, of everybody, and of others.
func manyRules() []authz.Entry {
	out := []authz.Entry{
		{Type: authz.Topic, Name: "orders.", Pattern: authz.Prefixed, Principal: "User:app", Host: "*", Operation: authz.All, Permission: authz.Allow},
		{Type: authz.Topic, Name: "orders.secret", Pattern: authz.Prefixed, Principal: "User:*", Host: "*", Operation: authz.All, Permission: authz.Deny},
	}
	for i := len(out); i < 50_000; i++ {
		out = append(out, authz.Entry{Type: authz.Topic, Name: fmt.Sprintf("orders.%d", i), Pattern: authz.Literal, Principal: "User:app", Host: "*", Operation: authz.Read, Permission: authz.Allow})
	}
	for i := len(out); i < 100_000; i++ {
		out = append(out, authz.Entry{Type: authz.Topic, Name: fmt.Sprintf("team-%d.", i), Pattern: authz.Prefixed, Principal: fmt.Sprintf("User:u%d", i%500), Host: "*", Operation: authz.All, Permission: authz.Allow})
	}
	return out
}

// BenchmarkRights is what access rules cost on the hot path: the same handlers over the same log, for whom everything is allowed,
// by 100,000 rules, and by 100,000 rules with the connection's memory. Requests are the smallest there are: one record of
// ten bytes, one partition. Neither a socket nor its system calls are in it, so that the share of a real request is smaller.
func BenchmarkRights(b *testing.B) {
	props, err := config.ParseProperties([]byte(strings.Join([]string{"broker.id=1", "listeners=PLAINTEXT://127.0.0.1:0", "log.dirs=" + b.TempDir(),
		"log.retention.check.interval.ms=600000", "auto.create.topics.enable=false"}, "\n")))
	if err != nil {
		b.Fatal(err)
	}
	cfg, _, err := config.Load(props, nil)
	if err != nil {
		b.Fatal(err)
	}
	n, err := Start(b.Context(), Options{Config: cfg, Logs: telemetry.NewLogs(io.Discard, slog.LevelError+100, false)})
	if err != nil {
		b.Fatal(err)
	}
	defer n.Stop()
	cl, err := kgo.NewClient(kgo.SeedBrokers(n.Addr("PLAINTEXT")))
	if err != nil {
		b.Fatal(err)
	}
	defer cl.Close()
	var names []string
	for i := range 300 {
		names = append(names, fmt.Sprintf("orders.%d", i))
	}
	if rs, err := kadm.NewClient(cl).CreateTopics(b.Context(), 1, 1, nil, names...); err != nil || rs.Error() != nil {
		b.Fatal(err, rs.Error())
	}
	rules := authz.NewStandard("User:root", false)
	rules.Update(nil, manyRules())
	var w record.Builder
	w.Append(time.Now().UnixMilli(), nil, make([]byte, 10))
	batch, err := w.Build()
	if err != nil {
		b.Fatal(err)
	}
	body := func(version int16, req kmsg.Request) []byte {
		req.SetVersion(version)
		return req.AppendTo(nil)
	}
	produce := kmsg.NewPtrProduceRequest()
	produce.Acks, produce.TimeoutMillis = 1, 5000
	produce.Topics = []kmsg.ProduceRequestTopic{{Topic: names[0], Partitions: []kmsg.ProduceRequestTopicPartition{{Records: batch}}}}
	fetch := fetchRequest(names[0])
	fetch.Topics[0].Partitions[0].PartitionMaxBytes = 1
	metadata := kmsg.NewPtrMetadataRequest()
	for i := range names {
		metadata.Topics = append(metadata.Topics, kmsg.MetadataRequestTopic{Topic: &names[i]})
	}
	bodies := map[int16][]byte{0: body(9, produce), 1: body(12, fetch), 3: body(9, metadata)}
	for _, api := range []struct {
		name         string
		key, version int16
	}{{"produce", 0, 9}, {"fetch", 1, 12}, {"metadata of 300 topics", 3, 9}} {
		for _, c := range []struct {
			name   string
			rights authz.Authorizer
			memory any
		}{{"nobody asks", authz.AllowAll{}, nil}, {"rules", rules, nil}, {"rules remembered", rules, new(authz.Memory)}} {
			b.Run(api.name+"/"+c.name, func(b *testing.B) {
				deps := n.deps()
				deps.Authorizer = c.rights
				var handle func(*wire.Request)
				for _, r := range handler.New(deps).Routes() {
					if r.Key == api.key {
						handle = r.Handle
					}
				}
				conn := &wire.ConnInfo{Principal: "User:app", Listener: "PLAINTEXT", Remote: netip.MustParseAddrPort("127.0.0.1:999"), Rights: c.memory}
				answered := false
				var got wire.Response
				reply := func(_ *wire.Request, resp wire.Response) { answered, got = true, resp }
				var in wire.ProduceRequest
				var frame []byte
				done := context.Background().Done()
				b.ReportAllocs()
				for b.Loop() {
					answered = false
					r := &wire.Request{Key: api.key, Version: api.version, ClientID: "bench", Conn: conn, Done: done, ReplyFunc: reply}
					var err error
					if api.key == 0 {
						frame = append(frame[:0], bodies[0]...) // the log writes into it
						r.Produce, err = &in, in.Decode(api.version, frame, 1<<20)
					} else {
						r.Body, err = wire.DecodeBody(api.key, api.version, bodies[api.key], 1<<20)
					}
					if err != nil {
						b.Fatal(err)
					}
					r.Received = time.Now()
					handle(r)
					if !answered {
						b.Fatal("not answered at once")
					}
					if f, ok := got.(*wire.FetchResponse); ok {
						f.Release()
					}
				}
				b.StopTimer()
				failed := false
				eachErrorCode(got, func(c wire.Code) { failed = failed || c != wire.None })
				if f, ok := got.(*wire.FetchResponse); ok {
					failed = f.Topics[0].Partitions[0].ErrorCode != wire.None
				}
				if failed {
					b.Fatalf("refused: %+v", got)
				}
			})
		}
	}
}
