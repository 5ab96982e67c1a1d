package service

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/restapi"
)

func (v *verbs) userCommand() *cobra.Command {
	return group("user", "Users of a cluster", v.userList(), v.userCreate(), v.userDelete())
}

func (v *verbs) userCreate() *cobra.Command {
	var r controlplane.KafkaUserRequest
	var cluster string
	c := &cobra.Command{
		Use: "create NAME --cluster CLUSTER", Short: "Create a user of a cluster that may do what is named here and nothing else", Args: cobra.ExactArgs(1),
		ValidArgsFunction: cobra.NoFileCompletions, Example: "  weir user create app1 --cluster orders --produce t --consume t --group app1",
	}
	f := c.Flags()
	v.ofCluster(c, &cluster)
	f.StringSliceVar(&r.Produce, "produce", nil, "`topics` to produce to (may be repeated)")
	f.StringSliceVar(&r.Consume, "consume", nil, "`topics` to consume (may be repeated)")
	f.StringSliceVar(&r.Groups, "group", nil, "consumer `groups` (may be repeated)")
	ch := v.asking(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		r.Name = args[0]
		api, err := v.ready()
		if err != nil {
			return err
		}
		show := func(w io.Writer) { showRights(w, cluster, r) }
		if ahead, err := ch.goAhead(cmd.Context(), r, show); !ahead {
			return err
		}
		var out controlplane.Credentials
		if err := api.post(cmd.Context(), clusterPath(cluster, "/users"), r, &out); err != nil {
			return err
		}
		return v.print(out, func(w io.Writer) {
			fmt.Fprintf(w, "%s may now use %s. The password is shown this once:\n", out.Name, cluster)
			row(w, "  name", out.Name)
			row(w, "  password", out.Password)
			if out.Path != "" {
				row(w, "  client", out.Path)
			}
		})
	}
	return c
}

// ofCluster adds the flag that names a cluster.
func (v *verbs) ofCluster(c *cobra.Command, cluster *string) {
	c.Flags().StringVar(cluster, "cluster", "", "the `cluster`")
	_ = c.MarkFlagRequired("cluster")
	_ = c.RegisterFlagCompletionFunc("cluster", func(cmd *cobra.Command, _ []string, typed string) ([]string, cobra.ShellCompDirective) {
		return v.clusterNames(cmd, nil, typed)
	})
}

func (v *verbs) userList() *cobra.Command {
	var cluster string
	c := &cobra.Command{Use: "list --cluster CLUSTER", Short: "List the users of a cluster", Args: cobra.NoArgs}
	v.ofCluster(c, &cluster)
	return reads(v, c, func([]string) string { return clusterPath(cluster, "/users") }, func(_ context.Context, _ *client, out restapi.Users) func(io.Writer) {
		return func(w io.Writer) {
			for _, name := range out.Users {
				row(w, name)
			}
		}
	})
}

func (v *verbs) userDelete() *cobra.Command {
	var cluster string
	c := v.removal("delete NAME --cluster CLUSTER", "Remove a user of a cluster", func(name string) string { return clusterPath(cluster, "/users/"+name) },
		func(w io.Writer, name string) {
			fmt.Fprintf(w, "Remove the user %s of %s\n", oneLine(name), oneLine(cluster))
		})
	v.ofCluster(c, &cluster)
	return c
}

// showRights says what a user would be allowed.
func showRights(w io.Writer, cluster string, r controlplane.KafkaUserRequest) {
	fmt.Fprintf(w, "Make the user %s of %s, or give it a new password; it may\n", r.Name, cluster)
	list := func(what string, names []string) {
		if len(names) > 0 {
			fmt.Fprintf(w, "  %s %s\n", what, strings.Join(names, ", "))
		}
	}
	list("produce to", r.Produce)
	list("consume", r.Consume)
	list("use the groups", r.Groups)
	if len(r.Produce)+len(r.Consume)+len(r.Groups) == 0 {
		fmt.Fprintln(w, "  log in, and nothing else")
	}
}
