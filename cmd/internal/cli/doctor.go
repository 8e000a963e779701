package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/cmd/internal/daemon"
)

func (a *app) doctorCommand() *cobra.Command {
	var o daemon.Checkup
	var bundle string
	c := &cobra.Command{
		Use: "doctor", Short: "Look for what is wrong, and how to mend it", Args: noArgs,
		Long: `Looks at this machine, the state folder, every account in it and every mount, and says what is wrong
and what to do. It asks the service nothing. It works with and without mounts.

--fix mends what can be mended without losing anything: mounts whose daemon is gone, a state folder or
secrets that others may look into, and damaged state that was moved aside, once its unsent work was copied out.
--scrub reads all bytes that are kept and compares them with the hashes of the service, and all that is
known of the drives. What is wrong of bytes is put aside and fetched again when it is read.
--bundle writes a report to send in: versions, settings, findings and the logs, without names of files,
people, tenants or addresses.

Exit status: 0 all is well, or was mended; 3 something is wrong.`,
		RunE: func(c *cobra.Command, _ []string) error { return a.doctor(c.Context(), o, bundle) },
	}
	c.Flags().BoolVar(&o.Fix, "fix", false, "mend what can be mended without losing anything")
	c.Flags().BoolVar(&o.Scrub, "scrub", false, "compare all bytes that are kept with their hashes, and read all that is known")
	c.Flags().StringVar(&bundle, "bundle", "", "write a report without names to a new zip `FILE`")
	a.jsonFlag(c)
	return c
}

func (a *app) doctor(ctx context.Context, o daemon.Checkup, bundle string) error {
	cfg, err := a.load() // what it warns of is a finding here
	if err != nil {
		return err
	}
	found := daemon.Doctor(ctx, cfg, o)
	if found == nil {
		found = []control.Finding{}
	}
	if bundle != "" {
		if err := daemon.Bundle(ctx, cfg, version(), found, a.abs(bundle)); err != nil {
			return err
		}
		fmt.Fprintf(a.Err, "the report is in %s; look into it before you send it in\n", a.abs(bundle))
	}
	if a.json {
		err = a.printJSON(found)
	} else {
		err = a.writeFindings(found)
	}
	for _, f := range found {
		if err == nil && f.Level == control.FindingProblem && !f.Fixed {
			err = &outcome{status: exitInPart}
		}
	}
	return err
}

func (a *app) writeFindings(found []control.Finding) error {
	p := &printer{w: a.Out}
	for _, f := range found {
		word := map[string]string{control.FindingOK: "ok", control.FindingNote: "note", control.FindingProblem: "WRONG"}[f.Level]
		if f.Fixed {
			word = "mended"
		}
		text := f.Text
		if f.Path != "" {
			text = f.Path + ": " + text
		}
		p.line("%-7s %s", word, text)
		if f.Remedy != "" {
			p.line("        %s", f.Remedy)
		}
	}
	return p.err
}
