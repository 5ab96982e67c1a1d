package controller

import (
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/wire"
)

// liveBroker is what is known of a broker beyond the log, in this term only.
type liveBroker struct {
	contact time.Time // last heartbeat or registration
	heard   bool      // in this term
	// drainedAt is the offset at which the broker has nothing to lead any more, while it shuts down.
	drainedAt      int64
	metadataOffset int64
	// offline are the failed directories that the process of offlineEpoch has told of.
	offline      []image.UUID
	offlineEpoch int64
}

// brokerState is what a broker may do. It goes fenced → unfenced → (controlled shutdown →) shutdown now; a broker that
// is not heard of, or asks for it, is fenced from any state.
type brokerState int

const (
	stateFenced brokerState = iota
	stateUnfenced
	stateControlledShutdown
	stateShutdownNow
)

// registerBroker answers BrokerRegistration v0 to v4 (KIP-631, 858, 966).
func (c *Controller) registerBroker(_ RequestContext, req *kmsg.BrokerRegistrationRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.BrokerRegistrationResponse)
	old := c.state.Broker(req.BrokerID)
	if err := c.checkRegistration(req, old); err != nil {
		return decision{}, err
	}
	b := &image.Broker{ID: req.BrokerID, IncarnationID: req.IncarnationID, Rack: req.Rack, Fenced: true, Directories: req.LogDirs}
	for _, l := range req.Listeners {
		b.Endpoints = append(b.Endpoints, image.Endpoint{Name: l.Name, Host: l.Host, Port: l.Port, SecurityProtocol: l.SecurityProtocol})
	}
	for _, f := range req.Features {
		b.Features = append(b.Features, image.FeatureRange{Name: f.Name, Min: f.MinSupportedVersion, Max: f.MaxSupportedVersion})
	}
	var records []mr.Versioned
	if old != nil && old.IncarnationID == req.IncarnationID {
		b.Epoch, b.Fenced, b.InControlledShutdown = old.Epoch, old.Fenced, old.InControlledShutdown
	} else {
		if old != nil {
			records = c.shutdownRecords(old, req.PreviousBrokerEpoch)
		}
		// The epoch is the offset of the record itself.
		b.Epoch = c.q.NextOffset() + int64(len(records))
	}
	records = append(records, mr.At(b.Record(), c.state.MetadataVersion().RegisterBrokerRecord()))
	c.heard(req.BrokerID).drainedAt = 0
	resp.BrokerEpoch = b.Epoch
	c.log.Info("controller: broker registers", "broker", b.ID, "epoch", b.Epoch, "changes", len(records)-1)
	return decision{answer: resp, records: records, canSplit: true}, nil
}

func (c *Controller) checkRegistration(req *kmsg.BrokerRegistrationRequest, old *image.Broker) error {
	if req.ClusterID != c.cfg.ClusterID {
		return refuse(wire.InconsistentClusterId, "Expected cluster ID %s, but got cluster ID %s", c.cfg.ClusterID, req.ClusterID)
	}
	if old != nil && old.IncarnationID != req.IncarnationID && c.sessionValid(old) {
		return refuse(wire.DuplicateBrokerRegistration, "Another broker is registered with that broker id. If the broker was recently restarted this should self-resolve once the heartbeat manager expires the broker's session.")
	}
	if req.IsMigratingZkBroker {
		return refuse(wire.BrokerIdNotRegistered, "Controller does not support registering ZK brokers.")
	}
	if len(req.Listeners) == 0 {
		return refuse(wire.InvalidRegistration, "No listeners specified in request")
	}
	if err := c.checkDirectories(req); err != nil {
		return err
	}
	return c.checkFeatures(req)
}

func (c *Controller) checkDirectories(req *kmsg.BrokerRegistrationRequest) error {
	if !c.state.MetadataVersion().DirectoryAssignment() {
		return nil
	}
	if len(req.LogDirs) == 0 {
		return refuse(wire.InvalidRegistration, "No directories specified in request")
	}
	seen := map[image.UUID]struct{}{}
	for _, d := range req.LogDirs {
		if reservedDirectory(d) {
			return refuse(wire.InvalidRegistration, "Reserved directory ID in request")
		}
		if _, twice := seen[d]; twice {
			return refuse(wire.InvalidRegistration, "Duplicate directory ID in request")
		}
		seen[d] = struct{}{}
	}
	for b := range c.state.Brokers() {
		if b.ID == req.BrokerID {
			continue
		}
		for d := range seen {
			if b.HasDirectory(d) {
				return refuse(wire.InvalidRegistration, "Broker %d is already registered with directory %s", b.ID, mr.FormatUUID(d))
			}
		}
	}
	return nil
}

