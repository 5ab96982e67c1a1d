package controller

import (
	"time"

	mr "github.com/weir-stream/weir/internal/metarecord"
)

// maxUnclean is how many partitions get a leader that may lack records at a time, as in Kafka.
const maxUnclean = 1000

// uncleanKey is the setting that allows a replica that is not in sync to lead.
const uncleanKey = "unclean.leader.election.enable"

// uncleanInterval is unclean.leader.election.interval.ms.
func (c *Controller) uncleanInterval() time.Duration {
	return c.settings().Millis("unclean.leader.election.interval.ms")
}

// uncleanSoon looks for partitions that wait for a leader after the change that is being decided is published: it may have
// allowed replicas that are not in sync to lead. It belongs to the loop.
func (c *Controller) uncleanSoon() {
	c.post(func() { // behind the present event
		c.settle(func(lost error) {
			if lost == nil {
				c.post(c.electUnclean)
			}
		})
	})
}

// electUnclean gives partitions that have no leader one that may lack records, where the settings allow that.
func (c *Controller) electUnclean() {
	if !c.active {
		return
	}
	var records []mr.Versioned
	version := c.state.MetadataVersion().PartitionChangeRecord()
	for id, indexes := range c.index.leaderless {
		t := c.state.TopicByID(id)
		if t == nil || !c.uncleanAllowed(t.Name) {
			continue
		}
		for _, i := range indexes {
			ch := c.changeOf(t, i, t.Partition(i))
			ch.election = electUnclean
			if r := ch.build(); r != nil && len(records) < maxUnclean {
				records = append(records, mr.At(r, version))
			}
		}
	}
	if len(records) == 0 {
		return
	}
	c.log.Warn("controller: partitions without a leader get one that may lack records", "partitions", len(records))
	if err := c.propose(records, true); err != nil {
		c.log.Error("controller: could not elect leaders", "error", err)
		return
	}
	if len(records) == maxUnclean {
		c.uncleanSoon()
	}
}
