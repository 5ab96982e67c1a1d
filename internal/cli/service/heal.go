package service

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/restapi"
)

func (v *verbs) healCommand() *cobra.Command {
	return group("heal", "Read what healing did, and ask what it would do", v.healLog(), v.healSimulate())
}

func (v *verbs) healLog() *cobra.Command {
	var cluster string
	var limit int
	c := &cobra.Command{Use: "log", Short: "What was found, chosen and done, the newest first", Args: cobra.NoArgs}
	history(c, &cluster, &limit)
	return reads(v, c, func([]string) string { return "/journal" + historyQuery(cluster, limit) }, func(ctx context.Context, api *client, out journalList) func(io.Writer) {
		names := clusterNamesByID(ctx, api)
		return func(w io.Writer) {
			if len(out.Entries) == 0 {
				fmt.Fprintln(w, "nothing had to be healed")
			}
			for _, e := range out.Entries {
				showEntry(w, e, first(names[e.Cluster], e.Cluster))
			}
		}
	})
}

func showEntry(w io.Writer, e *spec.JournalEntry, cluster string) {
	what := e.Anomaly
	if e.Broker != 0 {
		what += fmt.Sprintf(" (broker %d)", e.Broker)
	}
	fmt.Fprintf(w, "%s %s: %s\n", when(e.At), cluster, oneLine(what))
	for _, x := range e.Evidence {
		fmt.Fprintf(w, "  seen    %s\n", oneLine(x))
	}
	fmt.Fprintf(w, "  choice  %s: %s\n", oneLine(e.Choice), oneLine(e.Why))
	for _, o := range e.Options {
		if o.WhyNot != "" {
			fmt.Fprintf(w, "  not     %s: %s\n", oneLine(o.Name), oneLine(o.WhyNot))
		}
	}
	if e.Action != "" {
		fmt.Fprintf(w, "  action  %s\n", e.Action)
	}
	if e.EndedAt != nil {
		fmt.Fprintf(w, "  result  %s (%s)\n", oneLine(first(e.Result, "over")), spell(e.EndedAt.Sub(e.At)))
	}
}

func (v *verbs) healSimulate() *cobra.Command {
	var kill []string
	c := &cobra.Command{
		Use: "simulate NAME --kill broker-2", Short: "What would happen if brokers died; touches nothing", Args: cobra.ExactArgs(1),
		ValidArgsFunction: v.clusterNames, Example: "  weir heal simulate orders --kill broker-1,broker-2",
	}
	c.Flags().StringSliceVar(&kill, "kill", nil, "`brokers` that die, as 2 or broker-2 (may be repeated)")
	_ = c.MarkFlagRequired("kill")
	v.shown(v.remote(c))
	c.RunE = func(cmd *cobra.Command, args []string) error {
		ids, err := brokerIDs(kill)
		if err != nil {
			return err
		}
		api, err := v.ready()
		if err != nil {
			return err
		}
		var out controlplane.Simulation
		if err := api.post(cmd.Context(), clusterPath(args[0], "/simulate"), restapi.SimulateBody{Kill: ids}, &out); err != nil {
			return err
		}
		return v.print(out, func(w io.Writer) { showSimulation(w, out) })
	}
	return c
}

// brokerIDs reads 2 and broker-2.
func brokerIDs(list []string) ([]int32, error) {
	var ids []int32
	for _, s := range list {
		n, err := strconv.ParseInt(strings.TrimPrefix(strings.TrimSpace(s), "broker-"), 10, 32)
		if err != nil || n < 1 {
			return nil, fail("--kill %q names no broker: write it as broker-2", s)
		}
		ids = append(ids, int32(n))
	}
	return ids, nil
}

func showSimulation(w io.Writer, s controlplane.Simulation) {
	fmt.Fprintln(w, oneLine(s.Sentence))
	row(w, "  offline", count(s.Offline, "partition"))
	row(w, "  refuse writes", count(s.UnderMinISR, "partition"))
	row(w, "  under-replicated", count(s.UnderReplicated, "partition"))
	if s.QuorumLost != "" {
		row(w, "  quorum", s.QuorumLost)
	}
	if len(s.Examples) > 0 {
		row(w, "  such as", strings.Join(s.Examples, ", "))
	}
	row(w, "  healing would", s.Action+": "+s.Why)
	for _, o := range s.Options {
		if o.WhyNot != "" {
			row(w, "  and not", o.Name+": "+o.WhyNot)
		}
	}
}
