package node

import (
	"github.com/weir-stream/weir/internal/config"
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

// configChanged hands dynamic settings to the rooms that do not ask for them with each request.
func (n *Node) configChanged(c *config.Set) {
	if n.server != nil {
		n.server.SetLimits(serverLimits(c))
	}
}
