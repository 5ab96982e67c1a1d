package wire

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestErrorResponseExplains(t *testing.T) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.Version = 7
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic = "t"
	req.Topics = append(req.Topics, topic)
	resp := ErrorResponse(req, NotController, "ask again").(*kmsg.CreateTopicsResponse)
	if len(resp.Topics) != 1 || Code(resp.Topics[0].ErrorCode) != NotController || resp.Topics[0].ErrorMessage == nil || *resp.Topics[0].ErrorMessage != "ask again" {
		t.Fatalf("%+v", resp.Topics)
	}
	if resp.Topics[0].Configs == nil {
		t.Error("null where there are no settings")
	}
	alter := kmsg.NewPtrAlterPartitionRequest()
	alter.Topics = append(alter.Topics, kmsg.NewAlterPartitionRequestTopic())
	if resp := ErrorResponse(alter, StaleBrokerEpoch, "").(*kmsg.AlterPartitionResponse); Code(resp.ErrorCode) != StaleBrokerEpoch || len(resp.Topics) != 0 {
		t.Errorf("refused as a whole: %+v", resp)
	}
	quorum := kmsg.NewPtrDescribeQuorumRequest()
	quorum.Version = 2
	if resp := ErrorResponse(quorum, NotController, "").(*kmsg.DescribeQuorumResponse); Code(resp.ErrorCode) != NotController || resp.ErrorMessage != nil {
		t.Fatalf("%+v", resp)
	}
}
