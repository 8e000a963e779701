package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/duskfs/duskfs/cmd/internal/control"
)

func (a *app) diffCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "diff [PATH...]", Short: "List what a flush would send, one line an operation",
		Long: `Lists the unsent changes at or below each PATH; without PATH, all of the mount of the working
directory, else of the only mount that runs. It asks the service nothing.`,
		RunE: func(c *cobra.Command, args []string) error { return a.diff(c.Context(), args) },
	}
	a.jsonFlag(c)
	return c
}

func (a *app) diff(ctx context.Context, args []string) error {
	d, paths, err := a.mountOf(ctx, args)
	if err != nil {
		return err
	}
	list, err := d.Diff(ctx, paths)
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(list)
	}
	p := &printer{w: a.Out}
	for _, c := range list {
		p.line("%s", change(c))
	}
	return p.err
}

// change is a change in one line.
func change(c control.Change) string {
	text := fmt.Sprintf("%-8s %s", c.Kind, c.Path)
	if c.Dir {
		text += "/"
	}
	switch {
	case c.From != "":
		text += " (from " + c.From + ")"
	case c.Kind == "deleted" && c.Dir:
		text += " (" + count(c.Items, "item") + ")"
	case c.Kind == "deleted":
		text += " (" + size(c.OldSize) + ")"
	case c.Kind == "modified":
		text += " (" + sizes(c.Size, c.OldSize) + ")"
	case c.Kind == "new" && !c.Dir:
		text += " (" + size(c.Size) + ")"
	}
	return text + because(c.Reason)
}
