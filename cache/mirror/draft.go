package mirror

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// draft is a report under way: its parts lie in files, since a first report names every file.
type draft struct {
	r        *run
	parts    [4]object
	restored object
	summary  Summary
	perms    bool // permissions of a file that was there changed
	unknown  bool // permissions of some file are not known
	unsaid   bool // some place has to be remembered anew
	lists    lists
}

// object is one object of a report.
type object struct {
	f *os.File
	w *bufio.Writer
	n int
}

func (p *object) add(path string, v any) error {
	comma := ","
	if p.n++; p.n == 1 {
		comma = ""
	}
	_, err := fmt.Fprintf(p.w, "%s\n      %s: %s", comma, text(path), text(v))
	return err
}

func (r *run) draft(ctx context.Context) (d *draft, err error) {
	d = &draft{r: r, lists: lists{s: r.s}}
	for i, p := range []*object{&d.parts[0], &d.parts[1], &d.parts[2], &d.parts[3], &d.restored} {
		if p.f, err = r.d.root.OpenFile(fmt.Sprintf("%s/report.%d", workDir, i), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600); err != nil {
			return d, err
		}
		p.w = bufio.NewWriter(p.f)
	}
	for at, x := range rows[place](r.s, placeRows) {
		if err := errors.Join(x.err, ctx.Err()); err != nil {
			return d, err
		}
		if err := d.place(at, x.v); err != nil {
			return d, err
		}
	}
	for at, x := range rows[event](r.s, eventRows) {
		if x.err != nil {
			return d, x.err
		}
		if err := d.restored.add(at, Restored(x.v)); err != nil {
			return d, err
		}
	}
	s := &d.summary
	s.Added, s.Modified, s.PermissionsOnly, s.Deleted = d.parts[added].n, d.parts[modified].n, d.parts[permissionsOnly].n, d.parts[deleted].n
	return d, nil
}

// place adds what there is to tell of a path.
func (d *draft) place(at string, p place) error {
	if h := p.Here; h != nil && !h.Dir {
		d.summary.TotalFiles++
		d.unknown = d.unknown || h.List == ""
	}
	d.unsaid = d.unsaid || unsaid(p)
	diff := differ(p)
	if diff.what == same {
		return nil
	}
	entry, err := d.entry(at, p, diff)
	if err != nil {
		return err
	}
	d.perms = d.perms || diff.perms && diff.what != added
	return d.parts[diff.what].add(at, entry)
}

func (d *draft) entry(at string, p place, diff difference) (any, error) {
	var before, after []string
	var err error
	if p.Told != nil {
		if before, err = d.lists.get(p.Told.List); err != nil {
			return nil, err
		}
	}
	if diff.what == deleted {
		return Deleted{Permissions: before, Item: string(p.Told.Item)}, nil
	}
	h := p.Here
	if after, err = d.lists.get(h.List); err != nil {
		return nil, err
	}
	file := path.Join(filepath.ToSlash(d.r.o.Shown), dataDir, at)
	facts := Facts{Item: string(h.Item), Size: h.Stat.Size, Hash: string(h.Ver.Hash)}
	switch diff.what {
	case added:
		return Added{Permissions: after, Unknown: h.List == "", FilePath: file, Facts: facts, MovedFrom: h.From}, nil
	case modified:
		m := Modified{ContentChanged: true, PermissionsChanged: diff.perms, FilePath: file, PermissionChanges: changesOf(before, after), Unknown: h.List == "", Facts: facts}
		if p.Told.Item != h.Item {
			m.Replaces = string(p.Told.Item)
		}
		return m, nil
	}
	return PermissionsOnly{PermissionChanges: changesOf(before, after), FilePath: file, Facts: facts}, nil
}

// drop removes the parts.
func (d *draft) drop() {
	for i, p := range []*object{&d.parts[0], &d.parts[1], &d.parts[2], &d.parts[3], &d.restored} {
		if p.f != nil {
			_ = p.f.Close() // what counts was copied
			_ = d.r.d.root.Remove(fmt.Sprintf("%s/report.%d", workDir, i))
		}
	}
}

