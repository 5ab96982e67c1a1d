package service

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/restapi"
)

func (v *verbs) clusterCommand() *cobra.Command {
	c := group("cluster", "Create, look at, scale, stop, start and delete clusters",
		v.createCommand(), v.listCommand(), v.describeCommand(), v.watchCommand(), v.scaleCommand(),
		v.simpleChange("stop", spec.OpStop, "Stop all brokers of a cluster in order; its data stays"),
		v.simpleChange("start", spec.OpStart, "Start all brokers of a cluster"),
		v.simpleChange("delete", spec.OpDelete, "Delete a cluster with all its data"),
		v.exportCommand())
	return c
}

func clusterPath(name string, rest string) string { return "/clusters/" + url.PathEscape(name) + rest }

func (v *verbs) createCommand() *cobra.Command {
	var r controlplane.CreateRequest
	var settings []string
	var memory, disk string
	c := &cobra.Command{
		Use: "create NAME", Short: "Create a cluster", Args: cobra.ExactArgs(1), ValidArgsFunction: cobra.NoFileCompletions,
		Example: "  weir cluster create orders --brokers 3 --set num.partitions=6\n  weir cluster create orders --profile prod-3 --plan",
	}
	f := c.Flags()
	f.IntVar(&r.Brokers, "brokers", 0, "how many brokers (default: the profile's)")
	f.StringVar(&r.Engine, "engine", "", "what it runs on: weir or apache-kafka (default: weir)")
	f.StringVar(&r.EngineVersion, "kafka-version", "", "`version` of the engine, such as 4.3.1 (default: the engine's)")
	f.StringVar(&r.DistDir, "kafka-dir", "", "an Apache Kafka that is there already, instead of getting one")
	f.StringVar(&r.Profile, "profile", "", "sizes and settings: dev, prod-3 or prod-5")
	f.StringVar(&memory, "memory", "", "memory of each broker, such as 1GiB (default: the profile's)")
	f.StringVar(&disk, "disk", "", "disk of each broker, such as 100GiB (default: the profile's)")
	f.StringSliceVar(&r.Racks, "rack", nil, "racks that the brokers stand in, in turn (may be repeated)")
	f.StringArrayVar(&settings, "set", nil, "a broker setting as `key=value` (may be repeated)")
	complete(c, "engine", spec.EngineWeir, spec.EngineApacheKafka)
	complete(c, "profile", "dev", "prod-3", "prod-5")
	ch := v.changing(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		r.Name = args[0]
		if cmd.Flags().Changed("brokers") && r.Brokers < 1 {
			return fail("--brokers %d: must be 1 to %d; without it the profile says how many", r.Brokers, spec.MaxBrokers)
		}
		var err error
		if r.MemoryBytes, err = parseSize("memory", memory); err != nil {
			return err
		}
		if r.DiskBytes, err = parseSize("disk", disk); err != nil {
			return err
		}
		if r.Settings, err = parseSettings(settings); err != nil {
			return err
		}
		if r.DistDir != "" {
			if r.DistDir, err = filepath.Abs(r.DistDir); err != nil {
				return err
			}
		}
		return ch.run(cmd.Context(), createWish(r))
	}
	return c
}

func complete(c *cobra.Command, flag string, values ...string) {
	_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

func createWish(r controlplane.CreateRequest) wish {
	return wish{
		plan: func(ctx context.Context, api *client) (spec.Plan, any, error) {
			var out restapi.CreatePlan
			err := api.post(ctx, "/clusters/plan", r, &out)
			return out.Plan, out, err
		},
		begin: func(ctx context.Context, api *client) (*spec.Operation, error) {
			op := new(spec.Operation)
			return op, api.post(ctx, "/clusters", r, op)
		},
		done: func(ctx context.Context, api *client, w io.Writer) error {
			var c controlplane.ClusterView
			if err := api.get(ctx, clusterPath(r.Name, ""), &c); err != nil {
				return err
			}
			fmt.Fprintf(w, "%s is there: %s\n", c.Name, oneLine(c.Health))
			showConnect(w, c)
			return nil
		},
	}
}

// showConnect prints how programs reach a cluster, and in capitals what it
// does not protect.
func showConnect(w io.Writer, c controlplane.ClusterView) {
	fmt.Fprintf(w, "  bootstrap   %s\n", strings.Join(c.Bootstrap, ","))
	fmt.Fprintf(w, "  client      %s\n", c.ClientProperties)
	if c.CA != "" {
		fmt.Fprintf(w, "  ca          %s\n", c.CA)
	}
	if !c.Secured {
		fmt.Fprintln(w, unsecuredNotice(c))
	}
}

func unsecuredNotice(c controlplane.ClusterView) string {
	return "  " + strings.ToUpper(fmt.Sprintf("no TLS, no login, no access control: engine %s cannot secure a cluster yet. %s listens on 127.0.0.1 only.", c.Engine, c.Name))
}

// parseSettings reads key=value.
func parseSettings(list []string) (map[string]string, error) {
	if len(list) == 0 {
		return nil, nil
	}
	out := map[string]string{}
	for _, s := range list {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return nil, fail("--set %q: write it as key=value", s)
		}
		if _, twice := out[key]; twice {
			return nil, fail("--set %s is there twice", key)
		}
		out[key] = value
	}
	return out, nil
}

