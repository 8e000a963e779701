package cli

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func (a *app) configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Look at the configuration", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	show := &cobra.Command{
		Use: "show", Short: "Print every setting, its value and where that comes from", Args: noArgs,
		Long: "Prints every setting, its value and where that comes from. Secrets are masked.",
		RunE: func(*cobra.Command, []string) error { return a.configShow() },
	}
	a.jsonFlag(show)
	c.AddCommand(show)
	return c
}

func (a *app) configShow() error {
	cfg, err := a.config()
	if err != nil {
		return err
	}
	if a.json {
		return a.printJSON(cfg.Values())
	}
	w := tabwriter.NewWriter(a.Out, 0, 4, 2, ' ', 0)
	for _, v := range cfg.Values() {
		fmt.Fprintf(w, "%s\t%s\t%s\n", v.Key, v.Value, v.Source)
	}
	return w.Flush()
}