// reservedDirectory reports whether the id is one of the first hundred.
func reservedDirectory(id image.UUID) bool {
	for _, b := range id[:15] {
		if b != 0 {
			return false
		}
	}
	return id[15] < 100
}

// checkFeatures refuses a broker that cannot do what is finalized. A level that this build cannot do itself, kept from an
// imported cluster, counts as the highest that it can.
func (c *Controller) checkFeatures(req *kmsg.BrokerRegistrationRequest) error {
	has := map[string]kmsg.BrokerRegistrationRequestFeature{}
	for _, f := range req.Features {
		has[f.Name] = f
	}
	if _, ok := has[image.FeatureMetadata]; !ok {
		return refuse(wire.InvalidRegistration, "Request features do not contain 'metadata.version'")
	}
	for name, level := range c.state.FinalizedFeatures() {
		for _, s := range supported {
			if s.Name == name {
				level = min(level, s.Max)
			}
		}
		f := has[name]
		if level < f.MinSupportedVersion || level > f.MaxSupportedVersion {
			return refuse(wire.UnsupportedVersion, "Unable to register because the broker does not support finalized version %d of %s. The broker wants a version between %d and %d, inclusive.",
				level, name, f.MinSupportedVersion, f.MaxSupportedVersion)
		}
	}
	return nil
}

// sessionValid reports whether a broker's process must be taken for alive: it was heard of in this term, not too long
// ago. That holds for this node's own broker too: with the process that it was part of, its controller's term ended.
func (c *Controller) sessionValid(b *image.Broker) bool {
	live := c.brokers[b.ID]
	if live == nil || !live.heard || b.Fenced {
		return false
	}
	return c.cfg.Now().Sub(live.contact) < c.settings().Millis("broker.session.timeout.ms")
}

func (c *Controller) heard(id int32) *liveBroker {
	live := c.brokers[id]
	if live == nil {
		live = &liveBroker{}
		c.brokers[id] = live
	}
	live.contact, live.heard = c.cfg.Now(), true
	return live
}

// checkBrokerEpoch refuses a request of a broker that is not registered, or not in that incarnation.
func (c *Controller) checkBrokerEpoch(id int32, epoch int64) (*image.Broker, error) {
	b := c.state.Broker(id)
	if b == nil {
		return nil, refuse(wire.StaleBrokerEpoch, "No broker registration found for broker id %d", id)
	}
	if b.Epoch != epoch {
		return nil, refuse(wire.StaleBrokerEpoch, "Expected broker epoch %d, but got broker epoch %d", b.Epoch, epoch)
	}
	return b, nil
}

// heartbeat answers BrokerHeartbeat v0 to v2.
func (c *Controller) heartbeat(_ RequestContext, req *kmsg.BrokerHeartbeatRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.BrokerHeartbeatResponse)
	b, err := c.checkBrokerEpoch(req.BrokerID, req.BrokerEpoch)
	if err != nil {
		return decision{}, err
	}
	live := c.heard(b.ID)
	live.metadataOffset = req.CurrentMetadataOffset
	next := c.nextState(b, live, req)
	records := c.stateRecords(b, live, next)
	records = append(records, c.directoryRecords(b, live, req)...)
	resp.IsCaughtUp = req.CurrentMetadataOffset >= b.Epoch
	resp.IsFenced = next == stateFenced || next == stateShutdownNow
	resp.ShouldShutdown = next == stateShutdownNow
	c.scheduleFencing()
	return decision{answer: resp, records: records, canSplit: true}, nil
}

func currentState(b *image.Broker) brokerState {
	switch {
	case b.Fenced:
		return stateFenced
	case b.InControlledShutdown:
		return stateControlledShutdown
	}
	return stateUnfenced
}

func (c *Controller) nextState(b *image.Broker, live *liveBroker, req *kmsg.BrokerHeartbeatRequest) brokerState {
	now := currentState(b)
	switch {
	case now == stateFenced && req.WantShutdown:
		return stateShutdownNow
	case now == stateFenced && !req.WantFence && req.CurrentMetadataOffset >= b.Epoch:
		return stateUnfenced
	case now == stateFenced:
		return stateFenced
	case now == stateUnfenced && req.WantFence && req.WantShutdown:
		return stateShutdownNow
	case now == stateUnfenced && req.WantFence:
		return stateFenced
	case now == stateUnfenced && req.WantShutdown:
		if c.soleBroker(b.ID) || !c.leadsAny(b.ID) {
			return stateShutdownNow
		}
		return stateControlledShutdown
	case now == stateControlledShutdown && !c.leadsAny(b.ID) && c.lowestActiveOffset(b.ID) >= live.drainedAt:
		return stateShutdownNow
	}
	return now
}

