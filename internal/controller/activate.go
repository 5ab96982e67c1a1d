package controller

import (
	"time"

	"github.com/weir-stream/weir/internal/image"
	mr "github.com/weir-stream/weir/internal/metarecord"
)

// lead begins a term as active controller. img has all that is committed.
func (c *Controller) lead(epoch int32, next int64, img *image.Image, inTx bool) {
	c.active, c.epoch, c.state, c.index = true, epoch, img, indexOf(img)
	c.proposed, c.applied = next-1, next-1
	c.brokers = map[int32]*liveBroker{}
	var records []mr.Versioned
	if inTx {
		reason := "failover"
		records = append(records, mr.V0(&mr.AbortTransactionRecord{Reason: &reason}))
	}
	records = append(records, c.bootstrapRecords()...)
	if err := c.propose(records, false); err != nil {
		c.log.Error("controller: could not begin its term", "epoch", epoch, "error", err)
		return
	}
	if err := c.propose(c.registerSelf(), false); err != nil {
		c.log.Error("controller: could not register itself", "epoch", epoch, "error", err)
		return
	}
	now := c.cfg.Now()
	for b := range c.state.Brokers() {
		c.brokers[b.ID] = &liveBroker{contact: now}
	}
	c.scheduleFencing()
	c.scheduleBalance(c.balanceInterval())
	c.activeNow.Store(true)
	c.log.Info("controller: active", "epoch", epoch, "offset", c.proposed, "topics", c.state.TopicCount(), "partitions", c.state.PartitionCount())
	c.once.Do(func() { c.settle(func(error) { close(c.ready) }) })
}

// bootstrapRecords are the first records of a new cluster.
func (c *Controller) bootstrapRecords() []mr.Versioned {
	if c.state.MetadataVersion() != 0 {
		return nil
	}
	b := c.cfg.Bootstrap
	if len(b.Records) == 0 {
		b = DefaultBootstrap()
	}
	var records []mr.Versioned
	var version image.MetadataVersion
	elr := false
	for _, r := range b.Records {
		if f, ok := r.Record.(*mr.FeatureLevelRecord); ok {
			switch f.Name {
			case image.FeatureMetadata:
				version = image.MetadataVersion(f.FeatureLevel)
			case image.FeatureELR:
				elr = f.FeatureLevel > 0
			}
		}
	}
	tx := version.Transactions()
	if tx {
		name := "Bootstrap records"
		records = append(records, mr.V0(&mr.BeginTransactionRecord{Name: &name}))
	}
	records = append(records, b.Records...)
	if elr {
		value := c.settings().Text("min.insync.replicas")
		records = append(records, mr.V0(&mr.ConfigRecord{ResourceType: int8(image.BrokerConfig), Name: "min.insync.replicas", Value: &value}))
	}
	if tx {
		records = append(records, mr.V0(&mr.EndTransactionRecord{}))
	}
	c.log.Info("controller: writing the first records of a new cluster", "metadata.version", version.String(), "source", b.Source)
	return records
}

// registerSelf is the record of this controller, if the one that stands is another.
func (c *Controller) registerSelf() []mr.Versioned {
	if !c.state.MetadataVersion().ControllerRegistration() || len(c.cfg.Endpoints) == 0 {
		return nil
	}
	r := (&image.Controller{ID: c.cfg.NodeID, IncarnationID: c.cfg.IncarnationID, Endpoints: c.cfg.Endpoints, Features: image.SupportedFeatures()}).Record()
	return []mr.Versioned{mr.V0(r)}
}

// scheduleFencing sets the timer for the next broker whose session may end.
func (c *Controller) scheduleFencing() {
	session := c.settings().Millis("broker.session.timeout.ms")
	wait := time.Hour
	now := c.cfg.Now()
	for id, live := range c.brokers {
		if b := c.state.Broker(id); b != nil && !b.Fenced {
			wait = min(wait, max(live.contact.Add(session).Sub(now), time.Millisecond))
		}
	}
	c.timer.Reset(wait)
}
