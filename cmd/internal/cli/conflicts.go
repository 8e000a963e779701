package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/graph"
)

func (a *app) conflictsCommand() *cobra.Command {
	var keep string
	c := &cobra.Command{
		Use: "conflicts [PATH...]", Short: "List files that both sides changed, and settle them",
		Long: `Lists both versions of every file that both sides changed, and files that could not be sent for days.
With --keep it settles those of which one version is a PATH:

  keep-both  both stay; the conflict copy is an ordinary file from now on. A file that could not be
             sent becomes a conflict copy
  mine       our bytes replace theirs, which stay among the versions of the file
  theirs     our version goes to the local trash, which keeps it for 30 days and which
             duskfs discard --list shows; if it was sent already, to the recycle bin there

Exit status: 0 done, also if there are conflicts to list, 1 failed (nothing waits for a decision at PATH,
for one), 2 wrong usage, 10 no mount is running.`,
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("keep") {
				return a.resolve(c.Context(), args, keep)
			}
			return a.conflicts(c.Context(), args)
		},
	}
	c.Flags().StringVar(&keep, "keep", "", "settle with `VERSION`: keep-both, mine or theirs")
	a.jsonFlag(c)
	return c
}

func (a *app) conflicts(ctx context.Context, args []string) error {
	d, paths, err := a.mountOf(ctx, args)
	if err != nil {
		return err
	}
	list, err := d.Conflicts(ctx, paths)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	p := &printer{w: a.Out}
	switch {
	case len(list) > 0:
	case len(paths) > 0:
		p.line("there are no conflicts at or below %s", strings.Join(args, ", "))
	default:
		p.line("there are no conflicts")
	}
	for _, c := range list {
		p.line("%s", c.Text)
		mine, other := "ours", "theirs"
		if c.Kind == "overwritten" {
			mine, other = other, mine
		}
		p.line("  %-7s %s (%s, %s)", mine, c.Path, size(c.Size), when(c.Time))
		if c.Other != "" {
			p.line("  %-7s %s (%s, %s)", other, c.Other, size(c.OtherSize), when(c.OtherTime))
		}
	}
	if len(list) > 0 {
		p.line("`duskfs conflicts --keep keep-both|mine|theirs PATH` settles one; PATH is that of either version")
	}
	return p.err
}

func (a *app) resolve(ctx context.Context, args []string, keep string) error {
	policy, err := cache.ParsePolicy(keep)
	if err != nil {
		return usage("--keep: %v", err)
	}
	if len(args) == 0 {
		return usage("name either version of what is to be settled; `duskfs conflicts` lists them")
	}
	d, paths, err := a.mountOf(ctx, args)
	if err != nil {
		return err
	}
	for _, p := range paths {
		if err := d.Resolve(ctx, control.ResolveRequest{Path: p, Keep: keep}); err != nil {
			return fmt.Errorf("%s%w", offline(graph.KindOf(err)), err)
		}
		if !a.json {
			fmt.Fprintln(a.Out, visible(fmt.Sprintf("settled: %s (%s)%s", p, keep, keptIn(policy))))
		}
	}
	if a.json {
		return a.printJSON(map[string]any{"settled": paths, "keep": keep})
	}
	return nil
}

// keptIn says where the bytes are that a decision has put out of sight.
func keptIn(p cache.Policy) string {
	switch p {
	case cache.Mine:
		return "; theirs is among the versions of the file once a flush has sent ours"
	case cache.Theirs:
		return "; ours is in the local trash, see `duskfs discard --list`, or if it was sent already in the recycle bin there after the next flush"
	}
	return ""
}

// when is a moment as files have it.
func when(t *time.Time) string {
	if t == nil {
		return "at an unknown time"
	}
	return t.Local().Format("2006-01-02 15:04")
}
