package cli

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"time"

	"github.com/weir-stream/weir/internal/cli/machine"
	"github.com/weir-stream/weir/internal/config"
)

// hints logs a line for each thing about the machine that will hurt later. The look-up of names goes on in the
// background, since it may take long.
func hints(ctx context.Context, cfg *config.Set, log *slog.Logger) {
	n := cfg.Node()
	for _, dir := range n.LogDirs {
		if why := machine.Volatile(dir); why != "" {
			warnf(log, "the data directory %s %s: what is stored there may be gone after a restart of the machine; set log.dirs to a lasting place", dir, why)
		}
	}
	if limit, ok := machine.OpenFiles(); ok && limit < machine.EnoughFiles {
		warnf(log, "this process may open %d files only, and a busy broker needs %d or more; raise the limit (ulimit -n, or LimitNOFILE= in a systemd unit)", limit, machine.EnoughFiles)
	}
	for _, why := range misplaced(n) {
		warnf(log, "%s", why)
	}
	go unresolved(ctx, n.Advertised, net.DefaultResolver.LookupHost, log)
}

// misplaced says where controller.quorum.voters has this node's controller at a port that it does not listen on.
func misplaced(n *config.Node) (out []string) {
	for _, v := range n.Voters {
		if v.ID != n.ID || !n.Controller || len(n.AdvertisedController) == 0 {
			continue
		}
		at := func(l config.Listener) bool { return l.Port == 0 || l.Port == v.Port }
		if !slices.ContainsFunc(n.AdvertisedController, at) && !slices.ContainsFunc(n.Listeners, func(l config.Listener) bool { return l.Controller && at(l) }) {
			out = append(out, fmt.Sprintf("controller.quorum.voters: node %d is to be reached at %s:%d, but its controller listens at %s; unless something forwards that port, the other controllers do not find it",
				n.ID, v.Host, v.Port, n.AdvertisedController[0]))
		}
	}
	return out
}

// unresolved logs a line for each advertised host that this machine cannot resolve.
func unresolved(ctx context.Context, advertised []config.Listener, lookup func(context.Context, string) ([]string, error), log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for _, l := range advertised {
		if net.ParseIP(l.Host) != nil {
			continue
		}
		if _, err := lookup(ctx, l.Host); err != nil && ctx.Err() == nil {
			warnf(log, "advertised.listeners: the host %s of %s does not resolve here, so clients on this machine cannot connect; add it to DNS or /etc/hosts, or advertise another name", l.Host, l)
		}
	}
}
