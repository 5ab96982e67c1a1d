package service

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/spec"
)

func seconds(n int) time.Duration { return time.Duration(n) * time.Second }

// pollEvery is how often an operation is looked at while a verb waits for it.
const pollEvery = 300 * time.Millisecond

// patience is how long a service that went away may take to return while a
// verb waits: operations go on when it does.
const patience = 2 * time.Minute

// await waits for the end of an operation and shows how far it is, where
// somebody looks.
func (v *verbs) await(ctx context.Context, api *client, id string) (*spec.Operation, error) {
	p := v.progress()
	defer p.clear()
	var lost time.Time
	for {
		op := new(spec.Operation)
		err := api.get(ctx, "/operations/"+id, op)
		var gone *unreachable
		switch {
		case ctx.Err() != nil:
			p.clear()
			return nil, interrupted("the operation goes on: weir op watch " + id)
		case errors.As(err, &gone):
			if lost.IsZero() {
				lost = time.Now()
			}
			if time.Since(lost) > patience {
				return nil, err
			}
			p.show("the service does not answer; waiting for it")
		case err != nil:
			return nil, err
		case op.State.Final():
			return op, nil
		default:
			lost = time.Time{}
			p.show(describe(op, time.Now()))
		}
		if !pause(ctx, pollEvery) {
			p.clear()
			return nil, interrupted("the operation goes on: weir op watch " + id)
		}
	}
}

// pause waits, and says whether ctx still lives.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// outcome is nil for an operation that succeeded.
func outcome(op *spec.Operation) error {
	switch op.State {
	case spec.OpSucceeded:
		return nil
	case spec.OpCancelled:
		return fail("%s was cancelled; `weir op show %s` tells how far it came", op.Kind, op.ID)
	}
	return fail("%s failed: %s\n`weir op show %s` tells more", op.Kind, first(op.Error, "no reason is known"), op.ID)
}

// describe is one line about a running operation.
func describe(op *spec.Operation, now time.Time) string {
	for i, s := range op.Steps {
		if s.State != spec.StepRunning {
			continue
		}
		line := fmt.Sprintf("[%d/%d] %s", i+1, len(op.Steps), oneLine(s.Name))
		if s.Progress.BytesTotal > 0 {
			line += fmt.Sprintf(" · %s of %s", size(s.Progress.BytesDone), size(s.Progress.BytesTotal))
		}
		if s.Progress.Detail != "" {
			line += " · " + oneLine(s.Progress.Detail)
		}
		if s.Progress.SecondsLeft > 0 {
			line += " · " + spell(seconds(s.Progress.SecondsLeft)) + " left"
		} else if s.StartedAt != nil {
			line += " · " + spell(max(0, now.Sub(*s.StartedAt)))
		}
		return line
	}
	return op.Kind + " " + strings.ToLower(string(op.State))
}

// progress is a line on a terminal that is written over; elsewhere it is nothing.
type progress struct {
	w    io.Writer
	last string
}

func (v *verbs) progress() *progress {
	if !v.IsTerminal(v.Stderr) {
		return &progress{}
	}
	return &progress{w: v.Stderr}
}

const (
	eraseLine = "\r\x1b[K"
	lineWidth = 110
)

func (p *progress) show(line string) {
	if r := []rune(line); len(r) > lineWidth {
		line = string(r[:lineWidth]) + "…"
	}
	if p.w == nil || line == p.last {
		return
	}
	fmt.Fprint(p.w, eraseLine, line)
	p.last = line
}

func (p *progress) clear() {
	if p.w != nil && p.last != "" {
		fmt.Fprint(p.w, eraseLine)
		p.last = ""
	}
}
