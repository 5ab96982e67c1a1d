package controller

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/wire"
)

// describeQuorum answers DescribeQuorum v0 to v2 (KIP-595, 836, 853).
func (c *Controller) describeQuorum(_ RequestContext, req *kmsg.DescribeQuorumRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.DescribeQuorumResponse)
	resp.ErrorMessage = kmsg.StringPtr("")
	st := c.q.Status()
	known := false // whether it is the quorum that is asked for
	for _, t := range req.Topics {
		out := kmsg.NewDescribeQuorumResponseTopic()
		out.Topic = t.Topic
		for _, p := range t.Partitions {
			entry := kmsg.NewDescribeQuorumResponseTopicPartition()
			entry.Partition, entry.ErrorMessage = p.Partition, kmsg.StringPtr("")
			if t.Topic != metadataTopic || p.Partition != 0 {
				entry.ErrorCode = int16(wire.UnknownTopicOrPartition)
				entry.ErrorMessage = kmsg.StringPtr(defaultMessage(wire.UnknownTopicOrPartition))
				out.Partitions = append(out.Partitions, entry)
				continue
			}
			known = true
			entry.LeaderID, entry.LeaderEpoch, entry.HighWatermark = st.LeaderID, st.LeaderEpoch, st.HighWatermark
			entry.CurrentVoters, entry.Observers = quorumReplicas(st.States), quorumReplicas(st.Observers)
			out.Partitions = append(out.Partitions, entry)
		}
		resp.Topics = append(resp.Topics, out)
	}
	if req.Version >= 2 && known {
		for _, v := range st.Voters {
			node := kmsg.NewDescribeQuorumResponseNode()
			node.NodeID = v.ID
			for _, e := range c.controllerEndpoints(v) {
				l := kmsg.NewDescribeQuorumResponseNodeListener()
				l.Name, l.Host, l.Port = e.Name, e.Host, e.Port
				node.Listeners = append(node.Listeners, l)
			}
			resp.Nodes = append(resp.Nodes, node)
		}
	}
	return decision{answer: resp}, nil
}

// registerController answers ControllerRegistration v0 (KIP-919).
func (c *Controller) registerController(_ RequestContext, req *kmsg.ControllerRegistrationRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.ControllerRegistrationResponse)
	if !c.state.MetadataVersion().ControllerRegistration() {
		return decision{}, refuse(wire.UnsupportedVersion, "The current MetadataVersion is too old to support controller registrations.")
	}
	if len(req.Listeners) == 0 {
		return decision{}, refuse(wire.InvalidRequest, "No listeners specified in request")
	}
	r := &image.Controller{ID: req.ControllerID, IncarnationID: req.IncarnationID}
	for _, l := range req.Listeners {
		r.Endpoints = append(r.Endpoints, image.Endpoint{Name: l.Name, Host: l.Host, Port: l.Port, SecurityProtocol: l.SecurityProtocol})
	}
	for _, f := range req.Features {
		r.Features = append(r.Features, image.FeatureRange{Name: f.Name, Min: f.MinSupportedVersion, Max: f.MaxSupportedVersion})
	}
	return decision{answer: resp, records: []mr.Versioned{mr.V0(r.Record())}}, nil
}

// controllerEndpoints are where a voter listens: as the voters record says, or its registration.
func (c *Controller) controllerEndpoints(v quorum.Voter) []quorum.Endpoint {
	if len(v.Endpoints) > 0 && v.Endpoints[0].Name != "" {
		return v.Endpoints
	}
	for _, r := range c.state.Controllers() {
		if r.ID != v.ID {
			continue
		}
		out := make([]quorum.Endpoint, 0, len(r.Endpoints))
		for _, e := range r.Endpoints {
			out = append(out, quorum.Endpoint{Name: e.Name, Host: e.Host, Port: e.Port})
		}
		return out
	}
	// One of controller.quorum.voters that has not registered yet: by the name of this controller's listener, as in Kafka.
	out := slices.Clone(v.Endpoints)
	for i := range out {
		if out[i].Name == "" && len(c.cfg.Endpoints) > 0 {
			out[i].Name = c.cfg.Endpoints[0].Name
		}
	}
	return out
}

func quorumReplicas(states []quorum.ReplicaState) []kmsg.DescribeQuorumResponseTopicPartitionReplicaState {
	out := make([]kmsg.DescribeQuorumResponseTopicPartitionReplicaState, 0, len(states))
	for _, s := range states {
		r := kmsg.NewDescribeQuorumResponseTopicPartitionReplicaState()
		r.ReplicaID, r.ReplicaDirectoryID, r.LogEndOffset = s.ID, s.DirectoryID, s.LogEndOffset
		r.LastFetchTimestamp, r.LastCaughtUpTimestamp = millis(s.LastFetch), millis(s.LastCaughtUp)
		out = append(out, r)
	}
	return out
}

// millis is a time in milliseconds, -1 for none.
func millis(t time.Time) int64 {
	if t.IsZero() {
		return -1
	}
	return t.UnixMilli()
}
