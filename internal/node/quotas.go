package node

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/quota"
	"github.com/weir-stream/weir/internal/server"
	"github.com/weir-stream/weir/internal/telemetry"
)

// sweepEvery is how often clients that were idle for long are looked for.
const sweepEvery = time.Minute

func newQuotas(c *config.Set) *quota.Manager {
	return quota.NewManager(quota.Options{
		Window:     quotaWindow(c.Int("quota.window.num"), c.Int("quota.window.size.seconds")),
		Controller: quotaWindow(c.Int("controller.quota.window.num"), c.Int("controller.quota.window.size.seconds")),
	})
}

func quotaWindow(samples, seconds int) quota.Window {
	return quota.Window{Samples: samples, Size: time.Duration(seconds) * time.Second}
}

// publishQuotas hands the quotas of the metadata to those who hold clients to them.
func (n *Node) publishQuotas(img *image.Image, d *image.Delta) {
	if len(d.Quotas) == 0 {
		return
	}
	table := quotaTable(img)
	n.quotas.Update(table)
	if hosts := table.Hosts(); len(hosts) > 0 { // whoever publishes does not wait for names
		n.metaGroup.Go("resolve hosts of quotas", func(ctx context.Context) {
			resolved := lookUp(ctx, hosts)
			n.quotas.Replace(table, table.WithHosts(resolved))
		})
	}
}

func quotaTable(img *image.Image) *quota.Table {
	var entries []quota.Entry
	for q := range img.ClientQuotas() {
		e := quota.Entry{Values: q.Values}
		for _, p := range q.Entity {
			c := quota.Component{Type: quota.EntityType(p.Type), Default: p.Name == nil}
			if p.Name != nil {
				c.Name = *p.Name
			}
			e.Entity = append(e.Entity, c)
		}
		entries = append(entries, e)
	}
	return quota.NewTable(entries)
}

// lookUp finds the addresses of hosts; one that does not resolve has none.
func lookUp(ctx context.Context, hosts []string) map[string][]netip.Addr {
	out := map[string][]netip.Addr{}
	for _, h := range hosts {
		one, cancel := context.WithTimeout(ctx, time.Second)
		out[h], _ = net.DefaultResolver.LookupNetIP(one, "ip", h)
		cancel()
	}
	return out
}

func (n *Node) sweepQuotas() {
	n.metaGroup.Go("quotas", func(ctx context.Context) {
		t := time.NewTicker(sweepEvery)
		defer t.Stop()
		for {
			select {
			case <-t.C:
				n.quotas.Sweep()
			case <-ctx.Done():
				return
			}
		}
	})
}

// quotaFacts are the metrics of each kind of quota.
var quotaFacts = [...]struct{ rate, throttle telemetry.Fact }{
	quota.Produce:  {telemetry.QuotaProduceRate, telemetry.QuotaProduceThrottle},
	quota.Fetch:    {telemetry.QuotaFetchRate, telemetry.QuotaFetchThrottle},
	quota.Request:  {telemetry.QuotaRequestTime, telemetry.QuotaRequestThrottle},
	quota.Mutation: {telemetry.QuotaMutationRate, telemetry.QuotaMutationThrottle},
}

func (n *Node) emitQuotas(emit telemetry.Emit) {
	n.quotas.Readings(func(r quota.Reading) {
		var l telemetry.Labels
		if r.User != "" {
			l = append(l, "user", r.User)
		}
		if r.ClientID != "" {
			l = append(l, "client_id", r.ClientID)
		}
		f := quotaFacts[r.Kind]
		emit(f.rate, l, r.PerSecond)
		emit(f.throttle, l, r.ThrottleMs)
		if r.Kind == quota.Mutation {
			emit(telemetry.QuotaMutationTokens, l, r.Tokens)
		}
	})
}

// emitAcceptRates serves how fast connections come.
func (n *Node) emitAcceptRates(emit telemetry.Emit) {
	for _, s := range []*server.Server{n.server, n.controllerServer} {
		for _, r := range s.AcceptRates() {
			if r.Listener == "" {
				if s == n.server {
					emit(telemetry.BrokerAcceptRate, nil, r.PerSecond)
				}
				continue
			}
			l := telemetry.Labels{"listener", r.Listener}
			emit(telemetry.AcceptRate, l, r.PerSecond)
			emit(telemetry.ConnectionsWaited, l, r.Waited)
			emit(telemetry.ConnectionsKept, l, r.Kept)
		}
	}
}
