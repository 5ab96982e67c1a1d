package node

import (
	"context"
	"math"
	"net"
	"net/netip"
	"time"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/server"
)

// serverLimits is the node's settings in the words of the server.
func serverLimits(c *config.Set) server.Limits {
	perIP, _ := c.ConnectionsPerAddress() // was found right when it was set
	out := server.Limits{
		PerIP:               addresses(perIP),
		MemoryBytes:         max(c.Long("queued.max.request.bytes"), 0), // 0: the server's own bound
		MaxRequestBytes:     c.Int("socket.request.max.bytes"),
		MaxConnections:      bound(c.Int("max.connections")),
		MaxConnectionsPerIP: bound(c.Int("max.connections.per.ip")),
		CreationRate:        float64(bound(c.Int("max.connection.creation.rate"))),
		Listeners:           map[string]server.ListenerLimits{},
		IdleTimeout:         c.Millis("connections.max.idle.ms"),
		LoginBytes:          c.Int("sasl.server.max.receive.size"),
		FailedLoginDelay:    c.Millis("connection.failed.authentication.delay.ms"),
	}
	for _, l := range c.Node().Listeners {
		own, limits := c.ForListener(l.Name), server.ListenerLimits{}
		if own.IsOwn("max.connections") {
			limits.MaxConnections = bound(own.Int("max.connections"))
		}
		if own.IsOwn("max.connection.creation.rate") {
			limits.CreationRate = float64(bound(own.Int("max.connection.creation.rate")))
		}
		out.Listeners[l.Name] = limits
	}
	return out
}

// bound is a setting in the words of the server, for whom 0 is no bound and what is negative lets nothing in.
func bound(n int) int {
	switch n {
	case 0:
		return -1
	case math.MaxInt32:
		return 0
	}
	return n
}

// configChanged hands dynamic settings to the rooms that do not ask for them with each request.
func (n *Node) configChanged(c *config.Set) {
	n.server.SetLimits(serverLimits(c))
	n.controllerServer.SetLimits(serverLimits(c))
	if err := n.channels.Change(c); err != nil {
		n.logger.Warn("settings of listeners that changed cannot be used, the old ones stay", "err", err)
	}
	n.logs.SetMoveRate(max(1, float64(c.Long("replica.alter.log.dirs.io.max.bytes.per.second")))) // 0 holds moves back as far as can be
	n.logs.SetVerifyTransactions(c.Bool("transaction.partition.verification.enable"))
	n.logs.SetProducerExpirationMs(c.Long("producer.id.expiration.ms"))
}

// addresses resolves the names among the keys; a name that does not resolve bounds nobody.
func addresses(perHost map[string]int) map[string]int {
	out := make(map[string]int, len(perHost))
	for host, n := range perHost {
		if ip, err := netip.ParseAddr(host); err == nil {
			out[ip.String()] = n
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		found, _ := net.DefaultResolver.LookupHost(ctx, host)
		cancel()
		for _, a := range found {
			out[a] = n
		}
	}
	return out
}
