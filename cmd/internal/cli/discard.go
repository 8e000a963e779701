package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/cmd/internal/daemon"
	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/graph"
)

func (a *app) discardCommand() *cobra.Command {
	var yes, dry, list bool
	c := &cobra.Command{
		Use: "discard PATH...", Short: "Give up local changes; a copy is kept for 30 days",
		Long: `Gives up the unsent changes at or below each PATH: what was changed is again as the remote has it,
what was renamed or deleted is back, what is new goes. Bytes that exist only here are moved to the
local trash in the state folder, which keeps them for 30 days; where is said. It asks first.

With --list it shows what is in that trash and does nothing else; that needs no mount. To get a file
back, copy it to where it is wanted: the next flush sends it like any other work.

Exit status: 0 done, also if there was nothing, or no was the answer; 1 failed (offline, for one);
2 it could not ask, nothing was changed; 3 something stays, since it is open or the service does not
let you see it, 10 no mount is running, 11 sign-in needed. If it ends early, what was given up by then
is listed all the same.`,
		Args: func(_ *cobra.Command, args []string) error {
			if list && (len(args) > 0 || yes || dry) {
				return usage("--list shows all of the local trash, and goes with no PATH, --yes or --dry-run")
			}
			if len(args) == 0 && !list {
				return usage("name what to give up: `duskfs discard PATH...`; `duskfs diff` lists what there is")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if list {
				return a.listTrash()
			}
			return a.discard(c.Context(), args, yes, dry)
		},
	}
	c.Flags().BoolVar(&yes, "yes", false, "do not ask")
	c.Flags().BoolVar(&dry, "dry-run", false, "say what would be given up, and change nothing")
	c.Flags().BoolVar(&list, "list", false, "show what was given up and is kept in the local trash")
	a.jsonFlag(c)
	return c
}

// trashed is a file in the local trash, as `duskfs discard --list --json` prints it.
type trashed struct {
	File  string    `json:"file"`
	Path  string    `json:"path"` // from the root of its drive
	Size  int64     `json:"size"`
	At    time.Time `json:"at"`
	Until time.Time `json:"until"`
}

func (a *app) listTrash() error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	all, unreadable := daemon.Trash(cfg.StateDir)
	list := []trashed{}
	for _, t := range all {
		list = append(list, trashed{t.File, t.Path, t.Size, t.At, t.At.AddDate(0, 0, flush.TrashDays)})
	}
	if a.json {
		return errors.Join(a.printJSON(list), unreadable)
	}
	p := &printer{w: a.Out}
	if len(list) == 0 {
		p.line("the local trash is empty")
	}
	for _, t := range list {
		p.line("%s  %s (%s), kept until %s", when(&t.At), t.Path, size(t.Size), t.Until.Local().Format(time.DateOnly))
		p.line("  %s", t.File)
	}
	return errors.Join(p.err, unreadable)
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
			fmt.Fprintln(a.Err, visible(change(c.Change)+because(c.Refused)))
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
	switch {
	case err == nil:
		return a.writeDiscarded(done, false)
	case len(done) == 0:
		return fmt.Errorf("%s%w", offline(graph.KindOf(err)), err)
	}
	var told *outcome
	if werr := a.writeDiscarded(done, false); werr != nil && !errors.As(werr, &told) {
		return errors.Join(err, werr)
	}
	return fmt.Errorf("it ended early, and the rest is kept: %w", err)
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
	kept, trash := false, false
	for _, c := range list {
		kept = kept || c.Refused != ""
		if !dry && c.Refused == "" {
			c.Reason = "" // it is past
		}
		text := change(c.Change)
		switch {
		case a.json:
			continue
		case c.Refused != "":
			if text = "kept: " + text + because(c.Refused); c.Trash != "" {
				text += "; a copy is in " + c.Trash
			}
		case dry:
		case c.Trash != "":
			trash = true
			text = "gave up: " + text + "; a copy is in " + c.Trash
		default:
			text = "gave up: " + text
		}
		p.line("%s", text)
	}
	if trash {
		p.line("copies are kept for %d days; `duskfs discard --list` shows them", flush.TrashDays)
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
