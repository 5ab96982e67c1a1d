package coordrecord

import (
	"bytes"
	"testing"
)

// TestClassicMemberMetadata has the tag section that Apache Kafka 4.3.1 writes for a member of the consumer protocol,
// whose classic metadata is null. Null is not the default, and a varint leads the struct.
func TestClassicMemberMetadata(t *testing.T) {
	null := &ConsumerGroupMemberMetadataValue{RebalanceTimeoutMs: -1}
	written := AppendValue(nil, null, 0)
	if !bytes.HasSuffix(written, []byte{1, 0, 1, 0}) {
		t.Errorf("null is written as % x", written)
	}
	read, _, err := DecodeGroupValue(5, written)
	if err != nil || read.(*ConsumerGroupMemberMetadataValue).ClassicMemberMetadata != nil {
		t.Errorf("null is read as %+v, %v", read, err)
	}
	null.ClassicMemberMetadata = &ConsumerGroupMemberMetadataValueClassicMemberMetadata{SessionTimeoutMs: 7}
	read, _, err = DecodeGroupValue(5, AppendValue(nil, null, 0))
	if err != nil || read.(*ConsumerGroupMemberMetadataValue).ClassicMemberMetadata.SessionTimeoutMs != 7 {
		t.Errorf("read as %+v, %v", read, err)
	}
	written = AppendValue(nil, NewConsumerGroupMemberMetadataValue(), 0)
	if written[len(written)-1] != 0 || bytes.HasSuffix(written, []byte{1, 0, 1, 0}) {
		t.Errorf("the default is written as % x", written)
	}
}
