package group

import "encoding/binary"

// addSubscribedTopics adds the topics of a consumer's subscription (ConsumerProtocolSubscription, any version: version
// 0 is the beginning of all) to the set. It reports false, with nothing promised about the set, if the bytes are no
// subscription.
func addSubscribedTopics(set map[string]struct{}, b []byte) bool {
	if len(b) < 6 || int16(binary.BigEndian.Uint16(b)) < 0 {
		return false
	}
	n := int32(binary.BigEndian.Uint32(b[2:]))
	b = b[6:]
	if n < 0 || int(n) > len(b)/2 {
		return false
	}
	for ; n > 0; n-- {
		if len(b) < 2 {
			return false
		}
		size := int(int16(binary.BigEndian.Uint16(b)))
		if size < 0 || size > len(b)-2 {
			return false
		}
		set[string(b[2:2+size])] = struct{}{}
		b = b[2+size:]
	}
	return true
}
