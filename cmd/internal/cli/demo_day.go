package cli

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/graph/graphtest"
)

// row is one line of the table at the end.
type row struct {
	What   string `json:"what"`
	Result string `json:"result"`
}

func (d *demo) note(what, format string, args ...any) {
	d.rows = append(d.rows, row{what, fmt.Sprintf(format, args...)})
}

func (d *demo) at(path string) string { return filepath.Join(d.mount, filepath.FromSlash(path)) }

// browse walks the whole tree and reads a document.
func (d *demo) browse() error {
	d.step("Browse and read")
	files, folders, bytes := 0, 0, int64(0)
	err := filepath.WalkDir(d.mount, func(_ string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			folders++
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		files, bytes = files+1, bytes+info.Size()
		return nil
	})
	if err != nil {
		return err
	}
	before := d.server.Counts().BytesDown
	text, err := os.ReadFile(d.at("Notes/todo.md"))
	if err != nil {
		return err
	}
	d.say("%s in %s, %s in all; of these %d bytes were fetched, for the one that was read:", count(files, "file"), count(folders, "folder"), size(bytes), d.server.Counts().BytesDown-before)
	for line := range strings.Lines(string(text)) {
		d.say("  | %s", strings.TrimRight(line, "\n"))
	}
	d.note("browsed", "%s, bytes fetched only for what was read", count(files, "file"))
	return nil
}

