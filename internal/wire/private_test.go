package wire

import (
	"reflect"
	"testing"
)

func TestRaftMessagesRoundTrip(t *testing.T) {
	want := &RaftMessagesRequest{ClusterID: "cluster", NodeID: 7, To: 1 << 63, EndOffset: 77, Messages: [][]byte{{1, 2, 3}, {}, {4}}}
	body := want.AppendTo(nil)
	got, err := DecodeBody(KeyRaftMessages, 0, body, 1<<20)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v, %+v", err, got)
	}
	for n := range body {
		if _, err := DecodeBody(KeyRaftMessages, 0, body[:n], 1<<20); err == nil {
			t.Errorf("%d bytes of %d were taken", n, len(body))
		}
		_ = new(RaftMessagesRequest).ReadFrom(body[:n]) // must not panic
	}
	if APIName(KeyRaftMessages) != "RaftMessages" || !AliasesFrame(KeyRaftMessages) {
		t.Error("the private API is not known")
	}
	resp := new(RaftMessagesResponse)
	if err := resp.ReadFrom((&RaftMessagesResponse{ErrorCode: 104}).AppendTo(nil)); err != nil || resp.ErrorCode != 104 {
		t.Error(err, resp.ErrorCode)
	}
}
