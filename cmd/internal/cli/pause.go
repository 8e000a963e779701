package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/duskfs/duskfs/cmd/internal/control"
)

func (a *app) pauseCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "pause [PATH]", Short: "Let nothing be sent or looked for by itself, until `duskfs resume`", Args: atMost(1),
		Long: `Stops flushes and refreshes of a mount from starting by themselves, also after it was unmounted and
mounted again. What is under way ends normally, and a flush or refresh that a person asks for still works.`,
		RunE: func(c *cobra.Command, args []string) error { return a.pause(c.Context(), first(args), true) },
	}
	a.jsonFlag(c)
	return c
}

func (a *app) resumeCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "resume [PATH]", Short: "End a pause; what was missed is done now", Args: atMost(1),
		RunE: func(c *cobra.Command, args []string) error { return a.pause(c.Context(), first(args), false) },
	}
	a.jsonFlag(c)
	return c
}

// pauseReport is what `duskfs pause --json` and `duskfs resume --json` print.
type pauseReport struct {
	Mount  string `json:"mount"`
	Paused bool   `json:"paused"`
}

func (a *app) pause(ctx context.Context, path string, paused bool) error {
	d, err := a.daemon(ctx, path)
	if err != nil {
		return err
	}
	if err := d.Pause(ctx, control.PauseRequest{Paused: paused}); err != nil {
		return err
	}
	if a.json {
		return a.printJSON(pauseReport{Mount: d.Mount(), Paused: paused})
	}
	word := "goes on"
	if paused {
		word = "is paused; `duskfs resume` ends that"
	}
	_, err = fmt.Fprintf(a.Out, "%s %s\n", d.Mount(), word)
	return err
}
