package wire

import (
	"reflect"
	"testing"
)

func TestRaftMessagesRoundTrip(t *testing.T) {
	want := &RaftMessagesRequest{ClusterID: "cluster", NodeID: 7, To: 1 << 63, EndOffset: 77, Messages: [][]byte{{1, 2, 3}, {}, {4}}}
	tagged := *want
	tagged.Tag = RaftTag{From: 1, FromLog: 2, ToLog: 3, FromDirectory: [16]byte{4}, ToDirectory: [16]byte{15: 5}}
	roundTrip(t, &tagged)
	later := append(tagged.AppendTo(nil), 9) // of a build that says more
	if got, err := DecodeBody(KeyRaftMessages, 0, later, 1<<20); err != nil || !reflect.DeepEqual(got, &tagged) {
		t.Errorf("%v, %+v", err, got)
	}
	roundTrip(t, want)
	if APIName(KeyRaftMessages) != "RaftMessages" || !AliasesFrame(KeyRaftMessages) {
		t.Error("the private API is not known")
	}
	for _, want := range []*RaftMessagesResponse{{ErrorCode: 104}, {ErrorCode: 104, Log: 1 << 63}} {
		resp := new(RaftMessagesResponse)
		if err := resp.ReadFrom(want.AppendTo(nil)); err != nil || *resp != *want {
			t.Error(err, resp)
		}
	}
}

// roundTrip encodes and decodes a request; of its beginnings none is taken but the one without its tag.
func roundTrip(t *testing.T, want *RaftMessagesRequest) {
	t.Helper()
	body := want.AppendTo(nil)
	untagged := *want
	untagged.Tag = RaftTag{}
	got, err := DecodeBody(KeyRaftMessages, 0, body, 1<<20)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("%v, %+v", err, got)
	}
	for n := range body {
		if _, err := DecodeBody(KeyRaftMessages, 0, body[:n], 1<<20); err == nil && n != len(untagged.AppendTo(nil)) {
			t.Errorf("%d bytes of %d were taken", n, len(body))
		}
		_ = new(RaftMessagesRequest).ReadFrom(body[:n]) // must not panic
	}
}
