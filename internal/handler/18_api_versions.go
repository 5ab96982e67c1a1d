package handler

import (
	"regexp"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/wire"
)

// softwareName is what client software names and versions may look like (KIP-511).
var softwareName = regexp.MustCompile(`^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$`)

// ApiVersions, versions 0 to 5.
//
//	3 flexible, client software name and version, features    4 features whose minimum is 0 (KIP-1022)
//	5 cluster id and node id that the client believes in
//
// A version above 5 is answered in version 0 with UNSUPPORTED_VERSION and this API's range, which the server does.
func (b *Broker) handleAPIVersions(r *wire.Request) { b.answerAPIVersions(r, b.apiKeys) }

func (b *Broker) answerAPIVersions(r *wire.Request, keys []kmsg.ApiVersionsResponseApiKey) {
	req := r.Body.(*kmsg.ApiVersionsRequest)
	resp := req.ResponseKind().(*kmsg.ApiVersionsResponse)
	if r.Version >= 3 && (!softwareName.MatchString(req.ClientSoftwareName) || !softwareName.MatchString(req.ClientSoftwareVersion)) {
		resp.ErrorCode = int16(wire.InvalidRequest)
		r.Reply(resp)
		return
	}
	resp.ApiKeys = keys
	b.addFeatures(r.Version, resp)
	r.Reply(resp)
}
