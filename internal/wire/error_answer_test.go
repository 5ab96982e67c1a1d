package wire

import (
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// errorCodes counts the error codes of an encoded and decoded answer that are set.
func errorCodes(v reflect.Value, code Code) (n int) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			n += errorCodes(v.Elem(), code)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			if f.Name == "ErrorCode" && v.Field(i).Int() == int64(code) {
				n++
			} else if f.IsExported() {
				n += errorCodes(v.Field(i), code)
			}
		}
	case reflect.Slice:
		for i := range v.Len() {
			n += errorCodes(v.Index(i), code)
		}
	}
	return n
}

func TestEveryRequestHasAnErrorAnswer(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	eachVersion(t, func(t *testing.T, key, version int16, req kmsg.Request) {
		if version < lowest(key) || key == 35 && version < 3 { // DescribeLogDirs had no place for an error
			return
		}
		fill(reflect.ValueOf(req).Elem(), rng, 2)
		req.SetVersion(version)
		r := &Request{Key: key, Version: version, Body: req}
		if key == 0 {
			r.Body, r.Produce = nil, new(ProduceRequest)
			if err := r.Produce.Decode(version, req.AppendTo(nil), 1<<20); err != nil {
				t.Fatal(err)
			}
		}
		resp := req.ResponseKind()
		resp.SetVersion(version)
		if err := resp.ReadFrom(ErrorAnswer(r, ClusterAuthorizationFailed).AppendTo(nil)); err != nil {
			t.Errorf("%s version %d: %v", APIName(key), version, err)
			return
		}
		if errorCodes(reflect.ValueOf(resp), ClusterAuthorizationFailed) == 0 {
			t.Errorf("%s version %d: no error code is set", APIName(key), version)
		}
	})
}

func TestErrorAnswerNamesWhatWasAsked(t *testing.T) {
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Version = 8
	req.Topics = []kmsg.OffsetCommitRequestTopic{{Topic: "a", Partitions: []kmsg.OffsetCommitRequestTopicPartition{{Partition: 3}, {Partition: 4}}}}
	resp := ErrorAnswer(&Request{Key: 8, Version: 8, Body: req}, NotCoordinator).(*kmsg.OffsetCommitResponse)
	if len(resp.Topics) != 1 || resp.Topics[0].Topic != "a" || len(resp.Topics[0].Partitions) != 2 ||
		resp.Topics[0].Partitions[1].Partition != 4 || resp.Topics[0].Partitions[1].ErrorCode != int16(NotCoordinator) {
		t.Fatalf("%+v", resp)
	}
	alter := kmsg.NewPtrIncrementalAlterConfigsRequest()
	alter.Version = 1
	alter.Resources = []kmsg.IncrementalAlterConfigsRequestResource{{ResourceType: 2, ResourceName: "t"}}
	altered := ErrorResponse(alter, PolicyViolation, "not here").(*kmsg.IncrementalAlterConfigsResponse)
	if len(altered.Resources) != 1 || altered.Resources[0].ResourceName != "t" || *altered.Resources[0].ErrorMessage != "not here" {
		t.Fatalf("%+v", altered)
	}
	fetch := kmsg.NewPtrFetchRequest()
	fetch.Version = 12
	fetch.Topics = []kmsg.FetchRequestTopic{{Topic: "f", Partitions: []kmsg.FetchRequestTopicPartition{{Partition: 2}}}}
	fetched := ErrorResponse(fetch, KafkaStorageError, "").(*kmsg.FetchResponse)
	if fetched.Topics[0].Partitions[0].Partition != 2 || fetched.Topics[0].Partitions[0].ErrorCode != int16(KafkaStorageError) {
		t.Fatalf("%+v", fetched)
	}
	del := kmsg.NewPtrDeleteTopicsRequest()
	del.Version, del.TopicNames = 3, []string{"x", "y"}
	names := ErrorAnswer(&Request{Key: 20, Version: 3, Body: del}, NotController).(*kmsg.DeleteTopicsResponse)
	if len(names.Topics) != 2 || *names.Topics[1].Topic != "y" || names.Topics[1].ErrorCode != int16(NotController) {
		t.Fatalf("%+v", names)
	}
}
