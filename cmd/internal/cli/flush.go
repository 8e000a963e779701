package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/graph"
)

func (a *app) flushCommand() *cobra.Command {
	var r control.FlushRequest
	c := &cobra.Command{
		Use: "flush [PATH...]", Short: "Send changes now",
		Long: `Sends the changes at or below each PATH; without PATH, all changes of the mount of the working
directory, else of the only mount that runs. Folders that a PATH needs go with it. What could not be
sent is kept and tried again.

If a flush runs already that was asked for the same (PATHs and flags), this one joins it. It waits
for any other to end, also for one that started by itself, and says how far that is; then it runs.

On a terminal bars show how far it has come; elsewhere a line on standard error every ten seconds.
A dry run reckons with flush.bandwidth and flush.max-bytes, and with no limit of time.

Ctrl-C ends it, unless others have joined it; what is sent by then stays sent, and the rest is kept.

Exit status: 0 everything was sent, 1 failed (offline, interrupted, no such PATH), 3 something was
deferred, is being written, met a conflict, was held back by a guard or is over a limit, 10 no mount
is running, 11 sign-in needed.`,
		RunE: func(c *cobra.Command, args []string) error {
			d, paths, err := a.mountOf(c.Context(), args)
			if err != nil {
				return err
			}
			r.Paths = paths
			return a.flush(c.Context(), d, r)
		},
	}
	f := c.Flags()
	f.BoolVar(&r.DryRun, "dry-run", false, "say what would be sent, in which order, at what cost; send nothing")
	f.BoolVar(&r.ConfirmDeletes, "confirm-deletes", false, "send what the guards hold back: very many deletions, files that became empty")
	f.BoolVar(&r.ConfirmDeletes, "allow-deletes", false, "")
	_ = f.MarkHidden("allow-deletes") // it exists: the line above made it. The name that this once had
	f.BoolVar(&r.IncludeOpen, "include-open", false, "send files that are being written too, as they are at a quiet moment")
	a.jsonFlag(c)
	return c
}

// mountOf finds the one mount that all paths belong to.
func (a *app) mountOf(ctx context.Context, args []string) (*control.Client, []string, error) {
	d, err := a.daemon(ctx, first(args))
	if err != nil {
		return nil, nil, err
	}
	var paths []string
	for _, arg := range args {
		p := a.abs(arg)
		if !control.Inside(d.Mount(), p) {
			return nil, nil, usage("%q is not in the mount at %s: name paths of one mount at a time", arg, d.Mount())
		}
		paths = append(paths, p)
	}
	return d, paths, nil
}

// flush sends what r says, shows how far it has come, and prints what became of it.
func (a *app) flush(ctx context.Context, d control.API, r control.FlushRequest) error {
	w := a.newWatch()
	res, err := d.Flush(ctx, r, w.show)
	w.end()
	if err != nil && len(res.Drives) == 0 {
		return fmt.Errorf("%s%w", offline(graph.KindOf(err)), err)
	}
	if a.json {
		if perr := a.printJSON(flushReport{Event: "result", Result: res, InPart: res.InPart()}); perr != nil {
			return perr
		}
	} else {
		p := &printer{w: a.Out}
		if writeFlush(p, res); p.err != nil && err == nil {
			return p.err
		}
	}
	if errors.Is(err, context.Canceled) {
		return err // whoever interrupted it knows why it ended
	}
	return a.flushOutcome(res, err)
}

// flushReport is the last line that `duskfs flush --json` prints.
type flushReport struct {
	Event string `json:"event"` // "result"
	flush.Result
	InPart bool `json:"in_part"`
}

func (a *app) flushOutcome(res flush.Result, err error) error {
	var failed error
	for _, r := range res.Drives {
		if r.Error != "" {
			failed = driveFailure(failed, r.Name, r.Error, r.Kind)
		}
	}
	switch {
	case failed != nil:
		return failed
	case errors.Is(err, graph.SignIn):
		return &outcome{exitSignIn, err}
	case err != nil:
		return &outcome{exitFailed, err}
	case res.InPart():
		return &outcome{status: exitInPart}
	}
	return nil
}

func writeFlush(p *printer, res flush.Result) {
	for _, r := range res.Drives {
		switch {
		case r.Plan != nil:
			writePlan(p, r.Name, *r.Plan)
			continue
		case r.Error != "": // which says the rest
			if r.Sent > 0 {
				p.line("%s: %s sent, %s, before it ended early; %d left", r.Name, count(r.Sent, "change"), size(r.Bytes), r.Left)
			}
			continue
		case r.Sent == 0 && r.Deferred+r.Busy+r.Guarded+r.Emptied+r.Kept+r.Over+r.Conflicts == 0:
			p.line("%s: nothing to send", r.Name)
		default:
			p.line("%s: %s sent, %s", r.Name, count(r.Sent, "change"), size(r.Bytes))
		}
		if r.Receipt != nil {
			for _, s := range r.Receipt.Steps {
				if s.Outcome != "sent" && s.Outcome != "unchanged" || s.Outcome == "sent" && s.Reason != "" {
					p.line("  %-9s %s%s", s.Outcome, s.Path, because(s.Reason))
				}
			}
		}
		if r.Conflicts > 0 {
			p.line("  %s: nothing is lost, `duskfs conflicts` shows both versions", count(r.Conflicts, "conflict"))
		}
		if r.Guarded > 0 {
			p.line("  %s held back: that is a lot; `duskfs diff` lists them, `duskfs flush --confirm-deletes` sends them", count(r.Guarded, "deletion"))
		}
		if r.Emptied > 0 {
			p.line("  %s held back: it became empty, though nobody emptied it; `duskfs status` names it, `duskfs flush --confirm-deletes` sends it, `duskfs discard` undoes it", count(r.Emptied, "file"))
		}
		if r.Kept > 0 {
			p.line("  %s not sent, as flush.no-remote-delete says", count(r.Kept, "deletion"))
		}
		if r.Over > 0 {
			p.line("  %s left for the next flush: this one reached its limit", count(r.Over, "change"))
		}
	}
}

func writePlan(out *printer, name string, p plan.Summary) {
	if len(p.Steps) == 0 {
		out.line("%s: nothing to send", name)
	} else {
		out.line("%s: would send %s, %s: about %s, %s, %s", name, count(len(p.Steps), "change"), size(p.Bytes),
			count(p.Requests, "request"), count(p.Units, "resource unit"), max(p.Time.Round(time.Second), time.Second))
	}
	for _, s := range p.Steps {
		text := fmt.Sprintf("  %-9s %s", s.Op, s.Path)
		if s.From != "" && s.From != s.Path {
			text += " (from " + s.From + ")"
		}
		if s.Bytes > 0 {
			text += ", " + size(s.Bytes)
		}
		if s.Items > 1 {
			text += ", " + count(s.Items, "item")
		}
		out.line("%s", text)
	}
	for _, w := range []struct {
		n    int
		what string
		why  string
	}{
		{p.Guarded, "deletion", "would be held back: that is a lot; --confirm-deletes sends them"},
		{p.Emptied, "file", "would be held back: it became empty, though nobody emptied it; --confirm-deletes sends it"},
		{p.Kept, "deletion", "would not be sent, as flush.no-remote-delete says"},
		{p.Waiting, "change", "would wait for a later try"},
		{p.Over, "change", "would be left for the next flush: this one would reach flush.max-bytes"},
	} {
		if w.n > 0 {
			out.line("  %s %s", count(w.n, w.what), w.why)
		}
	}
}
