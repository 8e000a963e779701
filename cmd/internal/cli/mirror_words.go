package cli

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/duskfs/duskfs/cache/mirror"
)

// mirrorReport is what `duskfs mirror --json` prints of a drive.
type mirrorReport struct {
	Event  string `json:"event"` // "result"
	Drive  string `json:"drive"`
	ID     string `json:"id"`
	Folder string `json:"folder"`
	DryRun bool   `json:"dry_run"`
	mirror.Result
	InPart bool   `json:"in_part"`
	Error  string `json:"error,omitempty"`
}

// mirrorStep is one line of `duskfs mirror --dry-run --json`.
type mirrorStep struct {
	Event string `json:"event"` // "step"
	mirror.Step
}

// sayStep tells what would be done.
func (a *app) sayStep(s mirror.Step) {
	if a.json {
		_ = a.printJSON(mirrorStep{"step", s}) // a reader that has gone is noticed with the result
		return
	}
	text := fmt.Sprintf("  %-8s %s", s.Do, s.Path)
	if s.From != "" {
		text += " (from " + s.From + ")"
	}
	if s.Bytes > 0 {
		text += ", " + size(s.Bytes)
	}
	fmt.Fprintln(a.Out, text)
}

func (a *app) sayMirrored(c *copyOf, r mirror.Result, j *mirrorJob) {
	switch {
	case j.dryRun:
		fmt.Fprintf(a.Out, "%s: nothing was done; the permissions of %s would be read\n", c.drive.Name, count(r.Read, "file"))
	case r.Failed > 0 && r.Total == 0 && r.Report == "":
		fmt.Fprintf(a.Out, "%s: not finished\n", c.drive.Name)
	case r.Added+r.Modified+r.Deleted+r.PermissionsOnly+r.Restored == 0:
		fmt.Fprintf(a.Out, "%s: nothing changed, %s\n", c.drive.Name, count(r.Total, "file"))
	default:
		fmt.Fprintf(a.Out, "%s: %d added, %d modified, %d deleted, %d with other permissions; %s in all, %s fetched\n", c.drive.Name,
			r.Added, r.Modified, r.Deleted, r.PermissionsOnly, count(r.Total, "file"), size(r.Bytes))
	}
	if r.Restored > 0 {
		fmt.Fprintf(a.Out, "  %s not as it was left, or in the way: the report says what became of it\n", count(r.Restored, "file"))
	}
	if r.Report != "" {
		fmt.Fprintf(a.Out, "  report: %s\n", r.Report)
	}
	if r.LeftOut > 0 && j.verbose {
		fmt.Fprintf(a.Out, "  %s left out\n", count(r.LeftOut, "item"))
	}
	if r.Waiting > 0 {
		fmt.Fprintf(a.Out, "  the permissions of %s are read again in later runs\n", count(r.Waiting, "file"))
	}
	if r.Held > 0 {
		fmt.Fprintf(a.Out, "  %s held back: that is a lot; `duskfs mirror --dry-run --confirm-deletes` lists them, --confirm-deletes carries them out\n", count(r.Held, "deletion"))
	}
	for _, p := range r.Problems {
		where := p.Path
		if where != "" {
			where += ": "
		}
		fmt.Fprintf(a.Err, "duskfs: %s%s\n", where, p.Error)
	}
	if more := r.Failed - len(r.Problems); more > 0 {
		fmt.Fprintf(a.Err, "duskfs: %d more could not be mirrored\n", more)
	}
	if r.Partial && r.Failed == 0 && r.Held == 0 {
		fmt.Fprintln(a.Err, "duskfs: not all permissions could be read; what was known of them stands, and the next run tries again")
	}
}

// writeTree prints a folder as a tree.
func (a *app) writeTree(dir string) error {
	return filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, p)
		if err != nil || rel == "." {
			return err
		}
		line := strings.Repeat("  ", strings.Count(rel, string(filepath.Separator))+1) + d.Name()
		if d.IsDir() {
			line += "/"
		} else if st, err := d.Info(); err == nil {
			line += "  " + size(st.Size())
		}
		_, err = fmt.Fprintln(a.Out, line)
		return err
	})
}
