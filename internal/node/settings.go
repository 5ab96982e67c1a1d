package node

import (
	"time"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/coordinator/group"
	"github.com/weir-stream/weir/internal/server"
)

// serverLimits is the node's settings in the words of the server.
func serverLimits(c *config.Set) server.Limits {
	return server.Limits{
		MaxRequestBytes:     c.Int("socket.request.max.bytes"),
		MaxConnections:      c.Int("max.connections"),
		MaxConnectionsPerIP: c.Int("max.connections.per.ip"),
		IdleTimeout:         c.Millis("connections.max.idle.ms"),
	}
}

// groupConfig is the node's settings in the words of the group coordinator.
func groupConfig(c *config.Set) group.Config {
	g := group.DefaultConfig()
	g.InitialRebalanceDelay = c.Millis("group.initial.rebalance.delay.ms")
	g.MinSessionTimeout, g.MaxSessionTimeout = c.Millis("group.min.session.timeout.ms"), c.Millis("group.max.session.timeout.ms")
	g.MaxSize = c.Int("group.max.size")
	g.OffsetMetadataMaxSize = c.Int("offset.metadata.max.bytes")
	g.RetentionCheckInterval = c.Millis("offsets.retention.check.interval.ms")
	g.CommitTimeout = c.Millis("offsets.commit.timeout.ms")
	g.LoadBufferBytes = c.Int("offsets.load.buffer.size")
	g.MaxBatchBytes = c.Int("message.max.bytes")
	g.OffsetsRetention = time.Duration(c.Long("offsets.retention.minutes")) * time.Minute
	return g
}

// configChanged hands dynamic settings to the rooms that do not ask for them with each request.
func (n *Node) configChanged(c *config.Set) {
	if n.server != nil {
		n.server.SetLimits(serverLimits(c))
	}
}
