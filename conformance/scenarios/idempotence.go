package scenarios

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/conformance/script"
)

func initPID(s *script.Session, label string, v int16, edit func(*kmsg.InitProducerIDRequest)) (int64, int16) {
	req := kmsg.NewPtrInitProducerIDRequest()
	req.ProducerID, req.ProducerEpoch = -1, -1
	req.TransactionTimeoutMillis = 60000
	if edit != nil {
		edit(req)
	}
	resp, ok := s.Ask(label, v, req).(*kmsg.InitProducerIDResponse)
	if !ok {
		return -1, -1
	}
	return resp.ProducerID, resp.ProducerEpoch
}

func idempotence(s *script.Session) {
	// The first producer of a broker may have to wait for a block of ids.
	s.Until("a block of producer ids", func() bool {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.ProducerID, req.ProducerEpoch = -1, -1
		resp, ok := s.Quiet(4, req).(*kmsg.InitProducerIDResponse)
		return ok && resp.ErrorCode == 0
	})
	each(s, kmsg.InitProducerID, func(v int16) {
		initPID(s, "new producer", v, nil)
		if v >= 3 {
			initPID(s, "with an id but no transaction", v, func(r *kmsg.InitProducerIDRequest) { r.ProducerID, r.ProducerEpoch = 5, 1 })
		}
		initPID(s, "empty transactional id", v, func(r *kmsg.InitProducerIDRequest) { r.TransactionalID = ptr("") })
		initPID(s, "transactional id", v, func(r *kmsg.InitProducerIDRequest) { r.TransactionalID = ptr("idempotence-tx") })
	})
	t := createTarget(s, "idempotence", 1)
	pid, epoch := initPID(s, "producer", 4, nil)
	send := func(label string, pid int64, epoch int16, seq int32, values ...string) {
		b := script.Batch{Base: s.Base, Records: script.Values(values...)}.Producer(pid, epoch, seq)
		s.Ask(label, 9, produceReq(t, -1, b.Encode()))
	}
	send("first at 3", pid, epoch, 3, "x")
	send("first at 0", pid, epoch, 0, "a", "b")
	send("again", pid, epoch, 0, "a", "b")
	send("a gap", pid, epoch, 5, "x")
	for i := range int32(6) {
		send(fmt.Sprintf("sequence %d", 2+i), pid, epoch, 2+i, "v")
	}
	send("the fifth last again", pid, epoch, 3, "v")
	send("the last again", pid, epoch, 7, "v")
	send("the sixth last again", pid, epoch, 2, "v")
	send("part of an old one", pid, epoch, 1, "b")
	send("an old one with another length", pid, epoch, 7, "v", "w")
	send("higher epoch, sequence 4", pid, epoch+1, 4, "x")
	send("higher epoch", pid, epoch+1, 0, "n")
	send("fenced", pid, epoch, 8, "x")
	send("a stranger at 0", pid+1000, 0, 0, "s")
	send("a stranger at 9", pid+1001, 0, 9, "s")
	send("a stranger in epoch 3", pid+1002, 3, 0, "s")
	send("negative sequence", pid+1003, 0, -5, "s")
	send("sequence near its end", pid+1004, 0, 1<<31-2, "s", "t")
	two := script.Batch{Base: s.Base, Records: script.Values("p")}.Producer(pid, epoch+1, 1)
	req := produceReq(t, -1, append(two.Encode(), two.Producer(pid, epoch+1, 2).Encode()...))
	s.Ask("two batches in one", 9, req)
	for codec := 1; codec < 5; codec++ {
		b := script.Batch{Base: s.Base, Codec: codec, Records: script.Values("c")}.Producer(pid, epoch+1, int32(codec))
		s.Ask("compressed "+script.Codecs[codec], 9, produceReq(t, -1, b.Encode()))
		s.Ask("compressed again "+script.Codecs[codec], 9, produceReq(t, -1, b.Encode()))
	}
	s.Ask("through another connection", 9, produceReq(t, 1, script.Batch{Base: s.Base, Records: script.Values("c")}.Producer(pid, epoch+1, 4).Encode()))
	fetchAll(s, "the log", t)
}

func producers(s *script.Session) {
	t := createTarget(s, "producers", 2)
	ask := func(label string) {
		req := kmsg.NewPtrDescribeProducersRequest()
		p := kmsg.NewDescribeProducersRequestTopic()
		p.Topic, p.Partitions = t.name, []int32{0, 1, 7}
		missing := kmsg.NewDescribeProducersRequestTopic()
		missing.Topic, missing.Partitions = "producers-missing", []int32{0}
		req.Topics = append(req.Topics, p, missing)
		s.Ask(label, 0, req)
	}
	ask("none")
	pid, epoch := initPID(s, "producer", 4, nil)
	fill(s, t, script.Batch{Records: script.Values("a", "b")}.Producer(pid, epoch, 0))
	ask("one")
	fill(s, t, script.Batch{Base: s.Base + 5000, Records: script.Values("c")}.Producer(pid, epoch, 2))
	ask("further")
	fill(s, t, script.Batch{Records: script.Values("plain")})
	ask("after a plain batch")
}
