package service

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-stream/weir/internal/controlplane/spec"
)

// change is what all verbs that change something have in common: they show a
// plan, ask, begin, and wait for the end.
type change struct {
	v                    *verbs
	planOnly, yes, leave bool
}

func (v *verbs) changing(c *cobra.Command) *change {
	ch := v.asking(c)
	c.Flags().BoolVar(&ch.leave, "no-wait", false, "print the operation's id and do not wait for its end")
	return ch
}

// asking is for changes that are done at once.
func (v *verbs) asking(c *cobra.Command) *change {
	ch := &change{v: v}
	c.Flags().BoolVar(&ch.planOnly, "plan", false, "only show what would be done")
	c.Flags().BoolVarP(&ch.yes, "yes", "y", false, "do it without asking")
	v.shown(v.remote(c))
	return ch
}

// wish is a change before it is made. plan returns what to show: the plan
// itself, and with -o json or yaml the whole answer.
type wish struct {
	plan  func(context.Context, *client) (spec.Plan, any, error)
	begin func(context.Context, *client) (*spec.Operation, error)
	// done says what came of it, for people.
	done func(context.Context, *client, io.Writer) error
}

func (c *change) run(ctx context.Context, w wish) error {
	if err := c.v.checkOutput(); err != nil {
		return err
	}
	api, err := c.v.client()
	if err != nil {
		return err
	}
	pl, whole, err := w.plan(ctx, api)
	if err != nil {
		return err
	}
	if c.planOnly {
		if pl.Impossible == "" || c.v.output != formatTable {
			if err := c.v.print(whole, func(w io.Writer) { showPlan(w, pl) }); err != nil {
				return err
			}
		}
		return impossible(pl)
	}
	if err := impossible(pl); err != nil {
		return err
	}
	if err := c.confirm(ctx, pl); err != nil {
		return err
	}
	op, err := w.begin(ctx, api)
	if err != nil {
		return err
	}
	if c.leave {
		return c.v.print(op, func(w io.Writer) { row(w, op.ID) })
	}
	op, err = c.v.await(ctx, api, op.ID)
	if err != nil {
		return err
	}
	return c.finish(ctx, api, op, w)
}

func (c *change) finish(ctx context.Context, api *client, op *spec.Operation, w wish) error {
	if c.v.output != formatTable {
		if err := c.v.print(op, nil); err != nil {
			return err
		}
	}
	if err := outcome(op); err != nil {
		return err
	}
	if c.v.output != formatTable || w.done == nil {
		return nil
	}
	return w.done(ctx, api, c.v.Stdout)
}

func impossible(pl spec.Plan) error {
	if pl.Impossible != "" {
		return fail("this cannot be done: %s", pl.Impossible)
	}
	return nil
}

// confirm shows the plan and asks, where there is somebody to ask.
func (c *change) confirm(ctx context.Context, pl spec.Plan) error {
	if c.yes {
		return nil
	}
	return c.ask(ctx, func(w io.Writer) { showPlan(w, pl) })
}

// goAhead says whether to do what show tells: with --plan that is only printed,
// and without --yes a person is asked.
func (c *change) goAhead(ctx context.Context, planned any, show func(io.Writer)) (bool, error) {
	if c.planOnly {
		return false, c.v.print(planned, show)
	}
	if c.yes {
		return true, nil
	}
	err := c.ask(ctx, show)
	return err == nil, err
}

// ask shows what would be done and asks.
func (c *change) ask(ctx context.Context, show func(io.Writer)) error {
	show(c.v.Stderr)
	if !c.v.IsTerminal(c.v.Stdin) || !c.v.IsTerminal(c.v.Stderr) {
		return fail("nothing was done: there is no terminal to ask on. Pass --yes to do it, or --plan to only see the plan")
	}
	fmt.Fprint(c.v.Stderr, "Do it? [y/N] ")
	line := make(chan string, 1)
	go func() {
		text, _ := bufio.NewReader(c.v.Stdin).ReadString('\n')
		line <- text
	}()
	select {
	case <-ctx.Done():
		return interrupted("\nnothing was done")
	case text := <-line:
		switch strings.ToLower(strings.TrimSpace(text)) {
		case "y", "yes":
			return nil
		}
	}
	return fail("nothing was done")
}

// showPlan prints a plan for people.
func showPlan(w io.Writer, pl spec.Plan) {
	if pl.Summary != "" {
		fmt.Fprintln(w, oneLine(pl.Summary))
	}
	for i, s := range pl.Steps {
		fmt.Fprintf(w, "  %d. %s\n", i+1, oneLine(s.Title))
	}
	if pl.PartitionsToMove > 0 {
		fmt.Fprintf(w, "  moves   %s, %s\n", count(pl.PartitionsToMove, "partition"), size(pl.BytesToMove))
	}
	if pl.EstimatedSeconds > 0 {
		fmt.Fprintf(w, "  takes   about %s\n", spell(seconds(pl.EstimatedSeconds)))
	}
	if pl.Restarts > 0 {
		fmt.Fprintf(w, "  restarts %s\n", count(pl.Restarts, "broker"))
	}
	for _, r := range pl.Risks {
		fmt.Fprintf(w, "  risk    %s\n", oneLine(r))
	}
	if pl.Undo != "" {
		fmt.Fprintf(w, "  undo    %s\n", oneLine(pl.Undo))
	}
}
