package handler

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// hiding refuses Describe on one topic.
type hiding struct {
	authz.AllowAll
	topic string
}

func (h *hiding) Authorize(_ authz.Caller, op authz.Operation, t authz.ResourceType, name string) bool {
	return t != authz.Topic || op != authz.Describe || name != h.topic
}

func (h *hiding) Enabled() bool { return true }

func joinConsumer(topics ...string) *kmsg.ConsumerGroupHeartbeatRequest {
	req := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	req.Group, req.MemberID, req.RebalanceTimeoutMillis = "g", "m", 60000
	req.SubscribedTopicNames, req.Topics = topics, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	return req
}

// TestConsumerGroups: a member joins, and is described, in every version; topics that the client may not describe are neither
// subscribed to nor shown.
func TestConsumerGroups(t *testing.T) {
	rights := &hiding{}
	b := groupBroker(t, rights)
	for v := range int16(2) {
		resp := at[*kmsg.ConsumerGroupHeartbeatResponse](t, b.handleConsumerGroupHeartbeat, joinConsumer("t"), v)
		if resp.ErrorCode != 0 || resp.MemberEpoch != 2 || resp.HeartbeatIntervalMillis != 5000 || resp.Assignment == nil ||
			len(resp.Assignment.Topics) != 1 || !slices.Equal(resp.Assignment.Topics[0].Partitions, []int32{0, 1}) {
			t.Fatalf("version %d: %+v", v, resp)
		}
		describe := &kmsg.ConsumerGroupDescribeRequest{Groups: []string{"g", "none"}, IncludeAuthorizedOperations: true}
		got := at[*kmsg.ConsumerGroupDescribeResponse](t, b.handleConsumerGroupDescribe, describe, v).Groups
		if len(got) != 2 || got[0].State != "Stable" || got[0].AuthorizedOperations == -1<<31 || wire.Code(got[1].ErrorCode) != wire.GroupIdNotFound {
			t.Fatalf("version %d: %+v", v, got)
		}
		m := got[0].Members[0]
		if m.MemberID != "m" || m.Assignment.TopicPartitions[0].Topic != "t" || m.Assignment.TopicPartitions[0].TopicID != topicT ||
			len(m.TargetAssignment.TopicPartitions) != 1 || v == 1 && m.MemberType != 1 {
			t.Fatalf("version %d: %+v", v, m)
		}
	}
	rights.topic = "t"
	if code := at[*kmsg.ConsumerGroupHeartbeatResponse](t, b.handleConsumerGroupHeartbeat, joinConsumer("u", "t"), 1).ErrorCode; wire.Code(code) != wire.TopicAuthorizationFailed {
		t.Fatalf("a topic that may not be described is subscribed to: %v", wire.Code(code))
	}
	got := at[*kmsg.ConsumerGroupDescribeResponse](t, b.handleConsumerGroupDescribe, &kmsg.ConsumerGroupDescribeRequest{Groups: []string{"g"}}, 1).Groups[0]
	if wire.Code(got.ErrorCode) != wire.TopicAuthorizationFailed || len(got.Members) > 0 {
		t.Fatalf("a topic that may not be described is shown: %+v", got)
	}
}

// TestConsumerGroupRights: the group's own rights.
func TestConsumerGroupRights(t *testing.T) {
	b := groupBroker(t, only{kind: authz.Group})
	if code := at[*kmsg.ConsumerGroupHeartbeatResponse](t, b.handleConsumerGroupHeartbeat, joinConsumer("t"), 1).ErrorCode; wire.Code(code) != wire.GroupAuthorizationFailed {
		t.Fatal(wire.Code(code))
	}
	got := at[*kmsg.ConsumerGroupDescribeResponse](t, b.handleConsumerGroupDescribe, &kmsg.ConsumerGroupDescribeRequest{Groups: []string{"g"}}, 1).Groups[0]
	if wire.Code(got.ErrorCode) != wire.GroupAuthorizationFailed {
		t.Fatalf("%+v", got)
	}
}

// TestConsumerGroupsNeedTheFeature: with group.version 0, and without the protocol among those of the broker, there are none.
func TestConsumerGroupsNeedTheFeature(t *testing.T) {
	for _, off := range []func(*Broker){
		func(b *Broker) { b.consumerProtocol = false },
		func(b *Broker) {
			img, _, err := b.Image().Apply(image.Provenance{Offset: 10}, mr.Versioned{Record: &mr.FeatureLevelRecord{Name: image.FeatureGroup}})
			if err != nil {
				t.Fatal(err)
			}
			b.Deps.Image = func() *image.Image { return img }
		},
	} {
		b := groupBroker(t, authz.AllowAll{})
		off(b)
		if code := at[*kmsg.ConsumerGroupHeartbeatResponse](t, b.handleConsumerGroupHeartbeat, joinConsumer("t"), 1).ErrorCode; wire.Code(code) != wire.UnsupportedVersion {
			t.Fatal(wire.Code(code))
		}
		got := at[*kmsg.ConsumerGroupDescribeResponse](t, b.handleConsumerGroupDescribe, &kmsg.ConsumerGroupDescribeRequest{Groups: []string{"g"}}, 1).Groups
		if len(got) != 1 || wire.Code(got[0].ErrorCode) != wire.UnsupportedVersion {
			t.Fatalf("%+v", got)
		}
	}
}
