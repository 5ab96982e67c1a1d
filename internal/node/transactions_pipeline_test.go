package node

import (
	"path/filepath"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/record"
	"github.com/weir-stream/weir/internal/testkit/kwire"
	"github.com/weir-stream/weir/internal/wire"
)

// A producer sends batch after batch without waiting for answers, also when the first of them has to wait for the coordinator, or
// for the end of the transaction before. None may overtake it.
func TestBatchesBehindAQuestionKeepTheirOrder(t *testing.T) {
	n := start(t, settings(t, filepath.Join(t.TempDir(), "data"), transactional(1)...))
	c, err := kwire.Dial(n.Addr("PLAINTEXT"))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	id := "x"
	find := kmsg.NewPtrFindCoordinatorRequest()
	find.CoordinatorType, find.CoordinatorKeys = 1, []string{id}
	init := kmsg.NewPtrInitProducerIDRequest()
	init.TransactionalID, init.TransactionTimeoutMillis, init.ProducerID, init.ProducerEpoch = &id, 60000, -1, -1
	var pid int64
	var epoch int16
	await(t, "the id has a producer", func() bool {
		ask[*kmsg.FindCoordinatorResponse](t, c, 4, find)
		resp := ask[*kmsg.InitProducerIDResponse](t, c, 4, init)
		pid, epoch = resp.ProducerID, resp.ProducerEpoch
		return resp.ErrorCode == 0
	})
	topic := kmsg.NewPtrMetadataRequest()
	topic.AllowAutoTopicCreation = true
	topic.Topics = []kmsg.MetadataRequestTopic{{Topic: kmsg.StringPtr("t")}}
	await(t, "the topic is there", func() bool {
		return ask[*kmsg.MetadataResponse](t, c, 9, topic).Topics[0].ErrorCode == 0
	})
	const batches = 5
	for round := range 20 {
		var ids [batches]int32
		var reqs [batches]*kmsg.ProduceRequest
		for i := range ids {
			var b record.Builder
			b.SetProducer(pid, epoch, int32(i))
			b.SetTransactional()
			reqs[i] = produceRequest(t, "t", &b)
			reqs[i].SetVersion(12)
			reqs[i].TransactionID = &id
			if ids[i], err = c.Send(reqs[i]); err != nil {
				t.Fatal(err)
			}
		}
		for i := range ids {
			resp, err := c.Receive(ids[i], reqs[i])
			if err != nil {
				t.Fatal(err)
			}
			if code := produced(resp.(*kmsg.ProduceResponse)); code != wire.None {
				t.Fatalf("round %d, batch %d: %v", round, i, code)
			}
		}
		end := kmsg.NewPtrEndTxnRequest()
		end.TransactionalID, end.ProducerID, end.ProducerEpoch, end.Commit = id, pid, epoch, round%2 == 0
		resp := ask[*kmsg.EndTxnResponse](t, c, 5, end)
		if resp.ErrorCode != 0 {
			t.Fatalf("round %d: %v", round, wire.Code(resp.ErrorCode))
		}
		pid, epoch = resp.ProducerID, resp.ProducerEpoch
	}
}
