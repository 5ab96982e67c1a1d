package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/restapi"
)

// firstCluster is the cluster that the first weir up makes.
const (
	firstCluster = "main"
	firstBrokers = 3
)

// upOptions are the flags of weir up.
type upOptions struct {
	dir, engine, listen string
	hosts               []string
	json                bool
}

func (v *verbs) upCommand() *cobra.Command {
	var o upOptions
	c := &cobra.Command{
		Use: "up", Short: "Start the service in the background, the first time with a cluster, and say where all is", Args: cobra.NoArgs,
		Long: "Starts the service in the background unless it runs, waits until it and its clusters are ready, and prints where they are.\n" +
			"The first time it makes a cluster of three brokers. It never asks. weir down ends all of it; the data stays.",
	}
	c.Flags().StringVar(&o.dir, "dir", "", "the service's `directory` (default: $XDG_DATA_HOME/weir or ~/.local/share/weir)")
	c.Flags().StringVar(&o.engine, "engine", "", "what the first cluster runs on: weir or apache-kafka (default: weir)")
	c.Flags().StringVar(&o.listen, "listen", "", "a loopback `address` for the service (default: that of the last time, or the first that is free from 127.0.0.1:8640)")
	c.Flags().StringSliceVar(&o.hosts, "host", nil, "a `name` under which a reverse proxy speaks to the service (may be repeated)")
	c.Flags().BoolVar(&o.json, "json", false, "print one JSON object")
	complete(c, "engine", spec.EngineWeir, spec.EngineApacheKafka)
	c.RunE = func(cmd *cobra.Command, _ []string) error { return v.up(cmd.Context(), o) }
	return c
}

// block is what weir up prints; its JSON form is stable.
type block struct {
	Dashboard        string `json:"dashboard"`
	Setup            string `json:"setup"`
	Cluster          string `json:"cluster"`
	Bootstrap        string `json:"bootstrap"`
	ClientProperties string `json:"client_properties"`
	CA               string `json:"ca"`
	Dir              string `json:"dir"`
}

func (v *verbs) up(ctx context.Context, o upOptions) error {
	if o.engine != "" && o.engine != spec.EngineWeir && o.engine != spec.EngineApacheKafka {
		return fail("--engine %q: it is %s or %s", o.engine, spec.EngineWeir, spec.EngineApacheKafka)
	}
	dir, err := serviceDir(o.dir)
	if err != nil {
		return err
	}
	l := local{dir}
	lock, err := l.lock(ctx)
	if err != nil {
		return err
	}
	defer lock.Close()
	p := v.progress()
	defer p.clear()
	api, err := v.ensure(ctx, l, o, p)
	if err != nil {
		return err
	}
	if err := writeUserFile(userFile{Server: api.server, Token: api.token, Dir: l.dir}); err != nil {
		return err
	}
	if err := v.ensureCluster(ctx, api, l, o.engine, p); err != nil {
		return err
	}
	shown, err := v.settled(ctx, api, p)
	if err != nil {
		return err
	}
	p.clear()
	return v.showBlock(ctx, api, l, shown, o.json)
}

// ensure makes the service run, in this program's version.
func (v *verbs) ensure(ctx context.Context, l local, o upOptions, p *progress) (*client, error) {
	held, err := l.held()
	if err != nil {
		return nil, err
	}
	if held {
		p.show("the service runs; asking it")
		deadline := time.Now().Add(startPatience)
		for {
			status, api, err := l.status(ctx)
			if err == nil && status.Version == v.Version {
				return api, nil
			}
			if err == nil {
				p.show("the service is of version " + status.Version + ": starting it again; brokers live on")
				if _, err := l.end(ctx, p.show); err != nil {
					return nil, err
				}
				break
			}
			if time.Now().After(deadline) {
				return nil, fail("the service of %s runs but does not answer (%v). `weir down` ends it. The end of its log:\n%s", l.dir, err, l.logTail(15))
			}
			if !pause(ctx, pollDaemon) {
				return nil, ctx.Err()
			}
		}
	}
	p.show("starting the service")
	var args []string
	if o.listen != "" {
		args = append(args, "--listen", o.listen)
	}
	for _, h := range o.hosts {
		args = append(args, "--host", h)
	}
	return l.start(ctx, args)
}

// ensureCluster makes the first cluster, once in the life of a directory. The
func (v *verbs) ensureCluster(ctx context.Context, api *client, l local, engine string, p *progress) error {
	var all clusterList
	if err := api.get(ctx, "/clusters", &all); err != nil {
		return err
	}
	if len(all.Clusters) > 0 || exists(l.path(firstMade)) {
		return nil
	}
	r, err := firstRequest(ctx, api, engine)
	if err != nil {
		return err
	}
	p.show("creating the cluster " + r.Name)
	op := new(spec.Operation)
	if err := api.post(ctx, "/clusters", r, op); err != nil {
		return err
	}
	if op, err = v.await(ctx, api, op.ID); err != nil {
		return err
	}
	if err := outcome(op); err != nil {
		return fail("the cluster %s could not be made: %v\nRemove it with `weir cluster delete %s --yes`, then run `weir up` again", r.Name, strings.TrimPrefix(err.Error(), "weir: "), r.Name)
	}
	return writeFile(l.path(firstMade), []byte(r.Name+"\n"))
}

