package mirror

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/duskfs/duskfs/graph"
)

// Report tells what changed in the folder since the report before it. Paths are relative to the data folder, with slashes.
// A file that moved is in Deleted at its old path and in Added at its new one. Where one file took the place of another,
// the path is in Modified.
type Report struct {
	Timestamp string  `json:"timestamp"` // local time, as in the name of the file
	Summary   Summary `json:"summary"`
	Changes   Changes `json:"changes"`

	Schema   int                 `json:"schema"` // 1
	Drive    ReportDrive         `json:"drive"`
	Partial  bool                `json:"partial"` // something is not as it should be, or not known; see Problems
	Restored map[string]Restored `json:"restored"`
	Problems []Problem           `json:"problems"`
}

// Summary has the numbers of a report.
type Summary struct {
	TotalFiles      int `json:"total_files"` // in the folder by now
	Added           int `json:"added_count"`
	Modified        int `json:"modified_count"`
	Deleted         int `json:"deleted_count"`
	PermissionsOnly int `json:"permission_only_changes_count"`
}

// Changes are the files that changed, by path.
type Changes struct {
	Added           map[string]Added           `json:"added"`
	Modified        map[string]Modified        `json:"modified"`
	PermissionsOnly map[string]PermissionsOnly `json:"permission_only_changes"`
	Deleted         map[string]Deleted         `json:"deleted"`
}

// Added is a file that is new at its path.
type Added struct {
	Permissions []string `json:"permissions"`
	// Unknown: the permissions could not be read. Nobody is named; that does not mean that nobody may see it. A later
	// report names who may.
	Unknown  bool   `json:"permissions_unknown,omitempty"`
	FilePath string `json:"file_path"` // as the folder was named, with its data folder
	Facts
	MovedFrom string `json:"moved_from,omitempty"`
}

// Modified is a file whose bytes are others.
type Modified struct {
	ContentChanged     bool              `json:"content_changed"`
	PermissionsChanged bool              `json:"permissions_changed"`
	FilePath           string            `json:"file_path"`
	PermissionChanges  PermissionChanges `json:"permission_changes"`
	Unknown            bool              `json:"permissions_unknown,omitempty"`
	Facts
	// Replaces is the item that had the path before, if it was another.
	Replaces string `json:"replaces,omitempty"`
}

// PermissionsOnly is a file that other people may see now.
type PermissionsOnly struct {
	PermissionChanges PermissionChanges `json:"permission_changes"`
	FilePath          string            `json:"file_path"`
	Facts
}

// Deleted is a file that is not at its path any more.
type Deleted struct {
	Permissions []string `json:"permissions"` // as last told
	Item        string   `json:"item"`
}

// Facts name a file.
type Facts struct {
	Item string `json:"item"`           // id in the drive; it survives renames and moves
	Size int64  `json:"size"`           // bytes
	Hash string `json:"hash,omitempty"` // quickXorHash, base64
}

// Restored is a file that was not as the mirror had left it, for a reason: missing, changed, or in the way of a file of
// the drive.
type Restored struct {
	Reason string `json:"reason"`
	Saved  string `json:"saved_as,omitempty"` // path of what was here, set aside
}

// ReportDrive names the drive of a report.
type ReportDrive struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Site string `json:"site,omitempty"`
	URL  string `json:"url,omitempty"`
}

// ReadReport reads a report, all of it into memory.
func ReadReport(file string) (Report, error) {
	var r Report
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	return r, err
}

// difference is what a report has to tell of a path.
type difference struct {
	what    section
	content bool // the bytes are others
	perms   bool // the permissions are others
}

type section int

const (
	same section = iota - 1
	added
	modified
	permissionsOnly
	deleted
)

