package handler

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/coordinator/group"
	"github.com/weir-stream/weir/internal/coordinator/txn"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// TxnOffsetCommit, versions 0 to 5: offsets that count when the producer's transaction is committed.
//
//	2 leader epochs    3 flexible, generation and member (KIP-447)    4 TRANSACTION_ABORTABLE    5 adds the partition (KIP-890)
func (b *Broker) handleTxnOffsetCommit(r *wire.Request) {
	req := r.Body.(*kmsg.TxnOffsetCommitRequest)
	c := &txnOffsetCommit{b: b, r: r, req: req, resp: req.ResponseKind().(*kmsg.TxnOffsetCommitResponse)}
	code := wire.None
	switch {
	case !b.allowed(r, authz.Write, authz.TransactionalID, req.TransactionalID):
		code = wire.TransactionalIdAuthorizationFailed
	case !b.allowed(r, authz.Read, authz.Group, req.Group):
		code = wire.GroupAuthorizationFailed
	}
	img := b.Image()
	for i := range req.Topics {
		c.check(img, &req.Topics[i], code)
	}
	if len(c.commit.Topics) == 0 {
		c.answer()
		return
	}
	c.commit.Group, c.commit.MemberID, c.commit.InstanceID = req.Group, req.MemberID, req.InstanceID
	c.commit.Generation, c.commit.APIVersion, c.commit.RetentionMs = req.Generation, r.Version, -1
	if r.Version < 3 {
		c.commit.Generation = -1
	}
	c.verify()
}

// txnOffsetCommit is a TxnOffsetCommit on its way: slots tell where in the answer each partition of commit stands.
type txnOffsetCommit struct {
	b      *Broker
	r      *wire.Request
	req    *kmsg.TxnOffsetCommitRequest
	resp   *kmsg.TxnOffsetCommitResponse
	commit group.Commit
	slots  []commitSlot
}

// check adds a topic to the answer, and what of it may be committed to the commit.
func (c *txnOffsetCommit) check(img *image.Image, t *kmsg.TxnOffsetCommitRequestTopic, code wire.Code) {
	topic := img.TopicByName(t.Topic)
	switch {
	case code != wire.None:
	case !c.b.allowed(c.r, authz.Read, authz.Topic, t.Topic):
		code = wire.TopicAuthorizationFailed
	case topic == nil:
		code = wire.UnknownTopicOrPartition
	}
	rt := kmsg.NewTxnOffsetCommitResponseTopic()
	rt.Topic = t.Topic
	var ct group.CommitTopic
	for i := range t.Partitions {
		p := &t.Partitions[i]
		rp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
		rp.Partition, rp.ErrorCode = p.Partition, int16(code)
		switch {
		case code != wire.None:
		case topic.Partition(p.Partition) == nil:
			rp.ErrorCode = int16(wire.UnknownTopicOrPartition)
		default:
			c.slots = append(c.slots, commitSlot{len(c.resp.Topics), i})
			epoch := int32(-1)
			if c.r.Version >= 2 {
				epoch = p.LeaderEpoch
			}
			ct.Partitions = append(ct.Partitions, group.CommitPartition{Index: p.Partition, Offset: p.Offset, LeaderEpoch: epoch, Metadata: p.Metadata})
		}
		rt.Partitions = append(rt.Partitions, rp)
	}
	c.resp.Topics = append(c.resp.Topics, rt)
	if len(ct.Partitions) > 0 {
		ct.Name, ct.ID = t.Topic, topic.ID
		c.commit.Topics = append(c.commit.Topics, ct)
	}
}

// verify finds out whether the group's partition is in the transaction, as for records, and commits then.
func (c *txnOffsetCommit) verify() {
	b, req := c.b, c.req
	tp := log.TopicPartition{Topic: offsetsTopic, Partition: b.Groups.PartitionFor(req.Group)}
	rep, _, code := b.Replicas.Find(tp.Topic, wire.TopicID{}, tp.Partition, false)
	if code != wire.None {
		c.fail(wire.NotCoordinator)
		return
	}
	c.commit.Transaction = &group.Transaction{ProducerID: req.ProducerID, Epoch: req.ProducerEpoch}
	adds := c.r.Version >= 5
	if !adds && !b.verifiesTransactions() {
		c.run()
		return
	}
	guard, err := b.Replicas.StartVerification(rep, req.ProducerID, req.ProducerEpoch, 0, adds)
	switch {
	case err != nil:
		c.fail(coordinatorCode(wire.CodeOf(err)))
		return
	case guard == 0:
		c.run()
		return
	}
	c.commit.Transaction.Guard = guard
	support := txn.SupportsNothing
	switch {
	case adds:
		support = txn.SupportsAdding
	case c.r.Version >= 4:
		support = txn.SupportsAbortable
	}
	p := txn.Producer{ID: req.ProducerID, Epoch: req.ProducerEpoch}
	b.Verifier.Verify(strings.Clone(req.TransactionalID), p, []log.TopicPartition{tp}, support, func(codes []wire.Code) {
		switch codes[0] {
		case wire.None:
			c.run()
		case wire.NetworkException:
			c.fail(wire.CoordinatorLoadInProgress) // which every client tries again, and at this broker
		default:
			c.fail(codes[0])
		}
	})
}

// coordinatorCode says in a coordinator's words that its partition is not led here.
func coordinatorCode(code wire.Code) wire.Code {
	switch code {
	case wire.NotLeaderOrFollower, wire.KafkaStorageError:
		return wire.NotCoordinator
	}
	return code
}

func (c *txnOffsetCommit) run() {
	c.b.Groups.CommitOffsets(&c.commit, func(codes []wire.Code) {
		for i, code := range codes {
			c.set(i, code)
		}
		c.answer()
	})
}

func (c *txnOffsetCommit) fail(code wire.Code) {
	for i := range c.slots {
		c.set(i, code)
	}
	c.answer()
}

func (c *txnOffsetCommit) set(i int, code wire.Code) {
	if code == wire.CoordinatorLoadInProgress && c.r.Version < 2 {
		code = wire.CoordinatorNotAvailable // old producers do not know the other
	}
	c.resp.Topics[c.slots[i].topic].Partitions[c.slots[i].partition].ErrorCode = int16(code)
}

func (c *txnOffsetCommit) answer() { c.r.Reply(c.resp) }

// verifiesTransactions is transaction.partition.verification.enable.
func (b *Broker) verifiesTransactions() bool {
	return b.Config().Bool("transaction.partition.verification.enable")
}
