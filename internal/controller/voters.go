package controller

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/wire"
)

// Changes of the quorum's voters (KIP-853) are the quorum's own business, takes several steps and writes no record of the
// controller's; here they are checked and answered.

// Voters changes who votes in the metadata quorum. done is called once, from another goroutine, and must be quick.
type Voters interface {
	AddVoter(v quorum.Voter, wait time.Duration, early bool, done func(error))
	RemoveVoter(id int32, dir [16]byte, wait time.Duration, done func(error))
	UpdateVoter(v quorum.Voter, done func(error))
	// UpgradeVersion makes a static quorum a dynamic one, or says whether it could.
	UpgradeVersion(validateOnly bool, done func(error))
}

// changesVoters reports whether a request is answered by changeVoters.
func changesVoters(key int16) bool { return key >= 80 && key <= 82 }

// changeVoters answers AddRaftVoter v0 and v1, RemoveRaftVoter v0 and UpdateRaftVoter v0. It runs in the loop.
func (c *Controller) changeVoters(req kmsg.Request, done func(kmsg.Response, error)) {
	if !c.active {
		done(nil, wire.NotController)
		return
	}
	finish := func(err error) {
		if wire.CodeOf(err) == wire.NotController {
			done(nil, wire.NotController)
			return
		}
		done(c.votersAnswer(req, err), nil)
	}
	switch r := req.(type) {
	case *kmsg.AddRaftVoterRequest:
		v := quorum.Voter{ID: r.VoterID, DirectoryID: r.VoterDirectoryID}
		for _, l := range r.Listeners {
			v.Endpoints = append(v.Endpoints, quorum.Endpoint{Name: l.Name, Host: l.Host, Port: l.Port})
		}
		if err := c.checkVoter(r.ClusterID, v, true); err != nil {
			finish(err)
			return
		}
		wait := time.Duration(max(r.TimeoutMillis, 0)) * time.Millisecond
		c.q.AddVoter(v, wait, r.Version > 0 && !r.AckWhenCommitted, finish)
	case *kmsg.RemoveRaftVoterRequest:
		if err := c.checkVoter(r.ClusterID, quorum.Voter{ID: r.VoterID}, false); err != nil {
			finish(err)
			return
		}
		c.q.RemoveVoter(r.VoterID, r.VoterDirectoryID, c.settings().Millis("controller.quorum.request.timeout.ms"), finish)
	case *kmsg.UpdateRaftVoterRequest:
		v := quorum.Voter{ID: r.VoterID, DirectoryID: r.VoterDirectoryID, MinKRaftVersion: r.KRaftVersionFeature.MinSupportedVersion,
			MaxKRaftVersion: r.KRaftVersionFeature.MaxSupportedVersion}
		for _, l := range r.Listeners {
			v.Endpoints = append(v.Endpoints, quorum.Endpoint{Name: l.Name, Host: l.Host, Port: l.Port})
		}
		err := c.checkVoter(r.ClusterID, v, true)
		if f, level := r.KRaftVersionFeature, c.q.Status().KRaftVersion; err == nil && (level < f.MinSupportedVersion || level > f.MaxSupportedVersion) {
			err = refuse(wire.InvalidRequest, "The voter does not support kraft.version %d", level)
		}
		if err != nil {
			finish(err)
			return
		}
		c.q.UpdateVoter(v, finish)
	}
}

// checkVoter checks what a request says of the cluster and of where the voter listens.
func (c *Controller) checkVoter(clusterID *string, v quorum.Voter, listens bool) error {
	if clusterID != nil && *clusterID != c.cfg.ClusterID {
		return refuse(wire.InconsistentClusterId, "%s", defaultMessage(wire.InconsistentClusterId))
	}
	if v.ID < 0 {
		return refuse(wire.InvalidRequest, "Voter id %d is negative", v.ID)
	}
	if !listens || len(c.cfg.Endpoints) == 0 {
		return nil
	}
	name := c.cfg.Endpoints[0].Name
	for _, e := range v.Endpoints {
		if e.Name == name {
			return nil
		}
	}
	return refuse(wire.InvalidRequest, "Add voter request didn't include the endpoint (%v) for the default listener ListenerName(%s)", v.Endpoints, name)
}

// votersAnswer is the answer to a change of the voters.
func (c *Controller) votersAnswer(req kmsg.Request, err error) kmsg.Response {
	code := int16(wire.CodeOf(err))
	var text *string
	if refusal := (*quorum.Refusal)(nil); errors.As(err, &refusal) {
		text = &refusal.Text
	} else {
		_, text = errorFields(err)
	}
	switch r := req.ResponseKind().(type) {
	case *kmsg.AddRaftVoterResponse:
		r.ErrorCode, r.ErrorMessage = code, text
		return r
	case *kmsg.RemoveRaftVoterResponse:
		r.ErrorCode, r.ErrorMessage = code, text
		return r
	case *kmsg.UpdateRaftVoterResponse:
		r.ErrorCode = code
		st := c.q.Status()
		r.CurrentLeader.LeaderID, r.CurrentLeader.LeaderEpoch = st.LeaderID, st.LeaderEpoch
		for _, v := range st.Voters {
			if v.ID == st.LeaderID && len(v.Endpoints) > 0 {
				r.CurrentLeader.Host, r.CurrentLeader.Port = v.Endpoints[0].Host, int32(v.Endpoints[0].Port)
			}
		}
		return r
	}
	return nil
}
