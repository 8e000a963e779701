package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/duskfs/duskfs/cmd/internal/config"
	"github.com/duskfs/duskfs/cmd/internal/control"
)

func (a *app) statusCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "status [PATH]", Short: "Show unsent work, conflicts, sign-in and cache", Args: atMost(1),
		Long: `Shows how the mount that holds PATH stands; without PATH, every mount that runs.

Exit status: 0 all is well (unsent changes are), 3 something wants attention, 10 no mount is
running, 11 sign-in needed.`,
		RunE: func(c *cobra.Command, args []string) error { return a.status(c.Context(), first(args)) },
	}
	a.jsonFlag(c)
	return c
}

func (a *app) status(ctx context.Context, path string) error {
	mounts, err := a.daemons(ctx, path)
	if err != nil {
		return err
	}
	worst := exitDone
	for i, d := range mounts {
		s, err := d.Status(ctx)
		if errors.Is(err, control.ErrNoDaemon) && len(mounts) > 1 {
			continue // it ended between the look and the question
		}
		if err != nil {
			return err
		}
		if a.json {
			err = a.printJSON(s)
		} else {
			if i > 0 {
				fmt.Fprintln(a.Out)
			}
			err = writeStatus(a.Out, s)
		}
		if err != nil {
			return err
		}
		switch {
		case s.Auth.State == "needed":
			worst = exitSignIn
		case !s.Well() && worst == exitDone:
			worst = exitInPart
		}
	}
	if worst != exitDone {
		return &outcome{status: worst}
	}
	return nil
}

// daemons finds the mount that holds a path; an empty path means all.
func (a *app) daemons(ctx context.Context, path string) ([]*control.Client, error) {
	if path != "" {
		d, err := a.daemon(ctx, path)
		return []*control.Client{d}, err
	}
	cfg, err := a.config()
	if err != nil {
		return nil, err
	}
	live, err := control.NewRegistry(cfg.StateDir).List(ctx)
	if err != nil {
		return nil, err
	}
	if len(live) == 0 {
		return nil, fmt.Errorf("%w: start one with `duskfs mount`", control.ErrNoDaemon)
	}
	var all []*control.Client
	for _, rec := range live {
		all = append(all, control.NewClient(rec.Mount, rec.Socket))
	}
	return all, nil
}

// heldShown is how many of what is held back people are shown.
const heldShown = 5

// writeStatus prints a status for people.
func writeStatus(w io.Writer, s control.Status) error {
	p := &printer{w: w}
	p.line("%s", s.Mount)
	asleep := 0
	for _, d := range s.Drives {
		if d.Asleep {
			asleep++
			continue
		}
		note := ""
		if d.ReadOnly {
			note = ", read-only"
		}
		if !d.Enumerated && !d.ReadOnly {
			note += ", not read to its end yet"
		}
		if d.Stale {
			note += ", stale: " + asOf(d.Refreshed)
		}
		why := ""
		if s.Refresh.Error == "" { // which says it too
			why = because(d.Error)
		}
		p.line("  drive      %s (%s%s)%s", d.Name, d.Drive, note, why)
	}
	if asleep > 0 {
		p.line("  drives     %d more, read-only, that nobody has looked into yet", asleep)
	}
	switch {
	case s.Pending.Items == 0 && s.Doubt != "":
		p.line("  pending    unknown, since the state is damaged")
	case s.Pending.Items == 0:
		p.line("  pending    nothing: all changes are sent")
	default:
		deletions := ""
		if s.Pending.Deletions > 0 {
			deletions = " (" + count(s.Pending.Deletions, "deletion") + ")"
		}
		p.line("  pending    %s%s, %s, oldest %s", count(s.Pending.Items, "change"), deletions, size(s.Pending.Bytes), ago(s.Pending.Oldest))
		p.line("  at risk    %s", s.Pending.Loss)
	}
	if s.LocalOnly > 0 {
		p.line("  local only %s never sent (.DS_Store, ~$x, …)", count(s.LocalOnly, "item"))
	}
	for _, d := range s.Deferred {
		p.line("  deferred   %s: %s", d.Path, d.Reason)
		p.line("             %s", retry(d, s.Flush))
	}
	for i, h := range s.Held {
		if i == heldShown {
			p.line("  held back  %d more: `duskfs diff` lists them", len(s.Held)-i)
			break
		}
		if h.Kind == "deletion" {
			p.line("  held back  deletion of %s (%s): `duskfs flush --confirm-deletes` sends it, `duskfs discard` undoes it", h.Path, count(h.Items, "item"))
		} else {
			p.line("  held back  %s became empty, though nobody emptied it: `duskfs flush --confirm-deletes` sends it, `duskfs discard` undoes it", h.Path)
		}
	}
	for _, c := range s.Conflicts {
		p.line("  conflict   %s: %s", c.Path, c.Text)
	}
	if s.Doubt != "" {
		p.line("  damaged    the state is damaged, and what cannot be read of it is an error: unmount and mount again; then it is read from the service anew, and what is unsent is kept (%s)", s.Doubt)
	}
	for _, d := range s.Damaged {
		p.line("  damaged    the state was damaged and is made anew; %s of before %s kept: `duskfs export-pending FOLDER` copies them out",
			count(d.Unsent, "unsent file"), are(d.Unsent))
	}
	p.line("  sign-in    %s as %s%s", s.Auth.State, s.Auth.Account, because(s.Auth.Error))
	p.line("  refresh    %s, last %s%s", s.Refresh.State, ago(s.Refresh.Last), because(s.Refresh.Error))
	why := s.Flush.Error
	if why == "" && s.Flush.Interrupted && s.Flush.State == "idle" {
		why = "the last one was interrupted; `duskfs flush` goes on"
	}
	p.line("  flush      %s, last %s, %s%s", s.Flush.State, ago(s.Flush.Last), nextFlush(s.Flush), because(why))
	p.line("  cache      %s in %s", size(s.Cache.Bytes), s.Cache.Dir)
	return p.err
}

// retry says when something deferred is tried again.
func retry(d control.Deferred, f control.Flush) string {
	text := "tried " + count(d.Tries, "time")
	if f.Paused || f.Next == nil && f.After == 0 || d.Next == nil {
		return text + ", `duskfs flush` tries it again"
	}
	next := d.Next
	if f.After == 0 && f.Next.After(*next) {
		next = f.Next
	}
	return text + ", not again by itself before " + next.Local().Format("Mon 15:04") + "; `duskfs flush` tries it now"
}

// nextFlush says when changes are sent.
func nextFlush(f control.Flush) string {
	if f.Paused {
		return "paused until `duskfs resume`"
	}
	if f.ReadOnly {
		return "never: the mount is read-only"
	}
	var when []string
	if f.Next != nil {
		when = append(when, "next "+f.Next.Local().Format("Mon 15:04"))
	}
	if f.After > 0 {
		when = append(when, "when nothing was changed for "+config.Period(f.After))
	}
	if f.OnUnmount {
		when = append(when, "on `duskfs unmount`")
	}
	if len(when) == 0 {
		return "only when asked"
	}
	return strings.Join(when, ", ")
}

func asOf(t *time.Time) string {
	if t == nil {
		return "not looked at since it was mounted"
	}
	return "as of " + when(t)
}

func because(text string) string {
	if text == "" {
		return ""
	}
	return ": " + text
}

// printer prints lines for people and remembers the first error of several writes.
type printer struct {
	w   io.Writer
	err error
}

func (p *printer) line(format string, args ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.w, visible(fmt.Sprintf(format, args...)))
	}
}
