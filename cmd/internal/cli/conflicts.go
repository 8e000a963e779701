package cli

import (
	"context"
	"fmt"
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
  theirs     our version goes to the local trash, which keeps it for 30 days`,
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("keep") {
				return a.resolve(c.Context(), args, keep)
			}
			return a.conflicts(c.Context(), first(args))
		},
	}
	c.Flags().StringVar(&keep, "keep", "", "settle with `VERSION`: keep-both, mine or theirs")
	a.jsonFlag(c)
	return c
}

func (a *app) conflicts(ctx context.Context, path string) error {
	d, err := a.daemon(ctx, path)
	if err != nil {
		return err
	}
	all, err := d.Conflicts(ctx)
	if err != nil {
		return err
	}
	list := []control.Pair{}
	for _, c := range all {
		if path == "" || control.Inside(a.abs(path), c.Path) {
			list = append(list, c)
		}
	}
	if a.json {
		return a.printJSON(list)
	}
	p := &printer{w: a.Out}
	if len(list) == 0 {
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
	if _, err := cache.ParsePolicy(keep); err != nil {
		return usage("--keep: %v", err)
	}
	if len(args) == 0 {
		return usage("name our version of what is to be settled; `duskfs conflicts` lists it")
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
			fmt.Fprintf(a.Out, "settled: %s (%s)\n", p, keep)
		}
	}
	if a.json {
		return a.printJSON(map[string]any{"settled": paths, "keep": keep})
	}
	return nil
}

// when is a moment as files have it.
func when(t *time.Time) string {
	if t == nil {
		return "at an unknown time"
	}
	return t.Local().Format("2006-01-02 15:04")
}
