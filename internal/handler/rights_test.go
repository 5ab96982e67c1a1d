package handler

import (
	"log/slog"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/replica"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/telemetry"
	"github.com/weir-stream/weir/internal/wire"
)

// having allows some operations, on everything, and nothing else.
type having []authz.Operation

func (h having) Authorize(_ authz.Caller, op authz.Operation, _ authz.ResourceType, _ string) bool {
	for _, o := range h {
		if o == op {
			return true
		}
	}
	return false
}
func (h having) AuthorizeByType(who authz.Caller, op authz.Operation, t authz.ResourceType) bool {
	return h.Authorize(who, op, t, "")
}
func (having) Enabled() bool { return true }

// Who may not see a topic gets the same answer whether it is there or not; who may see it learns that it is not there.
func TestTopicsAreHiddenFromWhoMayNotSeeThem(t *testing.T) {
	b, _ := settingsBroker(t)
	remove := func(name string) wire.Code {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.Topics = []kmsg.DeleteTopicsRequestTopic{{Topic: &name}}
		return wire.Code(ask1[*kmsg.DeleteTopicsResponse](t, b.handleDeleteTopics, req).Topics[0].ErrorCode)
	}
	describe := func(name string) wire.Code {
		req := kmsg.NewPtrDescribeTopicPartitionsRequest()
		req.Topics = []kmsg.DescribeTopicPartitionsRequestTopic{{Topic: name}}
		return wire.Code(ask1[*kmsg.DescribeTopicPartitionsResponse](t, b.handleDescribeTopicPartitions, req).Topics[0].ErrorCode)
	}
	metadata := func(name string, create bool) wire.Code {
		req := kmsg.NewPtrMetadataRequest()
		req.Topics, req.AllowAutoTopicCreation = []kmsg.MetadataRequestTopic{{Topic: &name}}, create
		return wire.Code(ask1[*kmsg.MetadataResponse](t, b.handleMetadata, req).Topics[0].ErrorCode)
	}
	epochs := func(name string) wire.Code {
		req := kmsg.NewPtrOffsetForLeaderEpochRequest()
		req.Topics = []kmsg.OffsetForLeaderEpochRequestTopic{{Topic: name, Partitions: make([]kmsg.OffsetForLeaderEpochRequestTopicPartition, 1)}}
		return wire.Code(ask1[*kmsg.OffsetForLeaderEpochResponse](t, b.handleOffsetForLeaderEpoch, req).Topics[0].Partitions[0].ErrorCode)
	}
	b.Authorizer = having{}
	for _, name := range []string{"alpha", "missing"} {
		for what, code := range map[string]wire.Code{"delete": remove(name), "describe": describe(name), "metadata": metadata(name, false), "creation": metadata(name, true), "epochs": epochs(name)} {
			if code != wire.TopicAuthorizationFailed {
				t.Errorf("%s of %s answers %v", what, name, code)
			}
		}
	}
	b.Authorizer = having{authz.Describe}
	if code := remove("alpha"); code != wire.TopicAuthorizationFailed {
		t.Errorf("who may see a topic and not delete it is answered %v", code)
	}
	for what, code := range map[string]wire.Code{"delete": remove("missing"), "describe": describe("missing"), "metadata": metadata("missing", false)} {
		if code != wire.UnknownTopicOrPartition {
			t.Errorf("%s of what is not there answers %v", what, code)
		}
	}
	if code := metadata("missing", true); code != wire.TopicAuthorizationFailed {
		t.Errorf("who may not create a topic that metadata would create is answered %v", code)
	}
}

func TestTransactionalIDsNeedRights(t *testing.T) {
	b, _ := settingsBroker(t)
	b.Authorizer = having{authz.Describe}
	req := kmsg.NewPtrInitProducerIDRequest()
	req.TransactionalID = ptr("x")
	if code := wire.Code(ask1[*kmsg.InitProducerIDResponse](t, b.handleInitProducerID, req).ErrorCode); code != wire.TransactionalIdAuthorizationFailed {
		t.Errorf("answer = %v", code)
	}
}

// CVE-2018-1288: who says to be a replica without the right to is told nothing, and moves nothing.
func TestFetchAsAReplicaNeedsARight(t *testing.T) {
	b := groupBroker(t, having{authz.Read, authz.Describe})
	b.sessions, b.Replicas = newFetchSessions(10, time.Now), replica.New(replica.Config{NodeID: 1, Metrics: telemetry.New(telemetry.Options{}), Logger: slog.New(slog.DiscardHandler)})
	req := kmsg.NewPtrFetchRequest()
	req.Version, req.ReplicaID, req.MaxBytes, req.SessionEpoch = 12, 1, 1<<20, 0
	req.Topics = []kmsg.FetchRequestTopic{{Topic: "t", Partitions: make([]kmsg.FetchRequestTopicPartition, 1)}}
	answers := make(chan *wire.FetchResponse, 1)
	b.handleFetch(&wire.Request{Key: 1, Version: 12, Body: req, Conn: &wire.ConnInfo{Principal: "User:a"}, ReplyFunc: func(_ *wire.Request, r wire.Response) { answers <- r.(*wire.FetchResponse) }})
	resp := <-answers
	if resp.ErrorCode != wire.None || resp.SessionID != 0 || len(resp.Topics) != 1 || resp.Topics[0].Partitions[0].ErrorCode != wire.TopicAuthorizationFailed {
		t.Errorf("answer = %+v", resp)
	}
}
