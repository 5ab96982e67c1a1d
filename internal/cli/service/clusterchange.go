package service

import (
	"context"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/restapi"
)

func changeWish(cluster string, r controlplane.ChangeRequest) wish {
	return wish{
		plan: func(ctx context.Context, api *client) (spec.Plan, any, error) {
			var pl spec.Plan
			err := api.post(ctx, clusterPath(cluster, "/plan"), r, &pl)
			return pl, pl, err
		},
		begin: func(ctx context.Context, api *client) (*spec.Operation, error) {
			op := new(spec.Operation)
			return op, api.post(ctx, clusterPath(cluster, "/operations"), r, op)
		},
		done: func(ctx context.Context, api *client, w io.Writer) error {
			if r.Kind == spec.OpDelete {
				fmt.Fprintf(w, "%s is gone\n", cluster)
				return nil
			}
			var c controlplane.ClusterView
			if err := api.get(ctx, clusterPath(cluster, ""), &c); err != nil {
				return err
			}
			fmt.Fprintf(w, "%s: %s\n", c.Name, oneLine(c.Health))
			return nil
		},
	}
}

func (v *verbs) simpleChange(name, kind, short string) *cobra.Command {
	c := &cobra.Command{Use: name + " NAME", Short: short, Args: cobra.ExactArgs(1), ValidArgsFunction: v.clusterNames}
	ch := v.changing(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		return ch.run(cmd.Context(), changeWish(args[0], controlplane.ChangeRequest{Kind: kind}))
	}
	return c
}

func (v *verbs) scaleCommand() *cobra.Command {
	var brokers int
	var throttle string
	c := &cobra.Command{
		Use: "scale NAME --brokers N", Short: "Change how many brokers a cluster has; data moves to or from them", Args: cobra.ExactArgs(1),
		ValidArgsFunction: v.clusterNames, Example: "  weir cluster scale orders --brokers 5 --plan",
	}
	c.Flags().IntVar(&brokers, "brokers", 0, "how many brokers it shall have")
	c.Flags().StringVar(&throttle, "throttle", "", "the most that a broker copies in a second, such as 50MiB; none for no limit (default: 40MiB)")
	_ = c.MarkFlagRequired("brokers")
	ch := v.changing(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		r := controlplane.ChangeRequest{Kind: spec.OpScale, Brokers: brokers}
		if throttle == "none" {
			r.ThrottleBytesPerSecond = -1
		} else {
			var err error
			if r.ThrottleBytesPerSecond, err = parseSize("throttle", throttle); err != nil {
				return err
			}
		}
		return ch.run(cmd.Context(), changeWish(args[0], r))
	}
	return c
}

func (v *verbs) exportCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "export NAME DIR", Short: "Write settings, certificates, users and a start script, to run on without Weir", Args: cobra.ExactArgs(2),
		ValidArgsFunction: v.clusterNames,
	}
	v.shown(v.remote(c))
	c.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := v.ready()
		if err != nil {
			return err
		}
		dir, err := filepath.Abs(args[1])
		if err != nil {
			return err
		}
		var out restapi.Files
		if err := api.post(cmd.Context(), clusterPath(args[0], "/export"), restapi.ExportBody{Dir: dir}, &out); err != nil {
			return err
		}
		return v.print(out, func(w io.Writer) {
			for _, f := range out.Files {
				row(w, f)
			}
		})
	}
	return c
}
