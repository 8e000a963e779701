package cli

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cmd/internal/daemon"
)

// probeCommand is for the program itself: see cache.Probe.
func (a *app) probeCommand() *cobra.Command {
	return &cobra.Command{
		Use: daemon.ProbeCommand, Hidden: true, Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			err := cache.Probe(args[0])
			if err != nil && !errors.Is(err, cache.ErrDamaged) {
				return &outcome{status: daemon.ProbeNothing, err: err}
			}
			return err
		},
	}
}