// differ compares what was told of a path with what is there. It is pure.
func differ(p place) difference {
	t, h := p.Told, p.Here
	if h != nil && h.Dir {
		h = nil
	}
	switch {
	case t == nil && h == nil:
		return difference{what: same}
	case t == nil:
		return difference{what: added, content: true, perms: true}
	case h == nil:
		return difference{what: deleted}
	}
	d := difference{what: same, content: !t.Ver.same(h.Ver) || t.Item == h.Item && t.Turn != h.Turn, perms: t.List != h.List}
	switch {
	case d.content:
		d.what = modified
	case d.perms:
		d.what = permissionsOnly
	}
	return d
}

// now is what a report tells of a place.
func (p place) now() *told {
	if h := p.Here; h != nil && !h.Dir {
		return &told{h.Item, h.Ver, h.List, h.Turn}
	}
	return nil
}

// unsaid reports whether a place has something that its row does not say was told, be it worth a report or not.
func unsaid(p place) bool {
	now := p.now()
	if now == nil || p.Told == nil {
		return now != nil || p.Told != nil
	}
	return p.Here.From != "" || *p.Told != *now
}

// retold is a place after the report that it waits for was published, or was not.
func retold(p place, published bool) place {
	n := p.Telling
	if p.Telling = nil; !published || n == nil {
		return p
	}
	p.Told = n.Told
	if h := p.Here; h != nil && h.From != "" && n.Told != nil && n.Told.Item == h.Item {
		moved := *h
		moved.From = ""
		p.Here = &moved
	}
	return p
}

// report writes who may see what, and then what changed, and only then remembers that this was told.
func (r *run) report(ctx context.Context) error {
	r.progress.begin("report")
	d, err := r.draft(ctx)
	defer d.drop()
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	s := d.summary
	r.count(func(x *Result) {
		x.Added, x.Modified, x.Deleted, x.PermissionsOnly, x.Total = s.Added, s.Modified, s.Deleted, s.PermissionsOnly, s.TotalFiles
		x.Restored = d.restored.n
		x.Partial = x.Partial || d.unknown || x.Failed > 0 || x.Held > 0
	})
	changes := s.Added+s.Modified+s.Deleted+s.PermissionsOnly+d.restored.n > 0
	if _, err := r.d.root.Lstat(permsFile); changes || errors.Is(err, fs.ErrNotExist) {
		if err := r.d.write(permsFile, r.writePermissions); err != nil {
			return fmt.Errorf("write %s: %w", permsFile, err)
		}
	}
	if d.unsaid {
		if err := r.announce(); err != nil {
			return err
		}
	}
	if !changes && !r.o.AlwaysReport {
		if !d.unsaid {
			return nil
		}
		return errors.Join(r.remember(true), r.s.set(row(tellingKey, nil)))
	}
	t, err := d.publish()
	if err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	r.res.Report = filepath.Join(t.Logs, t.Name)
	return r.told(t)
}

// announce notes of every place what is about to be told of it.
func (r *run) announce() error {
	if err := r.s.set(row(tellingKey, telling{})); err != nil {
		return err
	}
	w := writer{s: r.s}
	for at, x := range rows[place](r.s, placeRows) {
		if x.err == nil && unsaid(x.v) {
			x.v.Telling = &word{x.v.now()}
			x.err = w.add(placeRow(at, x.v))
		}
		if x.err != nil {
			return x.err
		}
	}
	return w.flush()
}

// told remembers a report that was published.
func (r *run) told(t telling) error {
	if r.o.Deliver != nil {
		if err := r.s.set(row(owedRows+filepath.Join(t.Logs, t.Name), owed{t.Permissions})); err != nil {
			return err
		}
	}
	if err := r.remember(true); err != nil {
		return err
	}
	return r.s.set(row(tellingKey, nil))
}

// settle finds out what became of a report that an earlier run was cut short over.
func (r *run) settle(context.Context) error {
	t, ok, err := read[telling](r.s, tellingKey)
	if err != nil {
		return err
	}
	if !ok {
		return nil
	}
	// The temporary name goes when the other has come: whoever took the report away meanwhile has read it.
	tmp, terr := os.Lstat(filepath.Join(t.Logs, t.Temp))
	name, nerr := os.Lstat(filepath.Join(t.Logs, t.Name))
	if t.Name == "" || terr == nil && (nerr != nil || !os.SameFile(tmp, name)) {
		if err := r.remember(false); err != nil {
			return err
		}
		return r.s.set(row(tellingKey, nil))
	}
	return r.told(t)
}

