package node

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/controller"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/wire"
)

// networked reports whether the quorum may have other nodes, now or later: all but a node whose settings make it a quorum of
// one for good.
func (n *Node) networked() bool {
	nc := n.config.Load().Node()
	return !nc.Alone || len(nc.Voters) == 0 && len(nc.BootstrapServers) > 0
}

// voterPause is how often a controller compares itself with the voters record.
const voterPause = time.Second

// keepVoting keeps this controller's entry among the voters of a dynamic quorum: it tells the leader when it listens
// elsewhere than the record says (UpdateRaftVoter), and joins by itself if the settings want that (KIP-1186). In a static
// quorum each leader is told once in its term, for the day when the quorum becomes dynamic.
func (n *Node) keepVoting() {
	nc := n.config.Load().Node()
	if !nc.Controller || !n.networked() {
		return
	}
	n.metaGroup.Go("place among the voters", func(ctx context.Context) {
		t := time.NewTicker(voterPause)
		defer t.Stop()
		told := int32(-1) // the last epoch whose leader was told
		for {
			select {
			case <-ctx.Done():
				return
			case <-t.C:
			}
			st := n.quorum.Status()
			req := n.wantedVote(st, told)
			if req == nil {
				continue
			}
			asked, cancel := context.WithTimeout(ctx, 10*voterPause)
			resp, err := n.way.Handle(asked, controller.RequestContext{}, req)
			cancel()
			if err == nil {
				err = voterOutcome(resp)
			}
			switch {
			case err == nil:
				told = st.LeaderEpoch
			case ctx.Err() != nil:
			case st.KRaftVersion == 0: // nobody waits for it
				if wire.CodeOf(err) == wire.UnsupportedVersion { // a leader of an older build has no use for it
					told = st.LeaderEpoch
				}
				n.logger.Debug("the leader of the quorum was not told of this voter", "err", err)
			default:
				n.logger.Warn("the leader of the quorum does not change this node's place among the voters yet", "err", err)
			}
		}
	})
}

func voterOutcome(resp kmsg.Response) error {
	var code int16
	switch r := resp.(type) {
	case *kmsg.AddRaftVoterResponse:
		code = r.ErrorCode
	case *kmsg.RemoveRaftVoterResponse:
		code = r.ErrorCode
	case *kmsg.UpdateRaftVoterResponse:
		code = r.ErrorCode
	}
	if code != 0 {
		return wire.Code(code)
	}
	return nil
}

// wantedVote is what to ask the leader for, nil if all is well. told is the last epoch whose leader was told of this voter.
func (n *Node) wantedVote(st quorum.Status, told int32) kmsg.Request {
	leader, _ := n.quorum.Leader()
	if leader.ID < 0 {
		return nil
	}
	own := slices.IndexFunc(st.Voters, func(v quorum.Voter) bool { return v.ID == n.id })
	listens := n.controllerEndpoints()
	switch {
	case st.KRaftVersion == 0 && (own < 0 || leader.ID == n.id || told == st.LeaderEpoch || len(listens) == 0):
		return nil
	case st.KRaftVersion == 0, own >= 0 && st.Voters[own].DirectoryID == n.metadataID:
		if st.KRaftVersion > 0 && (len(listens) == 0 || sameEndpoints(st.Voters[own].Endpoints, listens)) {
			return nil
		}
		req := kmsg.NewPtrUpdateRaftVoterRequest()
		req.ClusterID, req.VoterID, req.VoterDirectoryID, req.CurrentLeaderEpoch = &n.clusterID, n.id, n.metadataID, st.LeaderEpoch
		req.KRaftVersionFeature.MaxSupportedVersion = 1
		for _, e := range listens {
			l := kmsg.NewUpdateRaftVoterRequestListener()
			l.Name, l.Host, l.Port = e.Name, e.Host, e.Port
			req.Listeners = append(req.Listeners, l)
		}
		return req
	case !n.config.Load().Bool("controller.quorum.auto.join.enable"):
		return nil
	case own >= 0: // this node in an earlier life, with another directory
		req := kmsg.NewPtrRemoveRaftVoterRequest()
		req.ClusterID, req.VoterID, req.VoterDirectoryID = &n.clusterID, n.id, st.Voters[own].DirectoryID
		return req
	}
	req := kmsg.NewPtrAddRaftVoterRequest()
	req.ClusterID, req.VoterID, req.VoterDirectoryID, req.AckWhenCommitted = &n.clusterID, n.id, n.metadataID, false
	req.TimeoutMillis = int32((5 * voterPause).Milliseconds())
	for _, e := range listens {
		l := kmsg.NewAddRaftVoterRequestListener()
		l.Name, l.Host, l.Port = e.Name, e.Host, e.Port
		req.Listeners = append(req.Listeners, l)
	}
	return req
}

func sameEndpoints(have []quorum.Endpoint, want []image.Endpoint) bool {
	return slices.EqualFunc(have, want, func(a quorum.Endpoint, b image.Endpoint) bool {
		return a.Name == b.Name && a.Host == b.Host && a.Port == b.Port
	})
}
