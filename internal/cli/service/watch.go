package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-stream/weir/internal/controlplane"
)

// watchEvery is how often a cluster is shown again.
const watchEvery = time.Second

func (v *verbs) watchCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "watch NAME", Short: "Show a cluster as it changes, until interrupted", Args: cobra.ExactArgs(1), ValidArgsFunction: v.clusterNames,
	}
	v.remote(c)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := v.client()
		if err != nil {
			return err
		}
		return v.watch(cmd.Context(), api, args[0])
	}
	return c
}

// watch draws on a terminal, and elsewhere prints a line whenever something changed.
func (v *verbs) watch(ctx context.Context, api *client, name string) error {
	draw, last := v.IsTerminal(v.Stdout), ""
	for {
		var c controlplane.ClusterView
		err := api.get(ctx, clusterPath(name, ""), &c)
		var gone *unreachable
		if err != nil && !errors.As(err, &gone) {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
		text := watchLine(c)
		if draw {
			text = watchScreen(c)
		}
		if err != nil {
			text = err.Error() + "\n"
		}
		if text != last {
			if draw {
				fmt.Fprint(v.Stdout, "\x1b[H\x1b[J")
			}
			fmt.Fprint(v.Stdout, text)
			last = text
		}
		if !pause(ctx, watchEvery) {
			return nil
		}
	}
}

func watchLine(c controlplane.ClusterView) string {
	line := fmt.Sprintf("%s %s %s: %s", c.Name, c.State, brokersOnline(c), oneLine(c.Health))
	if c.Operation != nil {
		line += " · " + c.Operation.ID + " " + c.Operation.Kind
	}
	return line + "\n"
}

func watchScreen(c controlplane.ClusterView) string {
	var out bytes.Buffer
	w := tabwriter.NewWriter(&out, 0, 0, 2, ' ', 0)
	describeCluster(w, c)
	_ = w.Flush() // into memory
	if c.Operation != nil {
		fmt.Fprintln(&out)
		fmt.Fprintln(&out, describe(c.Operation, time.Now()))
	}
	fmt.Fprint(&out, "\nCtrl-C ends.\n")
	return out.String()
}
