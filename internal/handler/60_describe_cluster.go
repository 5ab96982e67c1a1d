package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/wire"
)

// Endpoint types of DescribeCluster.
const (
	brokerEndpoints     = 1
	controllerEndpoints = 2
)

// DescribeCluster, versions 0 to 2: 1 can ask a controller for controllers (KIP-919), 2 shows fenced brokers (KIP-1073).
func (b *Broker) handleDescribeCluster(r *wire.Request) {
	req := r.Body.(*kmsg.DescribeClusterRequest)
	resp := req.ResponseKind().(*kmsg.DescribeClusterResponse)
	resp.ClusterID, resp.EndpointType = b.ClusterID, brokerEndpoints
	resp.ClusterAuthorizedOperations = -1 << 31
	if r.Version >= 1 && req.EndpointType != brokerEndpoints {
		code, msg := wire.UnsupportedEndpointType, "Unsupported endpoint type "+itoa(int(req.EndpointType))
		if req.EndpointType == controllerEndpoints {
			code, msg = wire.MismatchedEndpointType, "The request was sent to an endpoint of type BROKER, but we wanted an endpoint of type CONTROLLER"
		}
		resp.ErrorCode, resp.ErrorMessage = int16(code), &msg
		r.Reply(resp)
		return
	}
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = b.clusterOperations(r)
	}
	img := b.Image()
	resp.ControllerID = b.someBroker(img)
	for br := range img.Brokers() {
		ep, ok := br.Endpoint(r.Conn.Listener)
		if !ok || (br.Fenced && !req.IncludeFencedBrokers) {
			continue
		}
		rb := kmsg.NewDescribeClusterResponseBroker()
		rb.NodeID, rb.Host, rb.Port, rb.Rack, rb.IsFenced = br.ID, ep.Host, int32(ep.Port), br.Rack, br.Fenced
		resp.Brokers = append(resp.Brokers, rb)
	}
	r.Reply(resp)
}