// publish puts the report together under a name that no other has, and says which.
func (d *draft) publish() (telling, error) {
	o := d.r.o
	t := telling{Logs: o.Logs, Temp: ".sync_changes.new", Permissions: d.perms}
	var err error
	if t.Logs, err = filepath.Abs(o.Logs); err != nil {
		return t, err
	}
	if err := os.MkdirAll(o.Logs, 0o755); err != nil {
		return t, err
	}
	logs, err := os.OpenRoot(o.Logs)
	if err != nil {
		return t, err
	}
	defer logs.Close()
	stamp := o.Now().Format(stampLayout)
	put := func(tmp string) error {
		for n := 1; ; n++ {
			if t.Name = "sync_changes_" + stamp + ".json"; n > 1 {
				t.Name = fmt.Sprintf("sync_changes_%s_%d.json", stamp, n)
			}
			if _, err := logs.Lstat(t.Name); err == nil {
				continue
			}
			if err := errors.Join(d.r.s.set(row(tellingKey, t)), d.r.s.l.Sync()); err != nil {
				return err
			}
			err := logs.Link(tmp, t.Name)
			if err != nil && !errors.Is(err, fs.ErrExist) { // a disk without links
				err = d.claim(logs, tmp, t.Name)
			}
			switch {
			case errors.Is(err, fs.ErrExist):
				continue
			case err != nil:
				return err
			}
			return errors.Join(syncDir(logs, "."), ignoreMissing(logs.Remove(tmp)))
		}
	}
	err = writeFile(logs, ".", t.Temp, put, func(w io.Writer) error { return d.fill(w, stamp) })
	return t, err
}

// claim gives a file a name that is free, where a disk has no links.
func (d *draft) claim(logs *os.Root, tmp, name string) error {
	f, err := logs.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), logs.Rename(tmp, name))
}

// fill writes the report.
func (d *draft) fill(to io.Writer, stamp string) error {
	w := bufio.NewWriter(to)
	o := d.r.o
	d.r.mu.Lock()
	partial, problems := d.r.res.Partial, d.r.res.Problems
	d.r.mu.Unlock()
	fmt.Fprintf(w, "{\n  \"timestamp\": %s,\n  \"summary\": %s,\n  \"changes\": {", text(stamp), text(d.summary))
	for _, s := range []struct {
		name string
		p    *object
	}{{"added", &d.parts[added]}, {"modified", &d.parts[modified]}, {"permission_only_changes", &d.parts[permissionsOnly]}, {"deleted", &d.parts[deleted]}} {
		if s.name != "added" {
			w.WriteString(",")
		}
		fmt.Fprintf(w, "\n    %q: {", s.name)
		if err := s.p.copyTo(w, "\n    }"); err != nil {
			return err
		}
	}
	fmt.Fprintf(w, "\n  },\n  \"schema\": 1,\n  \"drive\": %s,\n  \"partial\": %v,\n  \"restored\": {",
		text(ReportDrive{string(o.Drive.ID), o.Drive.Name, o.Drive.Site, o.Drive.WebURL}), partial)
	if err := d.restored.copyTo(w, "\n  }"); err != nil {
		return err
	}
	fmt.Fprintf(w, ",\n  \"problems\": %s\n}\n", text(problems))
	return w.Flush() // which tells of every write that failed
}

// copyTo writes what the part has, and the end of its object.
func (p *object) copyTo(w io.Writer, end string) error {
	err := p.w.Flush()
	if err == nil {
		_, err = p.f.Seek(0, io.SeekStart)
	}
	if err == nil {
		_, err = io.Copy(w, p.f)
	}
	if p.n == 0 {
		end = "}"
	}
	if err == nil {
		_, err = io.WriteString(w, end)
	}
	return err
}

// text is a plain value as JSON, with & and the like as they are: people search reports for names.
func text(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil { // plain values always marshal
		return []byte("null")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
