package cli

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// clusterTool is kafka-cluster: the cluster's id, its nodes, and the removal of a broker.
type clusterTool struct {
	set      *kafkaflag.Set
	commands []*clusterCommand
}

// clusterCommand is one of its subcommands.
type clusterCommand struct {
	set                                         *kafkaflag.Set
	brokers, controllers, config, commandConfig *kafkaflag.Flag
	id                                          *kafkaflag.Flag // of unregister only
	fenced                                      *kafkaflag.Flag // of list-endpoints only
	run                                         func(*clusterCommand, context.Context, Env, *cluster) error
}

func newClusterTool() Command {
	s := kafkaflag.New("kafka-cluster", "The Kafka cluster tool.", kafkaflag.Argparse)
	t := &clusterTool{set: s}
	t.add("cluster-id", "Show the id of the cluster.", (*clusterCommand).printID)
	unregister := t.add("unregister", "Remove a broker that is gone for good.", (*clusterCommand).unregister)
	unregister.id = unregister.set.Int("id", "ID", "the id of the broker to remove", kafkaflag.Short('i'), kafkaflag.Required())
	endpoints := t.add("list-endpoints", "List the nodes and where they are reached.", (*clusterCommand).listEndpoints)
	endpoints.fenced = endpoints.set.Switch("include-fenced-brokers", "list brokers too that the cluster does not use at present")
	return t
}

func (t *clusterTool) add(name, purpose string, run func(*clusterCommand, context.Context, Env, *cluster) error) *clusterCommand {
	s := t.set.Sub(name, purpose)
	c := &clusterCommand{
		set:           s,
		brokers:       s.String("bootstrap-server", "BOOTSTRAP_SERVER", "the brokers to contact first, as host:port, separated by commas", kafkaflag.Short('b')),
		controllers:   s.String("bootstrap-controller", "BOOTSTRAP_CONTROLLER", "the controllers to contact first, instead of brokers", kafkaflag.Short('C')),
		config:        s.String("config", "CONFIG", "(DEPRECATED) the same as --command-config"),
		commandConfig: s.String("command-config", "COMMAND_CONFIG", "a properties file with settings for the admin client", kafkaflag.Short('c')),
		run:           run,
	}
	s.Exclusive(true, c.brokers, c.controllers)
	t.commands = append(t.commands, c)
	return c
}

// Flags implements Command.
func (t *clusterTool) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *clusterTool) Run(ctx context.Context, env Env) error {
	for _, c := range t.commands {
		if c.set == t.set.Chosen() {
			return c.execute(ctx, env)
		}
	}
	return &kafkaflag.ArgumentError{Set: t.set, Message: "too few arguments"}
}

func (c *clusterCommand) execute(ctx context.Context, env Env) error {
	file := c.commandConfig.Value()
	if c.config.Present() {
		if c.commandConfig.Present() {
			return terseErrorf("--config and --command-config cannot be specified together.")
		}
		fmt.Fprintln(env.Stdout, "Option --config has been deprecated and will be removed in a future version. Use --command-config instead.")
		file = c.config.Value()
	}
	if c.fenced != nil && c.fenced.Present() && c.controllers.Present() {
		return throw(env, client.IllegalArgument("The option --include-fenced-brokers is only supported with --bootstrap-server option"))
	}
	p, err := loadProperties(file)
	if err != nil {
		return throw(env, err)
	}
	reached, err := reach(env, p, c.brokers.Value(), c.controllers.Value())
	if err != nil {
		return throw(env, err)
	}
	defer reached.close()
	return throwExecution(env, c.run(c, ctx, env, reached))
}

func (c *clusterCommand) printID(ctx context.Context, env Env, reached *cluster) error {
	resp, err := reached.describeCluster(ctx, false)
	if err != nil {
		return err
	}
	fmt.Fprintln(env.Stdout, "Cluster ID: "+resp.ClusterID)
	return nil
}

func (c *clusterCommand) unregister(ctx context.Context, env Env, reached *cluster) error {
	id := int32(c.id.Int64())
	req := kmsg.NewPtrUnregisterBrokerRequest()
	req.BrokerID = id
	raw, err := reached.callLeader(ctx, "unregisterBroker", req)
	if err == nil {
		resp := raw.(*kmsg.UnregisterBrokerResponse)
		err = client.Coded(resp.ErrorCode, resp.ErrorMessage)
	}
	switch {
	case client.Unsupported(err):
		fmt.Fprintln(env.Stdout, "The target cluster does not support the broker unregistration API.")
		return nil
	case err != nil:
		client.Logf(env.Stderr, "ERROR", "org.apache.kafka.clients.admin.KafkaAdminClient",
			"[AdminClient clientId=adminclient-1] Unregister broker request for broker ID %d failed: %v", id, err)
		return err
	}
	fmt.Fprintf(env.Stdout, "Broker %d is no longer registered.\n", id)
	return nil
}

// widestUnknown is the width of the column of racks when no node has one.
const widestUnknown = 10

func (c *clusterCommand) listEndpoints(ctx context.Context, env Env, reached *cluster) error {
	nodes, _, err := reached.describe(ctx, c.fenced.Present())
	if err != nil {
		return err
	}
	slices.SortFunc(nodes, func(a, b endpoint) int { return cmp.Compare(a.id, b.id) })
	hostWidth, rackWidth := 0, 0
	for _, n := range nodes {
		hostWidth, rackWidth = max(hostWidth, len(n.host)), max(rackWidth, len(n.rack))
	}
	if rackWidth == 0 {
		rackWidth = widestUnknown
	}
	kind := "broker"
	if reached.controllers {
		kind = "controller"
	}
	line := func(id, host, port, rack, state, kind string) {
		fmt.Fprintf(env.Stdout, "%-10s %-*s %-10s %-*s ", id, hostWidth, host, port, rackWidth, rack)
		if !reached.controllers {
			fmt.Fprintf(env.Stdout, "%-10s ", state)
		}
		fmt.Fprintf(env.Stdout, "%-15s\n", kind)
	}
	line("ID", "HOST", "PORT", "RACK", "STATE", "ENDPOINT_TYPE")
	for _, n := range nodes {
		line(fmt.Sprint(n.id), n.host, fmt.Sprint(n.port), cmp.Or(n.rack, "null"), n.state(), kind)
	}
	return nil
}

func (e endpoint) state() string {
	if e.fenced {
		return "fenced"
	}
	return "unfenced"
}
