package wire

import (
	"sort"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// ApiVersionKeys is the table of an ApiVersions answer for what a listener serves, in rising order of keys.
func ApiVersionKeys(routes []Route) []kmsg.ApiVersionsResponseApiKey {
	keys := make([]kmsg.ApiVersionsResponseApiKey, 0, len(routes))
	for i := range routes {
		r := &routes[i]
		if r.Hidden {
			continue
		}
		k := kmsg.NewApiVersionsResponseApiKey()
		k.ApiKey, k.MinVersion, k.MaxVersion = r.Key, r.MinVersion, r.MaxVersion
		if r.ClaimFromZero {
			k.MinVersion = 0
		}
		keys = append(keys, k)
	}
	sort.Slice(keys, func(i, j int) bool { return keys[i].ApiKey < keys[j].ApiKey })
	return keys
}

// ApiVersionsUnsupported is the answer to an ApiVersions request of a version that is not served: in version 0, which
// every client can read, with UNSUPPORTED_VERSION and the range of ApiVersions itself, so that the client can
// ask again (KIP-511).
func ApiVersionsUnsupported(minVersion, maxVersion int16) *kmsg.ApiVersionsResponse {
	resp := kmsg.NewPtrApiVersionsResponse()
	resp.Version = 0
	resp.ErrorCode = int16(UnsupportedVersion)
	k := kmsg.NewApiVersionsResponseApiKey()
	k.ApiKey, k.MinVersion, k.MaxVersion = KeyApiVersions, minVersion, maxVersion
	resp.ApiKeys = append(resp.ApiKeys, k)
	return resp
}
