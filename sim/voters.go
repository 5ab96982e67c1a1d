package sim

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/node/format"
	"github.com/weir-stream/weir/internal/wire"
)

// voting says how the voters of the metadata quorum are known and changed (KIP-853, KIP-1186).
type voting int

const (
	votersStatic   voting = iota // controller.quorum.voters; a wiped one comes back under its id
	votersChanged                // added and removed while other faults go on; their disks stay
	votersJoin                   // controller.quorum.auto.join.enable; wiped ones come back as others
	votersUpgraded               // as votersStatic, until the quorum becomes a dynamic one amid the faults; then as votersJoin
)

// named reports whether the settings name the voters.
func (v voting) named() bool { return v == votersStatic || v == votersUpgraded }

// upgradeTakes is how long a request to make the quorum a dynamic one may be under way. A voter that lost its disk in that time would be
// another one in the end, and a second loss one too many.
const upgradeTakes = 15 * time.Second

// upgrade asks for kraft.version 1, until that is said to be made.
func (x *chaos) upgrade(ctx context.Context) {
	c := x.c
	if c.upgraded || time.Since(c.began) < c.upgradeAfter {
		return
	}
	c.upgradeAsked = time.Now()
	req := kmsg.NewPtrUpdateFeaturesRequest()
	u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
	u.Feature, u.MaxVersionLevel, u.UpgradeType = "kraft.version", 1, 1
	req.FeatureUpdates = append(req.FeatureUpdates, u)
	if resp, ok := x.ask(ctx, req).(*kmsg.UpdateFeaturesResponse); ok {
		code := wire.Code(resp.ErrorCode)
		x.note("upgrade the quorum: %s", code.Name())
		c.upgraded = code == wire.None
	}
	c.upgradeAsked = time.Now()
}

// initialVoters is how many there are at the beginning of a dynamic quorum; controllers beyond them stand outside.
const initialVoters = 3

// initial are the first voters of a dynamic quorum, with directory ids from the seed.
func (c *cluster) initial() []format.Voter {
	var out []format.Voter
	for _, m := range c.nodes {
		if m.controller() && len(out) < initialVoters {
			v := format.Voter{ID: int32(m.id), Host: m.host.ip.String(), Port: controllerPort}
			v.DirectoryID = [16]byte{0: byte(m.id), 6: 0x40, 8: 0x80, 15: byte(c.seed)}
			out = append(out, v)
		}
	}
	return out
}

// directory is the id of the metadata directory of a controller.
func (m *machine) directory() [16]byte {
	m.disk.mu.Lock()
	mem := m.disk.mem
	m.disk.mu.Unlock()
	p, err := log.ReadMetaProperties(mem, "/a")
	if err != nil {
		m.c.trace.note("node %d: %v", m.id, err)
	}
	return p.DirectoryID
}

// describeQuorum asks any broker who leads and votes. M OneLeaderPerEpoch is checked on the way.
func (cl *client) describeQuorum(ctx context.Context) *kmsg.DescribeQuorumResponseTopicPartition {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	req := kmsg.NewPtrDescribeQuorumRequest()
	t := kmsg.NewDescribeQuorumRequestTopic()
	t.Topic = "__cluster_metadata"
	t.Partitions = append(t.Partitions, kmsg.NewDescribeQuorumRequestTopicPartition())
	req.Topics = append(req.Topics, t)
	resp, err := cl.ask(ctx, -1, req)
	if err != nil {
		return nil
	}
	r := resp.(*kmsg.DescribeQuorumResponse)
	if r.ErrorCode != 0 || len(r.Topics) == 0 || len(r.Topics[0].Partitions) == 0 || r.Topics[0].Partitions[0].ErrorCode != 0 {
		return nil
	}
	p := &r.Topics[0].Partitions[0]
	cl.c.led([16]byte{}, -1, p.LeaderEpoch, p.LeaderID)
	return p
}

// changeVoters adds a controller to the voters, or removes one.
func (x *chaos) changeVoters(ctx context.Context) {
	st := x.admin.describeQuorum(ctx)
	if st == nil || len(st.CurrentVoters) == 0 {
		return
	}
	m := x.any()
	for !m.controller() {
		m = x.any()
	}
	i := slices.IndexFunc(st.CurrentVoters, func(v kmsg.DescribeQuorumResponseTopicPartitionReplicaState) bool { return v.ReplicaID == int32(m.id) })
	if i < 0 {
		req := kmsg.NewPtrAddRaftVoterRequest()
		req.TimeoutMillis, req.VoterID, req.VoterDirectoryID, req.AckWhenCommitted = 3000, int32(m.id), m.directory(), x.rng.IntN(3) > 0
		l := kmsg.NewAddRaftVoterRequestListener()
		l.Name, l.Host, l.Port = "CONTROLLER", m.host.ip.String(), controllerPort
		req.Listeners = append(req.Listeners, l)
		if resp, ok := x.ask(ctx, req).(*kmsg.AddRaftVoterResponse); ok {
			x.note("add voter %d: %s", m.id, wire.Code(resp.ErrorCode).Name())
			x.votersChanged(wire.Code(resp.ErrorCode))
		}
		return
	}
	if len(st.CurrentVoters) < 3 {
		return
	}
	req := kmsg.NewPtrRemoveRaftVoterRequest()
	req.VoterID, req.VoterDirectoryID = int32(m.id), st.CurrentVoters[i].ReplicaDirectoryID
	if resp, ok := x.ask(ctx, req).(*kmsg.RemoveRaftVoterResponse); ok {
		x.note("remove voter %d: %s", m.id, wire.Code(resp.ErrorCode).Name())
		x.votersChanged(wire.Code(resp.ErrorCode))
	}
}

// votersChanged counts changes of the voters that were made while somebody was cut off.
func (x *chaos) votersChanged(code wire.Code) {
	cut := 0
	x.c.net.set(func() { cut = len(x.c.net.cut) })
	if code == wire.None && cut > 0 {
		x.c.reach("the voters changed beside a partition of the network")
	}
}

// votersWell reports whether the quorum can bear the loss of a voter's disk: all voters are the controllers that there are
// now, and no change is under way.
func (c *cluster) votersWell(ctx context.Context, cl *client) bool {
	if c.voting == votersStatic {
		return true
	}
	st := cl.describeQuorum(ctx)
	if st == nil {
		return false
	}
	if none := [16]byte{}; c.voting == votersUpgraded && (len(st.CurrentVoters) == 0 || st.CurrentVoters[0].ReplicaDirectoryID == none) {
		return time.Since(c.upgradeAsked) > upgradeTakes
	}
	there := 0
	for _, m := range c.nodes {
		if !m.controller() {
			continue
		}
		dir := m.directory()
		if !slices.ContainsFunc(st.CurrentVoters, func(v kmsg.DescribeQuorumResponseTopicPartitionReplicaState) bool {
			return v.ReplicaID == int32(m.id) && v.ReplicaDirectoryID == dir
		}) {
			if c.voting != votersChanged {
				return false
			}
			continue
		}
		there++
	}
	return there == len(st.CurrentVoters)
}
