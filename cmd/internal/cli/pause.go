package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/duskfs/duskfs/cmd/internal/control"
)

func (a *app) pauseCommand() *cobra.Command {
	return &cobra.Command{
		Use: "pause [PATH]", Short: "Let nothing be sent or looked for by itself, until `duskfs resume`", Args: atMost(1),
		Long: `Stops flushes and refreshes of a mount from starting by themselves. What is under way ends normally,
and a flush that a person asks for still works.`,
		RunE: func(c *cobra.Command, args []string) error { return a.pause(c.Context(), first(args), true) },
	}
}

func (a *app) resumeCommand() *cobra.Command {
	return &cobra.Command{
		Use: "resume [PATH]", Short: "End a pause; what was missed is done now", Args: atMost(1),
		RunE: func(c *cobra.Command, args []string) error { return a.pause(c.Context(), first(args), false) },
	}
}

func (a *app) pause(ctx context.Context, path string, paused bool) error {
	d, err := a.daemon(ctx, path)
	if err != nil {
		return err
	}
	if err := d.Pause(ctx, control.PauseRequest{Paused: paused}); err != nil {
		return err
	}
	word := "goes on"
	if paused {
		word = "is paused; `duskfs resume` ends that"
	}
	_, err = fmt.Fprintf(a.Out, "%s %s\n", d.Mount(), word)
	return err
}
