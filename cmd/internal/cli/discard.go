package cli

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/graph"
)

func (a *app) discardCommand() *cobra.Command {
	var yes, dry bool
	c := &cobra.Command{
		Use: "discard PATH...", Short: "Give up local changes; a copy is kept for 30 days",
		Long: `Gives up the unsent changes at or below each PATH: what was changed is again as the remote has it,
what was renamed or deleted is back, what is new goes. Bytes that exist only here are moved to the
local trash in the state folder, which keeps them for 30 days; where is said. It asks first.

Exit status: 0 done, also if there was nothing, or no was the answer; 1 failed (offline, for one);
2 it could not ask, nothing was changed; 3 something was open and stays, 10 no mount is running,
11 sign-in needed.`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("name what to give up: `duskfs discard PATH...`; `duskfs diff` lists what there is")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error { return a.discard(c.Context(), args, yes, dry) },
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&dry, "dry-run", false, "say what would be given up, and change nothing")
	a.jsonFlag(c)
	return c
}

func (a *app) discard(ctx context.Context, args []string, yes, dry bool) error {
	d, paths, err := a.mountOf(ctx, args)
	if err != nil {
		return err
	}
	if !yes && !dry && !a.canAsk() {
		return usage("discard asks before it gives up work, and there is nobody to ask here; with --yes it does not ask. Nothing was changed")
	}
	r := control.DiscardRequest{Paths: paths, DryRun: true}
	if !yes || dry {
		would, err := d.Discard(ctx, r)
		if err != nil {
			return fmt.Errorf("%s%w", offline(graph.KindOf(err)), err)
		}
		if dry || len(would) == 0 {
			return a.writeDiscarded(would, true)
		}
		for _, c := range would {
			fmt.Fprintln(a.Err, change(c.Change)+because(c.Refused))
		}
		if ok, err := a.ask(ctx, fmt.Sprintf("Give up %s?", count(len(would), "change"))); err != nil || !ok {
			if err == nil {
				fmt.Fprintln(a.Err, "nothing was changed")
			}
			return err
		}
	}
	r.DryRun = false
	done, err := d.Discard(ctx, r)
	if err != nil {
		return fmt.Errorf("%s%w", offline(graph.KindOf(err)), err)
	}
	return a.writeDiscarded(done, false)
}

func (a *app) writeDiscarded(list []control.Discarded, dry bool) error {
	if a.json {
		if err := a.printJSON(list); err != nil {
			return err
		}
	}
	p := &printer{w: a.Out}
	if len(list) == 0 && !a.json {
		p.line("there are no changes to give up")
	}
	kept := false
	for _, c := range list {
		kept = kept || c.Refused != ""
		text := change(c.Change)
		switch {
		case a.json:
			continue
		case c.Refused != "":
			text = "kept: " + text + because(c.Refused)
		case dry:
		case c.Trash != "":
			text = "gave up: " + text + "; a copy is in " + c.Trash
		default:
			text = "gave up: " + text
		}
		p.line("%s", text)
	}
	if p.err == nil && kept {
		return &outcome{status: exitInPart}
	}
	return p.err
}

// canAsk reports whether somebody sits there to be asked.
func (a *app) canAsk() bool {
	in, ok := a.In.(*os.File)
	return ok && term.IsTerminal(int(in.Fd())) && a.onTerminal()
}

// ask asks a question that yes or no answers. Anything but yes is no.
func (a *app) ask(ctx context.Context, question string) (bool, error) {
	fmt.Fprint(a.Err, question+" [y/N] ")
	answer := make(chan string, 1)
	go func() { // a read from a terminal cannot be broken off: the process ends with it
		line, _ := bufio.NewReader(a.In).ReadString('\n')
		answer <- line
	}()
	select {
	case line := <-answer:
		line = strings.ToLower(strings.TrimSpace(line))
		return line == "y" || line == "yes", nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}
