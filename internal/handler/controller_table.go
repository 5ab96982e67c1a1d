package handler

import (
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/wire"
)

// ControllerRoutes is the table of a controller's listeners: what tools ask with --bootstrap-controller, and what nodes
// send to controllers.
func (b *Broker) ControllerRoutes() []wire.Route {
	keys := map[int16]bool{17: true, 36: true, 19: true, 20: true, 29: true, 30: true, 31: true, 32: true, 37: true, 41: true, 43: true, 45: true, 46: true, 49: true, 51: true, 55: true, 57: true, 64: true, 80: true, 81: true}
	var out []wire.Route
	for _, rt := range b.Routes() {
		if keys[rt.Key] {
			out = append(out, rt)
		}
	}
	out = append(out, b.nodeRoutes()...)
	out = append(out, b.tokenRoutes()...)
	out = append(out,
		wire.Route{Key: 18, MinVersion: 0, MaxVersion: 5, Handle: b.handleControllerAPIVersions},
		wire.Route{Key: 33, MinVersion: 0, MaxVersion: 2, Handle: b.handleControllerAlterConfigs},
		wire.Route{Key: 44, MinVersion: 0, MaxVersion: 1, Handle: b.handleControllerIncrementalAlterConfigs},
		wire.Route{Key: 60, MinVersion: 0, MaxVersion: 2, Handle: b.handleDescribeControllers})
	return out
}

// handleControllerAPIVersions answers ApiVersions for the controller's table.
func (b *Broker) handleControllerAPIVersions(r *wire.Request) {
	b.answerAPIVersions(r, b.controllerKeys)
}

// handleDescribeControllers answers DescribeCluster on a controller's listener (KIP-919): the controllers, not the
// brokers.
func (b *Broker) handleDescribeControllers(r *wire.Request) {
	req := r.Body.(*kmsg.DescribeClusterRequest)
	resp := req.ResponseKind().(*kmsg.DescribeClusterResponse)
	resp.ClusterID, resp.EndpointType = b.ClusterID, controllerEndpoints
	resp.ClusterAuthorizedOperations = -1 << 31
	if r.Version < 1 || req.EndpointType != controllerEndpoints {
		code, msg := wire.MismatchedEndpointType, "The request was sent to an endpoint of type CONTROLLER, but we wanted an endpoint of type BROKER"
		if r.Version >= 1 && req.EndpointType != brokerEndpoints {
			code, msg = wire.UnsupportedEndpointType, "Unsupported endpoint type "+itoa(int(req.EndpointType))
		}
		if r.Version < 1 { // which knows no endpoint types, nor their errors
			code = wire.InvalidRequest
		}
		resp.EndpointType = brokerEndpoints
		resp.ErrorCode, resp.ErrorMessage = int16(code), &msg
		r.Reply(resp)
		return
	}
	if req.IncludeClusterAuthorizedOperations {
		resp.ClusterAuthorizedOperations = b.clusterOperations(r)
	}
	resp.ControllerID = b.NodeID
	if b.Quorum != nil {
		resp.ControllerID = b.Quorum.LeaderID()
	}
	for _, c := range b.Image().Controllers() {
		for _, ep := range c.Endpoints {
			if ep.Name == r.Conn.Listener {
				rb := kmsg.NewDescribeClusterResponseBroker()
				rb.NodeID, rb.Host, rb.Port = c.ID, ep.Host, int32(ep.Port)
				resp.Brokers = append(resp.Brokers, rb)
			}
		}
	}
	r.Reply(resp)
}