// remember takes what was announced as told, or not.
func (r *run) remember(published bool) error {
	w := writer{s: r.s}
	for at, x := range rows[place](r.s, placeRows) {
		if x.err != nil {
			return x.err
		}
		if x.v.Telling == nil {
			continue
		}
		now := retold(x.v, published)
		if h := x.v.Here; h != nil && h.From != "" && now.Here.From == "" {
			i, ok, err := r.s.item(h.Item)
			if err != nil {
				return err
			}
			if i.From = ""; ok {
				if err := w.add(itemRow(h.Item, i)); err != nil {
					return err
				}
			}
		}
		if err := w.add(placeRow(at, now)); err != nil {
			return err
		}
	}
	if err := w.flush(); err != nil || !published {
		return err
	}
	return r.s.clear(eventRows)
}

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
	key, err := json.Marshal(path)
	if err != nil {
		return err
	}
	value, err := json.Marshal(v)
	if err != nil {
		return err
	}
	comma := ","
	if p.n++; p.n == 1 {
		comma = ""
	}
	_, err = fmt.Fprintf(p.w, "%s\n      %s: %s", comma, key, value)
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

// text is a plain value as JSON.
func text(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil { // plain values always marshal
		return []byte("null")
	}
	return b
}

// writePermissions writes .permissions.json: the files whose permissions are known.
func (r *run) writePermissions(to io.Writer) error {
	w := bufio.NewWriter(to)
	l := lists{s: r.s}
	comma := ""
	w.WriteString("{")
	for at, x := range rows[place](r.s, placeRows) {
		if x.err != nil {
			return x.err
		}
		h := x.v.Here
		if h == nil || h.Dir || h.List == "" {
			continue
		}
		list, err := l.get(h.List)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\n  %s: %s", comma, text(at), text(list))
		comma = ","
	}
	w.WriteString("\n}\n")
	return w.Flush()
}

// deliver hands on the reports that were not delivered yet.
func (r *run) deliver(ctx context.Context) error {
	if r.o.Deliver == nil {
		return r.s.clear(owedRows)
	}
	for report, x := range rows[owed](r.s, owedRows) {
		if x.err != nil {
			return x.err
		}
		if err := r.o.Deliver(ctx, Delivery{Report: report, Permissions: x.v.Permissions}); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			r.problem("", fmt.Errorf("hand on %s: %w", filepath.Base(report), err))
			continue
		}
		if err := r.s.set(row(owedRows+report, nil)); err != nil {
			return err
		}
	}
	return nil
}

// forget drops what is known of items that are gone, once an enumeration has shown that nothing more of them will come,
// and what has been in the trash for long.
func (r *run) forget(context.Context) error {
	if r.compared && r.res.Held == 0 && r.res.Failed == 0 {
		// First everything below a folder that is gone, while that is known; then all of it.
		p, w := r.placer(), writer{s: r.s}
		for id, x := range rows[item](r.s, itemRows) {
			if x.err != nil {
				return x.err
			}
			s, err := p.of(x.v)
			if err == nil && s.is == gone && !x.v.Gone {
				x.v.Gone = true
				err = w.add(itemRow(graph.ItemID(id), x.v))
			}
			if err != nil {
				return err
			}
		}
		if err := w.flush(); err != nil {
			return err
		}
		for id, x := range rows[item](r.s, itemRows) {
			if x.err == nil && x.v.Gone {
				x.err = w.add(row(itemRows+id, nil))
			}
			if x.err != nil {
				return x.err
			}
		}
		if err := w.flush(); err != nil {
			return err
		}
	}
	if err := r.d.tidy(r.res.Failed == 0); err != nil {
		r.o.Logger.Warn("the trash could not be emptied", "err", err)
	}
	return nil
}