var sizeUnits = []struct {
	suffix string
	bytes  float64
}{{"kib", 1 << 10}, {"mib", 1 << 20}, {"gib", 1 << 30}, {"tib", 1 << 40}, {"kb", 1e3}, {"mb", 1e6}, {"gb", 1e9}, {"tb", 1e12},
	{"k", 1 << 10}, {"m", 1 << 20}, {"g", 1 << 30}, {"t", 1 << 40}, {"b", 1}, {"", 1}}

// parseSize reads 512MiB, 1g, 1073741824; nothing is 0.
func parseSize(flag, text string) (int64, error) {
	if text == "" {
		return 0, nil
	}
	low := strings.ToLower(strings.TrimSpace(text))
	for _, u := range sizeUnits {
		digits, ok := strings.CutSuffix(low, u.suffix)
		if !ok {
			continue
		}
		var n float64
		var rest string
		if got, _ := fmt.Sscanf(strings.TrimSpace(digits)+" .", "%g %s", &n, &rest); got != 2 || rest != "." || !(n > 0) || n*u.bytes > 1<<60 {
			break
		}
		return int64(n * u.bytes), nil
	}
	return 0, fail("--%s %q is no size: write it as 512MiB or 1GiB", flag, text)
}

func (v *verbs) listCommand() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List all clusters", Args: cobra.NoArgs}
	v.shown(v.remote(c))
	c.RunE = func(cmd *cobra.Command, _ []string) error {
		api, err := v.ready()
		if err != nil {
			return err
		}
		var all clusterList
		if err := api.get(cmd.Context(), "/clusters", &all); err != nil {
			return err
		}
		return v.print(all, func(w io.Writer) { tableOfClusters(w, all.Clusters) })
	}
	return c
}

// ready checks -o and finds the service.
func (v *verbs) ready() (*client, error) {
	if err := v.checkOutput(); err != nil {
		return nil, err
	}
	return v.client()
}

func tableOfClusters(w io.Writer, all []controlplane.ClusterView) {
	if len(all) == 0 {
		fmt.Fprintln(w, "no clusters; `weir cluster create NAME` makes one")
		return
	}
	row(w, "NAME", "STATE", "BROKERS", "ENGINE", "BYTES", "BOOTSTRAP", "HEALTH")
	for _, c := range all {
		row(w, c.Name, c.State, brokersOnline(c), c.EngineLabel(), size(c.Counts.Bytes), firstOf(c.Bootstrap), c.Health)
	}
}

func firstOf(list []string) string {
	if len(list) == 0 {
		return "-"
	}
	return list[0]
}

// brokersOnline is 3/3.
func brokersOnline(c controlplane.ClusterView) string {
	online := 0
	if c.Observation != nil {
		for _, b := range c.Observation.Brokers {
			if _, own := c.Broker(b.ID); own && b.ProcessAlive && b.Registered && !b.Fenced {
				online++
			}
		}
	}
	return fmt.Sprintf("%d/%d", online, len(c.Brokers))
}

func (v *verbs) describeCommand() *cobra.Command {
	c := &cobra.Command{Use: "describe NAME", Short: "Show one cluster", Args: cobra.ExactArgs(1), ValidArgsFunction: v.clusterNames}
	v.shown(v.remote(c))
	c.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := v.ready()
		if err != nil {
			return err
		}
		var view controlplane.ClusterView
		if err := api.get(cmd.Context(), clusterPath(args[0], ""), &view); err != nil {
			return err
		}
		return v.print(view, func(w io.Writer) { describeCluster(w, view) })
	}
	return c
}

func describeCluster(w io.Writer, c controlplane.ClusterView) {
	row(w, "name", c.Name)
	row(w, "id", c.ID)
	row(w, "state", c.State)
	row(w, "health", c.Health)
	row(w, "engine", c.EngineLabel())
	row(w, "profile", c.Profile)
	row(w, "secured", c.Secured)
	row(w, "created", when(c.CreatedAt))
	row(w, "bootstrap", strings.Join(c.Bootstrap, ","))
	row(w, "client", orDash(c.ClientProperties))
	row(w, "ca", orDash(c.CA))
	row(w, "topics", fmt.Sprintf("%d, %s", c.Counts.Topics, count(c.Counts.Partitions, "partition")))
	row(w, "bytes", size(c.Counts.Bytes))
	row(w, "trouble", fmt.Sprintf("%d offline, %d under-replicated, %d under min ISR", c.Counts.Offline, c.Counts.UnderReplicated, c.Counts.UnderMinISR))
	if c.Operation != nil {
		row(w, "operation", fmt.Sprintf("%s %s by %s", c.Operation.ID, c.Operation.Kind, c.Operation.Actor))
	}
	for _, key := range sortedKeys(c.Settings) {
		row(w, "setting", key+"="+c.Settings[key])
	}
	fmt.Fprintln(w)
	row(w, "BROKER", "STATE", "CONTROLLER", "RACK", "PORT", "LEADERS", "REPLICAS", "DISK", "PID")
	for _, b := range c.Brokers {
		seen := spec.BrokerObservation{}
		if c.Observation != nil {
			seen, _ = c.Observation.Broker(b.ID)
		}
		row(w, b.ID, brokerState(seen), b.Controller, orDash(b.Rack), b.ClientPort, seen.Leaders, seen.Replicas, size(seen.DiskUsedBytes), seen.PID)
	}
}

func brokerState(b spec.BrokerObservation) string {
	switch {
	case !b.ProcessAlive:
		return "down"
	case !b.UnresponsiveSince.IsZero():
		return "frozen"
	case !b.Registered:
		return "starting"
	case b.Fenced:
		return "fenced"
	}
	return "up"
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
