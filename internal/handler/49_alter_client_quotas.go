package handler

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// AlterClientQuotas, versions 0 and 1 (KIP-546); 1 is flexible. The controller decides; what the name of a host is worth
// is found out before, since its loop waits for nobody.
func (b *Broker) handleAlterClientQuotas(r *wire.Request) {
	req := r.Body.(*kmsg.AlterClientQuotasRequest)
	if !b.allowed(r, authz.AlterConfigs, authz.Cluster, authz.ClusterName) {
		r.Reply(wire.ErrorResponse(req, wire.ClusterAuthorizationFailed, ""))
		return
	}
	var hosts []string
	for i := range req.Entries {
		if h, ok := hostOfQuota(&req.Entries[i]); ok {
			hosts = append(hosts, h)
		}
	}
	if len(hosts) == 0 {
		b.forward(r, req, nil)
		return
	}
	b.Group.Go("resolve quota entities", func(ctx context.Context) {
		known := resolvable(ctx, hosts)
		var refused []kmsg.AlterClientQuotasResponseEntry
		kept := req.Entries[:0:0]
		for i := range req.Entries {
			if h, ok := hostOfQuota(&req.Entries[i]); ok && !known[h] {
				refused = append(refused, unknownHost(&req.Entries[i], h))
			} else {
				kept = append(kept, req.Entries[i])
			}
		}
		req.Entries = kept
		b.forward(r, req, func(resp kmsg.Response) {
			answer := resp.(*kmsg.AlterClientQuotasResponse)
			answer.Entries = append(answer.Entries, refused...)
		})
	})
}

// hostOfQuota is the one part of an entity, if that is an address given by the name of a host.
func hostOfQuota(e *kmsg.AlterClientQuotasRequestEntry) (string, bool) {
	if len(e.Entity) != 1 || e.Entity[0].Type != "ip" || e.Entity[0].Name == nil || *e.Entity[0].Name == "" {
		return "", false
	}
	_, err := netip.ParseAddr(*e.Entity[0].Name)
	return *e.Entity[0].Name, err != nil
}

const (
	// resolveTimeout bounds the look-ups of one request, maxResolved their number; further hosts count as unknown.
	resolveTimeout = 5 * time.Second
	maxResolved    = 100
)

func resolvable(ctx context.Context, hosts []string) map[string]bool {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	known := map[string]bool{}
	for _, h := range hosts[:min(len(hosts), maxResolved)] {
		if _, asked := known[h]; !asked {
			found, err := net.DefaultResolver.LookupHost(ctx, h)
			known[h] = err == nil && len(found) > 0
		}
	}
	return known
}

func unknownHost(e *kmsg.AlterClientQuotasRequestEntry, host string) kmsg.AlterClientQuotasResponseEntry {
	out := kmsg.NewAlterClientQuotasResponseEntry()
	out.ErrorCode = int16(wire.InvalidRequest)
	out.ErrorMessage = kmsg.StringPtr(host + " is not a valid IP or resolvable host.")
	for _, p := range e.Entity {
		part := kmsg.NewAlterClientQuotasResponseEntryEntity()
		part.Type, part.Name = p.Type, p.Name
		out.Entity = append(out.Entity, part)
	}
	return out
}