// firstRequest is the first cluster: three secured brokers of Weir, or of the
// engine that was asked for, if it can run.
func firstRequest(ctx context.Context, api *client, engine string) (controlplane.CreateRequest, error) {
	r := controlplane.CreateRequest{Name: firstCluster, Engine: engine, Brokers: firstBrokers}
	if r.Engine == "" {
		r.Engine = spec.EngineWeir
	}
	var all restapi.Engines
	if err := api.get(ctx, "/engines", &all); err != nil {
		return r, err
	}
	for _, e := range all.Engines {
		switch {
		case e.Name == r.Engine && e.Ready:
			return r, nil
		case e.Name == r.Engine:
			return r, fail("engine %s cannot run here: %s", r.Engine, e.Problem)
		}
	}
	return r, fail("this build has no engine %s", r.Engine)
}

// settlePatience is how long clusters may take to start, wellPatience how long
// one that runs may take to be well.
const (
	settlePatience = 5 * time.Minute
	wellPatience   = 20 * time.Second
)

// settled waits until no cluster is being made or started, and a while for the
// one to be well that is shown, the oldest.
func (v *verbs) settled(ctx context.Context, api *client, p *progress) (*controlplane.ClusterView, error) {
	deadline := time.Now().Add(settlePatience)
	var idle time.Time // since when nothing starts any more
	for {
		var all clusterList
		if err := api.get(ctx, "/clusters", &all); err != nil {
			return nil, err
		}
		var oldest *controlplane.ClusterView
		busy := ""
		for i := range all.Clusters {
			c := &all.Clusters[i]
			if oldest == nil || c.CreatedAt.Before(oldest.CreatedAt) {
				oldest = c
			}
			if op := c.Operation; op != nil && (op.Kind == spec.OpCreate || op.Kind == spec.OpStart) {
				busy = c.Name + ": " + describe(op, time.Now())
			}
		}
		if busy == "" && oldest != nil && (oldest.HealthLevel == controlplane.LevelBad || oldest.HealthLevel == controlplane.LevelWarn) {
			if idle.IsZero() {
				idle = time.Now()
			}
			if time.Since(idle) < wellPatience {
				busy = oldest.Name + ": " + oldest.Health
			}
		}
		if busy == "" || time.Now().After(deadline) {
			return oldest, nil
		}
		p.show(busy)
		if !pause(ctx, pollEvery) {
			return nil, interrupted("the clusters go on starting: weir status")
		}
	}
}

func (v *verbs) showBlock(ctx context.Context, api *client, l local, c *controlplane.ClusterView, asJSON bool) error {
	b := block{Dashboard: api.server, Dir: l.dir}
	var link restapi.SetupLink
	var no *refusal
	switch err := api.post(ctx, "/setup/link", nil, &link); {
	case err == nil:
		b.Setup = link.Link
	case errors.As(err, &no) && no.Status == http.StatusConflict: // somebody is set up
	default:
		return err
	}
	if c != nil {
		b.Cluster, b.Bootstrap, b.ClientProperties, b.CA = c.Name, strings.Join(c.Bootstrap, ","), c.ClientProperties, c.CA
	}
	if asJSON {
		if err := printJSON(v.Stdout, b); err != nil {
			return err
		}
	} else {
		writeBlock(v.Stdout, b, c)
	}
	if c != nil && c.HealthLevel == controlplane.LevelBad {
		return fail("%s is not well: %s `weir cluster describe %s` and `weir heal log` tell more", c.Name, c.Health, c.Name)
	}
	return nil
}

func writeBlock(w io.Writer, b block, c *controlplane.ClusterView) {
	fmt.Fprintln(w, "Weir is running.")
	fmt.Fprintln(w)
	if b.Setup != "" {
		fmt.Fprintf(w, "  dashboard   %s\n              works once and for 15 minutes; weir up prints a new one\n", b.Setup)
	} else {
		fmt.Fprintf(w, "  dashboard   %s\n", b.Dashboard)
	}
	if c == nil {
		fmt.Fprintf(w, "  data        %s\n\nThere is no cluster. Make one: weir cluster create orders --brokers 3\n", b.Dir)
		return
	}
	kind := "no TLS, no login"
	if c.Secured {
		kind = "TLS, SCRAM and ACLs"
	}
	fmt.Fprintf(w, "  cluster     %s: %s of %s, %s\n", b.Cluster, count(len(c.Brokers), "broker"), c.EngineLabel(), kind)
	fmt.Fprintf(w, "  health      %s\n", oneLine(c.Health))
	fmt.Fprintf(w, "  bootstrap   %s\n  client      %s\n", b.Bootstrap, b.ClientProperties)
	if b.CA != "" {
		fmt.Fprintf(w, "  ca          %s\n", b.CA)
	}
	fmt.Fprintf(w, "  data        %s\n", b.Dir)
	if !c.Secured {
		fmt.Fprintf(w, "\n%s\n", unsecuredNotice(*c))
	}
	fmt.Fprintf(w, "\n  weir kafka-topics --bootstrap-server %s --command-config %s --create --topic hello\n", firstOf(c.Bootstrap), b.ClientProperties)
	fmt.Fprint(w, "  weir cluster create orders --brokers 3\n  weir status\n\nweir logs shows the service's log, weir down stops all of it; the data stays.\n")
}
