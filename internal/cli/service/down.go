package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/restapi"
)

// dirFlag adds --dir to verbs of a service of this machine.
func dirFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVar(dir, "dir", "", "the service's `directory` (default: $XDG_DATA_HOME/weir or ~/.local/share/weir)")
}

func (v *verbs) downCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use: "down", Short: "Stop all brokers and the service; the data stays, weir up starts them again", Args: cobra.NoArgs,
	}
	dirFlag(c, &dir)
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		at, err := serviceDir(dir)
		if err != nil {
			return err
		}
		return v.down(cmd.Context(), local{at})
	}
	return c
}

// down ends the service first and the brokers after it, so that nobody starts
// again what it stops. It works as well when the service is dead already.
func (v *verbs) down(ctx context.Context, l local) error {
	if !exists(l.path(storeLock)) {
		fmt.Fprintf(v.Stdout, "Nothing runs: there is no service in %s.\n", l.dir)
		return nil
	}
	lock, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	p := v.progress()
	defer p.clear()
	p.show("ending the service")
	if _, err := l.end(ctx, p.show); err != nil {
		return err
	}
	p.show("stopping brokers")
	if err := l.stopBrokers(ctx); err != nil {
		return err
	}
	p.clear()
	fmt.Fprintf(v.Stdout, "Weir is down. The data stays in %s; weir up starts it again.\n", l.dir)
	return nil
}

func (l local) stopBrokers(ctx context.Context) error {
	out, err := os.OpenFile(l.path(logFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	svc, err := controlplane.Open(ctx, controlplane.Options{Dir: l.dir, Log: slog.New(slog.NewTextHandler(out, nil))})
	if err != nil {
		return err
	}
	return errors.Join(svc.StopAll(ctx), svc.Close())
}

func (v *verbs) statusCommand() *cobra.Command {
	c := &cobra.Command{Use: "status", Short: "How the service and its clusters are; fails if the service does not answer", Args: cobra.NoArgs}
	v.shown(v.remote(c))
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		api, err := v.ready()
		if err != nil {
			return err
		}
		var out struct {
			restapi.Status
			Clusters []controlplane.ClusterView `json:"clusters"`
		}
		var all clusterList
		if err := api.get(cmd.Context(), "/status", &out.Status); err != nil {
			return err
		}
		if err := api.get(cmd.Context(), "/clusters", &all); err != nil {
			return err
		}
		out.Clusters = all.Clusters
		return v.print(out, func(w io.Writer) {
			fmt.Fprintf(w, "service  %s, version %s, up %s, %s\n\n", api.server, out.Version, spell(time.Duration(out.UptimeSeconds)*time.Second), out.Dir)
			tableOfClusters(w, all.Clusters)
		})
	}
	return c
}

func (v *verbs) logsCommand() *cobra.Command {
	var dir, cluster string
	var broker, lines int
	var follow bool
	c := &cobra.Command{
		Use: "logs", Short: "Show the end of the service's log, or of a broker's", Args: cobra.NoArgs,
		Example: "  weir logs -f\n  weir logs --cluster orders --broker 2",
	}
	dirFlag(c, &dir)
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on as the log grows (the service's only)")
	c.Flags().IntVarP(&lines, "lines", "n", 50, "how many lines")
	c.Flags().StringVar(&cluster, "cluster", "", "a broker's log: of this cluster")
	c.Flags().IntVar(&broker, "broker", 0, "a broker's log: of this broker")
	v.remote(c)
	c.MarkFlagsRequiredTogether("cluster", "broker")
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		if cluster != "" {
			return v.brokerLog(cmd.Context(), cluster, broker, lines)
		}
		at, err := serviceDir(dir)
		if err != nil {
			return err
		}
		return v.serviceLog(cmd.Context(), local{at}, lines, follow)
	}
	return c
}

func (v *verbs) brokerLog(ctx context.Context, cluster string, broker, lines int) error {
	api, err := v.client()
	if err != nil {
		return err
	}
	var out restapi.LogLines
	if err := api.get(ctx, clusterPath(cluster, fmt.Sprintf("/brokers/%d/log?lines=%d", broker, lines)), &out); err != nil {
		return err
	}
	for _, line := range out.Lines {
		fmt.Fprintln(v.Stdout, line)
	}
	return nil
}

// followEvery is how often a log is looked at that is followed.
const followEvery = 300 * time.Millisecond

func (v *verbs) serviceLog(ctx context.Context, l local, lines int, follow bool) error {
	path := l.path(logFile)
	if !exists(path) {
		return fail("there is no log in %s: no service ran there yet; `weir up` starts one", l.dir)
	}
	text, end := tail(path, lines)
	_, _ = v.Stdout.Write(text) // a closed pipe ends nothing that matters
	for follow && pause(ctx, followEvery) {
		f, err := os.Open(path)
		if err != nil {
			continue // it is being turned
		}
		if info, err := f.Stat(); err == nil && info.Size() < end {
			end = 0
		}
		var more bytes.Buffer
		n, _ := io.Copy(&more, io.NewSectionReader(f, end, 1<<20)) // what cannot be read comes with the next look
		_ = f.Close()
		end += n
		if _, err := v.Stdout.Write(more.Bytes()); err != nil {
			return nil
		}
	}
	return nil
}