// edit is ordinary work: a line more, a new folder with files small and large, a move, a deletion.
func (d *demo) edit() error {
	d.step("Work: edit, new folder, move, delete")
	todo, err := os.OpenFile(d.at("Notes/todo.md"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = todo.WriteString("- [ ] try duskfs\n")
	if err = errors.Join(err, todo.Close()); err != nil {
		return err
	}
	d.say("Notes/todo.md: a line more")
	if err := os.MkdirAll(d.at("Projects/Lighthouse/Drawings"), 0o755); err != nil {
		return err
	}
	for i := range 12 {
		name := fmt.Sprintf("Projects/Lighthouse/Drawings/sheet-%02d.txt", i+1)
		if err := os.WriteFile(d.at(name), fmt.Appendf(nil, "sheet %d of the lighthouse\n", i+1), 0o644); err != nil {
			return err
		}
	}
	large := make([]byte, 12<<20)
	for i := range large {
		large[i] = byte(i * 7 >> 3)
	}
	if err := os.WriteFile(d.at("Projects/Lighthouse/survey.bin"), large, 0o644); err != nil {
		return err
	}
	d.say("Projects/Lighthouse: a new folder, 12 small files and one of %s", size(int64(len(large))))
	if err := os.Rename(d.at("Reports/2025"), d.at("Archive/Reports 2025")); err != nil {
		return err
	}
	d.say("Reports/2025 -> Archive/Reports 2025: a folder of 12 files moved")
	if err := os.Remove(d.at("Pictures/2024/harbour-evening.jpg")); err != nil {
		return err
	}
	d.say("Pictures/2024/harbour-evening.jpg: deleted")
	return nil
}

const renamed = "Projects/Tunnel/README.md"

// savesByRename saves one document many times the way editors do: a new file, renamed over the old.
func (d *demo) savesByRename() error {
	d.step("Save one document twenty times, the way editors do")
	for i := range 20 {
		tmp := d.at(renamed + ".tmp")
		if err := os.WriteFile(tmp, fmt.Appendf(nil, "# Tunnel\n\nDraft %d.\n", i+1), 0o644); err != nil {
			return err
		}
		if err := os.Rename(tmp, d.at(renamed)); err != nil {
			return err
		}
	}
	d.say("%s: 20 times written to a new file that was renamed over it", renamed)
	return nil
}

const (
	theirs = "Projects/Tunnel/survey.csv"
	both   = "Welcome.txt"
)

// colleague works on the other side, without duskfs.
func (d *demo) colleague() error {
	d.step("Meanwhile, a colleague works in the same drive")
	if _, err := d.drive.Put(theirs, []byte("point,x,y,z\n1,10.5,20.1,3.3\n2,11.0,20.4,3.1\n3,11.6,20.8,2.9\n")); err != nil {
		return err
	}
	d.say("%s: a point more", theirs)
	if err := os.WriteFile(d.at(both), []byte("Our words of welcome.\n"), 0o644); err != nil {
		return err
	}
	if _, err := d.drive.Put(both, []byte("The colleague's words of welcome.\n")); err != nil {
		return err
	}
	d.say("%s: changed on both sides", both)
	return nil
}

func (d *demo) status() error {
	d.step("duskfs status")
	writes := d.server.Counts().Writes
	s, err := d.daemon.Status(d.ctx)
	if err != nil {
		return err
	}
	if err := writeStatus(indented{d.out}, s); err != nil {
		return err
	}
	if writes != 0 {
		return fmt.Errorf("%s reached the service before any flush", count(writes, "write request"))
	}
	d.say("the service has seen no write request so far")
	d.note("pending before the flush", "%s, %s; write requests seen by the service: 0", count(s.Pending.Items, "change"), size(s.Pending.Bytes))
	return nil
}

func (d *demo) refresh() error {
	d.step("duskfs refresh")
	res, err := d.daemon.Refresh(d.ctx)
	if err != nil {
		return err
	}
	for _, r := range res.Drives {
		d.say("%s applied", count(r.Applied, "remote change"))
	}
	want, err := d.drive.Read(theirs)
	if err != nil {
		return err
	}
	got, err := os.ReadFile(d.at(theirs))
	if err != nil {
		return err
	}
	if string(got) != string(want) {
		return fmt.Errorf("%s does not show the colleague's bytes after a refresh", theirs)
	}
	d.say("%s shows the colleague's point", theirs)
	d.note("colleague's edit", "seen after refresh")
	return nil
}

func (d *demo) flush() error {
	d.step("duskfs flush")
	before, err := d.drive.Stat(renamed)
	if err != nil {
		return err
	}
	began := time.Now()
	watch := d.newWatch()
	res, err := d.daemon.Flush(d.ctx, control.FlushRequest{}, watch.show)
	watch.end()
	if err != nil {
		return err
	}
	sent, bytes := 0, int64(0)
	for _, r := range res.Drives {
		sent, bytes = sent+r.Sent, bytes+r.Bytes
	}
	d.say("%s sent, %s, in %.1f s", count(sent, "change"), size(bytes), time.Since(began).Seconds())
	after, err := d.drive.Stat(renamed)
	if err != nil {
		return err
	}
	if after.ID != before.ID || after.Versions != before.Versions+1 {
		return fmt.Errorf("%s: twenty saves became %s, and the item's id was kept: %t", renamed, count(after.Versions-before.Versions, "version"), after.ID == before.ID)
	}
	d.say("%s: twenty saves are one new version of the same item", renamed)
	d.note("flush", "%s, %s", count(sent, "change"), size(bytes))
	d.note("twenty saves by rename", "one upload, same item")

	s, err := d.daemon.Status(d.ctx)
	if err != nil {
		return err
	}
	if len(s.Conflicts) == 0 {
		return fmt.Errorf("%s was changed on both sides, and status shows no conflict", both)
	}
	for _, c := range s.Conflicts {
		d.say("both kept: %s and %s", both, filepath.Base(c.Path))
	}
	d.note("changed on both sides", "both versions kept, as two files")
	return nil
}

// verify compares both sides by path and SHA-256.
func (d *demo) verify() error {
	d.step("Compare both sides, hash by hash")
	there, err := d.drive.Walk()
	if err != nil {
		return err
	}
	here, err := d.hashes()
	if err != nil {
		return err
	}
	remote := map[string]string{}
	for _, i := range there {
		remote[i.Path] = sum(i)
	}
	var wrong []string
	for p, h := range here {
		if remote[p] != h {
			wrong = append(wrong, p)
		}
	}
	for p := range remote {
		if _, ok := here[p]; !ok {
			wrong = append(wrong, p)
		}
	}
	if len(wrong) > 0 {
		return fmt.Errorf("the two sides differ in %d places: %s", len(wrong), strings.Join(wrong[:min(len(wrong), 5)], ", "))
	}
	d.say("%s: all equal", fmt.Sprintf("%d files and folders", len(here)))
	if v := d.server.Violations(); len(v) > 0 {
		return fmt.Errorf("the service noted a violation of its protocol: %s", v[0])
	}
	d.note("verified by SHA-256", "%d of %d files and folders equal; protocol violations: 0", len(here), len(here))
	return nil
}

func sum(i graphtest.Info) string {
	if i.Folder {
		return "folder"
	}
	return i.SHA256
}

// hashes reads the whole mount.
func (d *demo) hashes() (map[string]string, error) {
	all := map[string]string{}
	err := filepath.WalkDir(d.mount, func(p string, e fs.DirEntry, err error) error {
		if err != nil || p == d.mount {
			return err
		}
		rel := "/" + filepath.ToSlash(strings.TrimPrefix(p, d.mount+string(filepath.Separator)))
		if e.IsDir() {
			all[rel] = "folder"
			return nil
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }() // read only
		h := sha256.New()
		if _, err := io.Copy(h, f); err != nil {
			return err
		}
		all[rel] = hex.EncodeToString(h.Sum(nil))
		return nil
	})
	return all, err
}

// again flushes once more: there is nothing left.
func (d *demo) again() error {
	d.step("duskfs flush, once more")
	before := d.server.Counts().Writes
	res, err := d.daemon.Flush(d.ctx, control.FlushRequest{}, nil)
	if err != nil {
		return err
	}
	sent := d.server.Counts().Writes - before
	for _, r := range res.Drives {
		if r.Sent > 0 || r.Left > 0 || sent > 0 {
			return fmt.Errorf("a second flush sent %s and left %d", count(r.Sent, "change"), r.Left)
		}
	}
	d.say("nothing to send")
	d.note("second flush", "nothing to send")
	return nil
}

// table sums up.
func (d *demo) table() error {
	took := time.Since(d.began)
	if d.json {
		return d.printJSON(demoReport{Checks: d.rows, Seconds: took.Seconds()})
	}
	fmt.Fprintln(d.out)
	w := tabwriter.NewWriter(d.out, 0, 4, 3, ' ', 0)
	for _, r := range d.rows {
		fmt.Fprintf(w, "  %s\t%s\n", r.What, r.Result)
	}
	_ = w.Flush() // people who do not read do not miss it
	fmt.Fprintf(d.out, "\nDone in %.1f s. With an account of your own: see \"Quick start\" in README.md.\n", took.Seconds())
	return nil
}

// demoReport is what `duskfs demo --json` prints.
type demoReport struct {
	Checks  []row   `json:"checks"`
	Seconds float64 `json:"seconds"`
}

// indented indents every line that is written in one call.
type indented struct{ w io.Writer }

func (i indented) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		if _, err := io.WriteString(i.w, "        "+line); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}
