package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/duskfs/duskfs/graph"
)

func (a *app) refreshCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "refresh [PATH]", Short: "Look for remote changes now", Args: atMost(1),
		Long: "Looks for remote changes of the mount that holds PATH and applies them. Without PATH: the mount of the\nworking directory, else the only one that runs.",
		RunE: func(c *cobra.Command, args []string) error { return a.refresh(c.Context(), first(args)) },
	}
	a.jsonFlag(c)
	return c
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func (a *app) refresh(ctx context.Context, path string) error {
	d, err := a.daemon(ctx, path)
	if err != nil {
		return err
	}
	res, err := d.Refresh(ctx)
	if err != nil && len(res.Drives) == 0 {
		return fmt.Errorf("%s%w", offline(graph.KindOf(err)), err)
	}
	if a.json {
		if err := a.printJSON(res); err != nil {
			return err
		}
	}
	var failed error
	for _, r := range res.Drives {
		switch {
		case r.Error != "":
			failed = driveFailure(failed, r.Name, r.Error, r.Kind)
		case a.json:
		case r.Waiting > 0:
			fmt.Fprintf(a.Out, "%s: %s applied, %d wait for files that are open\n", r.Name, count(r.Applied, "remote change"), r.Waiting)
		default:
			fmt.Fprintf(a.Out, "%s: %s applied\n", r.Name, count(r.Applied, "remote change"))
		}
	}
	return failed
}

// driveFailure makes the error of a command from that of a drive; a sign-in that is needed
// outweighs what came before.
func driveFailure(before error, name, text string, kind graph.Kind) error {
	o := &outcome{exitFailed, fmt.Errorf("%s: %s%s", name, offline(kind), text)}
	if kind == graph.SignIn {
		o.status = exitSignIn
		return o
	}
	if before != nil {
		return before
	}
	return o
}

// offline says what being offline means, in front of what the network said.
func offline(kind graph.Kind) string {
	if kind == graph.Offline {
		return "offline, everything is kept; try again when there is a network: "
	}
	return ""
}
