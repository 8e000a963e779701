package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/plan"
	"github.com/duskfs/duskfs/graph"
)

func (a *app) flushCommand() *cobra.Command {
	var dry, deletes bool
	c := &cobra.Command{
		Use: "flush [PATH...]", Short: "Send changes now",
		Long: `Sends the changes at or below each PATH; without PATH, all changes of the mount of the working
directory, else of the only mount that runs. What could not be sent is kept and tried again.

Exit status: 0 everything was sent, 1 failed (offline, for one), 3 something was deferred, is being
written, met a conflict or was held back by the delete guard, 10 no mount is running,
11 sign-in needed.`,
		RunE: func(c *cobra.Command, args []string) error {
			d, paths, err := a.mountOf(c.Context(), args)
			if err != nil {
				return err
			}
			return a.flush(c.Context(), d, control.FlushRequest{Paths: paths, DryRun: dry, AllowDeletes: deletes})
		},
	}
	c.Flags().BoolVar(&dry, "dry-run", false, "say what would be sent, and send nothing")
	c.Flags().BoolVar(&deletes, "allow-deletes", false, "let deletions pass that the delete guard would hold back")
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
			return nil, nil, usage("%s is not in the mount at %s: flush one mount at a time", arg, d.Mount())
		}
		paths = append(paths, p)
	}
	return d, paths, nil
}

// flush sends what r says, shows how far it has come, and prints what became of it.
func (a *app) flush(ctx context.Context, d control.API, r control.FlushRequest) error {
	bars := a.newBars()
	res, err := d.Flush(ctx, r, bars.show)
	bars.end()
	if err != nil && len(res.Drives) == 0 {
		return fmt.Errorf("%s%w", offline(graph.KindOf(err)), err)
	}
	if a.json {
		if perr := a.printJSON(flushReport{Result: res, InPart: res.InPart()}); perr != nil {
			return perr
		}
	} else {
		a.writeFlush(res)
	}
	return a.flushOutcome(res, err)
}

// flushReport is what `duskfs flush --json` prints.
type flushReport struct {
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

func (a *app) writeFlush(res flush.Result) {
	for _, r := range res.Drives {
		switch {
		case r.Plan != nil:
			a.writePlan(r.Name, *r.Plan)
			continue
		case r.Error != "":
			continue // the error says it
		case r.Sent == 0 && r.Deferred+r.Busy+r.Guarded+r.Conflicts == 0:
			fmt.Fprintf(a.Out, "%s: nothing to send\n", r.Name)
		default:
			fmt.Fprintf(a.Out, "%s: %s sent, %s\n", r.Name, count(r.Sent, "change"), size(r.Bytes))
		}
		if r.Receipt != nil {
			for _, s := range r.Receipt.Steps {
				if s.Outcome != "sent" && s.Outcome != "unchanged" {
					fmt.Fprintf(a.Out, "  %-9s %s%s\n", s.Outcome, s.Path, because(s.Reason))
				}
			}
		}
		if r.Conflicts > 0 {
			fmt.Fprintf(a.Out, "  %s: both versions are kept, `duskfs status` shows where\n", count(r.Conflicts, "conflict"))
		}
		if r.Guarded > 0 {
			fmt.Fprintf(a.Out, "  %s held back: that is a lot; `duskfs flush --allow-deletes` sends them\n", count(r.Guarded, "deletion"))
		}
	}
}

func (a *app) writePlan(name string, p plan.Summary) {
	if len(p.Steps) == 0 {
		fmt.Fprintf(a.Out, "%s: nothing to send\n", name)
	} else {
		fmt.Fprintf(a.Out, "%s: would send %s, %s\n", name, count(len(p.Steps), "change"), size(p.Bytes))
	}
	for _, s := range p.Steps {
		from := ""
		if s.From != "" && s.From != s.Path {
			from = " (from " + s.From + ")"
		}
		fmt.Fprintf(a.Out, "  %-9s %s%s\n", s.Op, s.Path, from)
	}
	if p.Guarded > 0 {
		fmt.Fprintf(a.Out, "  %s would be held back\n", count(p.Guarded, "deletion"))
	}
}
