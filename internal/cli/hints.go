package cli

import (
	"context"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/weir-stream/weir/internal/config"
)

// enoughFiles is how many open files a broker wants to be allowed: its connections and its active segments.
const enoughFiles = 65536

// hints logs a line for each thing about the machine that will hurt later. The look-up of names goes on in the
// background, since it may take long.
func hints(ctx context.Context, cfg *config.Set, log *slog.Logger) {
	n := cfg.Node()
	for _, dir := range n.LogDirs {
		if why := volatile(dir); why != "" {
			warnf(log, "the data directory %s %s: what is stored there may be gone after a restart of the machine; set log.dirs to a lasting place", dir, why)
		}
	}
	if limit, ok := openFiles(); ok && limit < enoughFiles {
		warnf(log, "this process may open %d files only, and a busy broker needs %d or more; raise the limit (ulimit -n, or LimitNOFILE= in a systemd unit)", limit, enoughFiles)
	}
	go unresolved(ctx, n.Advertised, net.DefaultResolver.LookupHost, log)
}

// volatile says why the contents of dir may not last, "" if they should.
func volatile(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return ""
	}
	for _, tmp := range []string{"/tmp", "/private/tmp", os.TempDir()} {
		if abs == tmp || strings.HasPrefix(abs, strings.TrimSuffix(tmp, "/")+"/") {
			return "is under " + tmp
		}
	}
	for d := abs; ; d = filepath.Dir(d) {
		if _, err := os.Stat(d); err == nil {
			if inMemory(d) {
				return "is on a file system in memory"
			}
			return ""
		}
		if d == filepath.Dir(d) {
			return ""
		}
	}
}

// openFiles returns how many files the process may open. Go has raised the soft limit to the hard one by now.
func openFiles() (uint64, bool) {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return 0, false
	}
	return l.Cur, true
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