// soleBroker reports whether a broker is the only one. It then has nobody to hand anything over to, and its partitions
// keep their leader over a clean restart, at no cost in records.
func (c *Controller) soleBroker(id int32) bool {
	for b := range c.state.Brokers() {
		if b.ID != id {
			return false
		}
	}
	return true
}

func (c *Controller) leadsAny(id int32) bool { return c.index.leads[id] > 0 }

// lowestActiveOffset is how far all other live brokers have followed the metadata.
func (c *Controller) lowestActiveOffset(except int32) int64 {
	lowest := int64(1<<63 - 1)
	for b := range c.state.Brokers() {
		if live := c.brokers[b.ID]; b.ID != except && b.Active() && live != nil {
			lowest = min(lowest, live.metadataOffset)
		}
	}
	return lowest
}

// stateRecords are the records of a broker's change of state.
func (c *Controller) stateRecords(b *image.Broker, live *liveBroker, next brokerState) []mr.Versioned {
	now := currentState(b)
	if next == now {
		return nil
	}
	switch next {
	case stateUnfenced:
		return c.unfenceRecords(b)
	case stateControlledShutdown:
		records := c.leaderAndISRUpdates(updates{remove: b.ID, add: image.NoLeader, unclean: image.NoLeader})
		records = append(records, mr.At(&mr.BrokerRegistrationChangeRecord{BrokerID: b.ID, BrokerEpoch: b.Epoch, InControlledShutdown: 1}, 1))
		live.drainedAt = c.q.NextOffset() + int64(len(records)) - 1
		return records
	case stateFenced, stateShutdownNow:
		if now == stateFenced {
			return nil
		}
		return c.fenceRecords(b)
	}
	return nil
}

// fenceRecords take a broker out of all ISRs and leaderships and fence it.
func (c *Controller) fenceRecords(b *image.Broker) []mr.Versioned {
	var records []mr.Versioned
	if !c.soleBroker(b.ID) {
		records = c.leaderAndISRUpdates(updates{remove: b.ID, add: image.NoLeader, unclean: image.NoLeader})
	}
	return append(records, mr.V0(&mr.BrokerRegistrationChangeRecord{BrokerID: b.ID, BrokerEpoch: b.Epoch, Fenced: 1}))
}

// unfenceRecords unfence a broker and give it the partitions that have no leader and that it may lead.
func (c *Controller) unfenceRecords(b *image.Broker) []mr.Versioned {
	records := []mr.Versioned{mr.V0(&mr.BrokerRegistrationChangeRecord{BrokerID: b.ID, BrokerEpoch: b.Epoch, Fenced: -1})}
	return append(records, c.leaderAndISRUpdates(updates{remove: image.NoLeader, add: b.ID, unclean: image.NoLeader})...)
}

// shutdownRecords clean up after an incarnation of a broker that is gone. If the new one does not know the old one's
// epoch, that one died and may have lost what it had not flushed: it leaves the ISR and the ELR of all its
// partitions (KIP-966).
func (c *Controller) shutdownRecords(old *image.Broker, previousEpoch int64) []mr.Versioned {
	clean := previousEpoch == old.Epoch
	switch {
	case c.state.ELREnabled() && !clean:
		return c.leaderAndISRUpdates(updates{remove: image.NoLeader, add: image.NoLeader, unclean: old.ID})
	case clean && c.soleBroker(old.ID):
		return nil
	}
	return c.leaderAndISRUpdates(updates{remove: old.ID, add: image.NoLeader, unclean: image.NoLeader})
}

// directoryRecords follow what a heartbeat says of the broker's directories: failed ones leave the registration, and
// what lies in them loses its place in the ISR; so does what lies in those that had failed before the broker registered.
func (c *Controller) directoryRecords(b *image.Broker, live *liveBroker, req *kmsg.BrokerHeartbeatRequest) []mr.Versioned {
	var records []mr.Versioned
	v := c.state.MetadataVersion()
	if len(req.OfflineLogDirs) > 0 && v.DirectoryAssignment() {
		var online []image.UUID
		for _, d := range b.Directories {
			if !slices.Contains(req.OfflineLogDirs, d) {
				online = append(online, d)
			}
		}
		if len(online) < len(b.Directories) {
			records = append(records, mr.At(&mr.BrokerRegistrationChangeRecord{BrokerID: b.ID, BrokerEpoch: b.Epoch, LogDirs: online}, 2))
		}
		if live.offlineEpoch != b.Epoch || !slices.Equal(live.offline, req.OfflineLogDirs) { // it says so in each heartbeat
			live.offline, live.offlineEpoch = slices.Clone(req.OfflineLogDirs), b.Epoch
			records = append(records, c.leaderAndISRUpdates(updates{remove: image.NoLeader, add: image.NoLeader, unclean: image.NoLeader, offlineOf: b.ID, offline: req.OfflineLogDirs})...)
		}
	}
	if req.CordonedLogDirs != nil && v.CordonedDirectories() && (b.Cordoned == nil || !slices.Equal(req.CordonedLogDirs, b.Cordoned)) {
		records = append(records, mr.At(&mr.BrokerRegistrationChangeRecord{BrokerID: b.ID, BrokerEpoch: b.Epoch, CordonedLogDirs: req.CordonedLogDirs}, 3))
	}
	return records
}

