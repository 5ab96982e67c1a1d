package controller

import (
	"time"

	mr "github.com/weir-stream/weir/internal/metarecord"
)

// maxBalanced is how many leaders go back to their preferred replicas at a time, as in Kafka.
const maxBalanced = 1000

// scheduleBalance sets the time of the next look at the preferred leaders (auto.leader.rebalance.enable). It belongs to the
// loop.
func (c *Controller) scheduleBalance(wait time.Duration) {
	if c.balanceTimer == nil {
		return
	}
	c.balanceTimer.Stop()
	if c.active && c.settings().Bool("auto.leader.rebalance.enable") {
		c.balanceTimer.Reset(wait)
	}
}

// balanceInterval is leader.imbalance.check.interval.seconds.
func (c *Controller) balanceInterval() time.Duration {
	return time.Duration(c.settings().Long("leader.imbalance.check.interval.seconds")) * time.Second
}

// balance gives partitions back to the first of their replicas, where that is in sync and lives. What is too much for one
// turn goes on in the next one.
func (c *Controller) balance() {
	if !c.active {
		return
	}
	records, more := c.preferredLeaders(maxBalanced)
	next := c.balanceInterval()
	if more {
		next = time.Millisecond
	}
	c.scheduleBalance(next)
	if len(records) == 0 {
		return
	}
	c.log.Info("controller: leaders go back to their preferred replicas", "partitions", len(records))
	if err := c.propose(records, true); err != nil {
		c.log.Error("controller: could not balance leaders", "error", err)
	}
}

// preferredLeaders are the changes that give at most so many partitions back to their preferred leaders.
func (c *Controller) preferredLeaders(most int) (records []mr.Versioned, more bool) {
	version := c.state.MetadataVersion().PartitionChangeRecord()
	for id, indexes := range c.index.astray {
		t := c.state.TopicByID(id)
		for _, i := range indexes {
			p := t.Partition(i)
			if !p.InSync(p.Preferred()) || !c.isActive(p.Preferred()) {
				continue
			}
			ch := c.changeOf(t, i, p)
			ch.election = electPreferred
			r := ch.build()
			if r == nil {
				continue
			}
			if len(records) == most {
				return records, true
			}
			records = append(records, mr.At(r, version))
		}
	}
	return records, false
}
