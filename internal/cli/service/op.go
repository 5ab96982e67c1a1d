package service

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/weir-stream/weir/internal/controlplane/spec"
)

func (v *verbs) opCommand() *cobra.Command {
	return group("op", "List, show, watch and cancel operations", v.opList(), v.opShow(), v.opWatch(), v.opCancel())
}

// history adds the flags of lists that go back in time.
func history(c *cobra.Command, cluster *string, limit *int) {
	c.Flags().StringVar(cluster, "cluster", "", "only this cluster's")
	c.Flags().IntVar(limit, "limit", 20, "at most so many")
}

func historyQuery(cluster string, limit int) string {
	q := url.Values{"limit": {strconv.Itoa(limit)}}
	if cluster != "" {
		q.Set("cluster", cluster)
	}
	return "?" + q.Encode()
}

func (v *verbs) opList() *cobra.Command {
	var cluster string
	var limit int
	c := &cobra.Command{Use: "list", Short: "List operations, the newest first", Args: cobra.NoArgs}
	history(c, &cluster, &limit)
	return reads(v, c, func([]string) string { return "/operations" + historyQuery(cluster, limit) }, func(ctx context.Context, api *client, out operationList) func(io.Writer) {
		names := clusterNamesByID(ctx, api)
		return func(w io.Writer) {
			row(w, "ID", "CLUSTER", "KIND", "BY", "STATE", "CREATED", "SUMMARY")
			for _, op := range out.Operations {
				row(w, op.ID, first(names[op.Cluster], op.Cluster), op.Kind, op.Actor, op.State, when(op.CreatedAt), op.Plan.Summary)
			}
		}
	})
}

// clusterNamesByID maps ids to names, as far as the clusters still exist.
func clusterNamesByID(ctx context.Context, api *client) map[string]string {
	names := map[string]string{}
	var all clusterList
	if err := api.get(ctx, "/clusters", &all); err != nil {
		return names
	}
	for _, c := range all.Clusters {
		names[c.ID] = c.Name
	}
	return names
}

func (v *verbs) opShow() *cobra.Command {
	c := &cobra.Command{Use: "show ID", Short: "Show one operation with its steps and log", Args: cobra.ExactArgs(1), ValidArgsFunction: cobra.NoFileCompletions}
	return reads(v, c, func(args []string) string { return opPath(args[0]) }, func(_ context.Context, _ *client, op spec.Operation) func(io.Writer) {
		return func(w io.Writer) { showOperation(w, &op) }
	})
}

func opPath(id string) string { return "/operations/" + url.PathEscape(id) }

func showOperation(w io.Writer, op *spec.Operation) {
	row(w, "id", op.ID)
	row(w, "kind", op.Kind)
	row(w, "by", op.Actor)
	row(w, "state", op.State)
	row(w, "summary", op.Plan.Summary)
	row(w, "created", when(op.CreatedAt))
	if op.EndedAt != nil {
		row(w, "ended", when(*op.EndedAt))
	}
	if op.Error != "" {
		row(w, "error", op.Error)
	}
	fmt.Fprintln(w)
	row(w, "STEP", "STATE", "PROGRESS", "NOTE")
	for _, s := range op.Steps {
		progress := "-"
		if s.Progress.BytesTotal > 0 {
			progress = size(s.Progress.BytesDone) + " of " + size(s.Progress.BytesTotal)
		}
		row(w, s.Name, s.State, progress, orDash(first(s.Error, s.Progress.Detail)))
	}
	if len(op.Log) > 0 {
		fmt.Fprintln(w)
	}
	for _, l := range op.Log {
		row(w, when(l.At), l.Text)
	}
}

func (v *verbs) opWatch() *cobra.Command {
	c := &cobra.Command{Use: "watch ID", Short: "Wait for the end of an operation; fails if it fails", Args: cobra.ExactArgs(1), ValidArgsFunction: cobra.NoFileCompletions}
	v.shown(v.remote(c))
	c.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := v.ready()
		if err != nil {
			return err
		}
		op, err := v.await(cmd.Context(), api, url.PathEscape(args[0]))
		if err != nil {
			return err
		}
		if err := v.print(op, func(w io.Writer) { row(w, op.ID, op.Kind, op.State) }); err != nil {
			return err
		}
		return outcome(op)
	}
	return c
}

func (v *verbs) opCancel() *cobra.Command {
	c := &cobra.Command{Use: "cancel ID", Short: "Ask an operation to end where that leaves the cluster whole", Args: cobra.ExactArgs(1), ValidArgsFunction: cobra.NoFileCompletions}
	v.shown(v.remote(c))
	c.RunE = func(cmd *cobra.Command, args []string) error {
		api, err := v.ready()
		if err != nil {
			return err
		}
		var op spec.Operation
		if err := api.post(cmd.Context(), opPath(args[0])+"/cancel", nil, &op); err != nil {
			return err
		}
		return v.print(op, func(w io.Writer) { row(w, op.ID, "is asked to end; `weir op watch "+op.ID+"` waits for it") })
	}
	return c
}