// fenceStale runs when a session may have ended. This node's own broker is never stale: it lives as long as we do.
func (c *Controller) fenceStale() {
	if !c.active {
		return
	}
	session := c.settings().Millis("broker.session.timeout.ms")
	now := c.cfg.Now()
	for id, live := range c.brokers {
		b := c.state.Broker(id)
		if b == nil || b.Fenced || id == c.cfg.NodeID || now.Sub(live.contact) < session {
			continue
		}
		c.log.Info("controller: fencing a broker whose session ended", "broker", id)
		if err := c.propose(c.fenceRecords(b), true); err != nil {
			c.log.Error("controller: could not fence a broker", "broker", id, "error", err)
		}
	}
	c.scheduleFencing()
}

// endedBroker is a broker that was fenced before its session was over.
type endedBroker struct {
	id    int32
	epoch int64
	at    time.Time
}

// BrokerEnded says that a broker's process has ended, by signs that cannot be mistaken for silence: it is fenced before its
// session is over. As a guard against signs that are wrong all the same, at most one broker, or a third of those that
// live, goes so within a session; one that has come back as a new process had ended indeed. Safe for concurrent use.
func (c *Controller) BrokerEnded(id int32, epoch int64) {
	c.post(func() {
		b := c.state.Broker(id)
		if !c.active || b == nil || b.Epoch != epoch || b.Fenced || id == c.cfg.NodeID {
			return
		}
		now, session := c.cfg.Now(), c.settings().Millis("broker.session.timeout.ms")
		c.ended = slices.DeleteFunc(c.ended, func(e endedBroker) bool {
			again := c.state.Broker(e.id)
			return now.Sub(e.at) >= session || again != nil && again.Epoch != e.epoch
		})
		if len(c.ended) >= max(1, c.unfenced()/3) {
			c.log.Warn("controller: many brokers seem to have ended at once; this one keeps its session", "broker", id)
			return
		}
		c.log.Info("controller: fencing a broker whose process has ended", "broker", id)
		if err := c.propose(c.fenceRecords(b), true); err != nil {
			c.log.Error("controller: could not fence a broker", "broker", id, "error", err)
			return
		}
		c.ended = append(c.ended, endedBroker{id, epoch, now})
	})
}

// unfenced counts the brokers that live.
func (c *Controller) unfenced() (n int) {
	for b := range c.state.Brokers() {
		if !b.Fenced {
			n++
		}
	}
	return n
}

// unregisterBroker answers UnregisterBroker v0.
func (c *Controller) unregisterBroker(_ RequestContext, req *kmsg.UnregisterBrokerRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.UnregisterBrokerResponse)
	resp.ErrorMessage = kmsg.StringPtr("")
	b := c.state.Broker(req.BrokerID)
	if b == nil {
		return decision{}, refuse(wire.BrokerIdNotRegistered, "Broker ID %d is not currently registered", req.BrokerID)
	}
	records := c.leaderAndISRUpdates(updates{remove: b.ID, add: image.NoLeader, unclean: image.NoLeader})
	records = append(records, mr.V0(&mr.UnregisterBrokerRecord{BrokerID: b.ID, BrokerEpoch: b.Epoch}))
	delete(c.brokers, b.ID)
	return decision{answer: resp, records: records, canSplit: true}, nil
}

// producerIDBlock is how many producer ids a broker gets at a time.
const producerIDBlock = 1000

// allocateProducerIDs answers AllocateProducerIds v0 (KIP-730).
func (c *Controller) allocateProducerIDs(_ RequestContext, req *kmsg.AllocateProducerIDsRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.AllocateProducerIDsResponse)
	if _, err := c.checkBrokerEpoch(req.BrokerID, req.BrokerEpoch); err != nil {
		return decision{}, err
	}
	first := c.state.NextProducerID()
	if first > 1<<63-1-producerIDBlock {
		return decision{}, refuse(wire.UnknownServerError, "Exhausted all producerIds as the next block's end producerId has exceeded the int64 type limit")
	}
	resp.ProducerIDStart, resp.ProducerIDLen = first, producerIDBlock
	r := &mr.ProducerIdsRecord{BrokerID: req.BrokerID, BrokerEpoch: req.BrokerEpoch, NextProducerID: first + producerIDBlock}
	return decision{answer: resp, records: []mr.Versioned{mr.V0(r)}}, nil
}
