package daemon

import (
	"context"
	"fmt"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/graph"
)

// answers is what the daemon says to who asks through its socket.
type answers struct{ m *mount }

var _ control.API = (*answers)(nil)

// Unmount implements control.API. The server answers the peer when the mount is gone.
func (a *answers) Unmount(context.Context) error {
	a.m.askToStop()
	return nil
}

// Refresh implements control.API.
func (a *answers) Refresh(ctx context.Context) (flush.RefreshResult, error) {
	defer a.m.shownToAll(ctx)
	return a.m.engine.Refresh(ctx)
}

// countAll has everything counted that programs have written so far. What cannot be recorded is
// counted by what is known of it, and tried again by the file system.
func (m *mount) countAll() {
	if err := m.files.Record(); err != nil {
		m.log.Debug("counting what waits", "err", err)
	}
}

// noticeWait is how long an answer waits for the kernel to hear of what was done.
const noticeWait = time.Second

// shownToAll lets an answer wait until what was done can be seen in the mount, but never for long.
func (m *mount) shownToAll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, noticeWait)
	defer cancel()
	m.kernel.Drain(ctx)
}

// Flush implements control.API.
func (a *answers) Flush(ctx context.Context, r control.FlushRequest, progress func(flush.Progress)) (flush.Result, error) {
	if err := a.m.writable(); err != nil {
		return flush.Result{}, err
	}
	paths, err := a.m.everywhere(r.Paths)
	if err != nil {
		return flush.Result{}, err
	}
	a.m.countAll()
	defer a.m.shownToAll(ctx)
	return a.m.engine.Flush(ctx, flush.Request{
		Paths: paths, DryRun: r.DryRun, AllowDeletes: r.ConfirmDeletes, IncludeOpen: r.IncludeOpen, Progress: progress,
	})
}

// locate finds drive and path of an absolute path below the mountpoint. The mountpoint of several
// drives stands for all of them.
func (m *mount) locate(p string) ([]flush.Path, error) {
	rel, err := filepath.Rel(m.point, p)
	if err != nil || !filepath.IsLocal(rel) {
		return nil, fmt.Errorf("%s is not below %s", p, m.point)
	}
	rel = path.Join("/", filepath.ToSlash(rel))
	if m.alone() {
		return []flush.Path{{Drive: m.drives[0].info.Num, Path: rel}}, nil
	}
	var found []flush.Path
	for _, d := range m.drives {
		if rest, ok := strings.CutPrefix(rel+"/", "/"+d.name+"/"); ok {
			found = append(found, flush.Path{Drive: d.info.Num, Path: path.Join("/", rest)})
		} else if rel == "/" || strings.HasPrefix(d.name+"/", rel[1:]+"/") {
			found = append(found, flush.Path{Drive: d.info.Num, Path: "/"})
		}
	}
	if len(found) == 0 {
		name, _, _ := strings.Cut(rel[1:], "/")
		return nil, fmt.Errorf("%s: there is no drive %q in this mount", p, name)
	}
	return found, nil
}

// alone reports whether what is mounted is one drive, and no folder that holds drives.
func (m *mount) alone() bool { return len(m.drives) == 1 && !strings.Contains(m.drives[0].name, "/") }

// outside is where people see a path of a drive.
func (m *mount) outside(d drive, p string) string {
	if m.alone() {
		return filepath.Join(m.point, p)
	}
	return filepath.Join(m.point, d.name, p)
}

// Status implements control.API.
func (a *answers) Status(context.Context) (control.Status, error) {
	m := a.m
	m.countAll()
	st := m.engine.Status()
	s := control.Status{
		Mount: m.point, Drives: []control.Drive{}, Deferred: []control.Deferred{}, Held: []control.Held{}, Conflicts: []control.Conflict{},
		Cache:   control.Cache{Dir: m.account.dir},
		Doubt:   m.store.Doubt(),
		Auth:    m.account.auth(),
		Refresh: control.Refresh{State: "idle"},
		Flush:   control.Flush{State: "idle", Paused: st.Paused, ReadOnly: true},
	}
	if m.writable() == nil {
		s.Flush = control.Flush{
			State: "idle", Next: moment(st.Next), Rule: st.Rule, After: m.cfg.Flush.After, Paused: st.Paused, OnUnmount: m.cfg.Flush.OnUnmount,
		}
	}
	used, err := m.store.Content().Used()
	if err != nil {
		return s, fmt.Errorf("status: %w", err)
	}
	s.Cache.Bytes = used
	if s.Damaged, err = m.damaged(); err != nil {
		return s, fmt.Errorf("status: %w", err)
	}
	for _, d := range m.drives {
		for _, ds := range st.Drives {
			if ds.Drive == d.info.Num {
				m.addDrive(&s, d, ds)
			}
		}
	}
	for _, d := range m.drives {
		if s.Pending.Items == 0 || m.cfg.ReadOnly {
			break
		}
		held, err := m.held(d)
		if err != nil {
			return s, fmt.Errorf("status: %w", err)
		}
		s.Held = append(s.Held, held...)
	}
	s.Pending.Loss = loss(s.Pending, time.Now())
	return s, nil
}

// addDrive adds one drive to a status.
func (m *mount) addDrive(s *control.Status, d drive, ds flush.DriveStatus) {
	trouble := ""
	if ds.Error != "" {
		trouble = sentence(ds.Kind, ds.Error, ds.ErrAt, time.Now())
	}
	text := trouble
	if text == "" && ds.Refused {
		text = "the service takes no changes of this drive from this sign-in: it is read-only until a flush succeeds, and what is unsent is kept"
	}
	if text == "" && m.reads {
		text = agreedToRead
	}
	s.Drives = append(s.Drives, control.Drive{
		Name: d.name, Drive: d.spec.String(), ID: string(d.info.Drive.ID), Path: m.outside(d, ""),
		ReadOnly: ds.ReadOnly || ds.Refused, Asleep: ds.Asleep, Enumerated: ds.Enumerated, Error: text,
		Stale: ds.Stale || ds.Kind == graph.Offline || ds.Kind == graph.SignIn || m.asRemembered(ds), Refreshed: moment(ds.LastRefresh),
	})
	p := ds.Pending
	s.Pending.Items += p.Items
	s.Pending.Bytes += p.Bytes
	s.Pending.Deletions += p.Deletions
	s.Pending.Oldest = earlier(s.Pending.Oldest, moment(p.Oldest))
	s.LocalOnly += p.LocalOnly
	for _, x := range p.Deferred {
		s.Deferred = append(s.Deferred, control.Deferred{
			Path: m.outside(d, x.Path), Kind: x.Kind, Reason: x.Reason, At: x.At.UTC(), Tries: x.Tries, Next: moment(x.Next),
		})
	}
	for _, c := range ds.Conflicts {
		s.Conflicts = append(s.Conflicts, control.Conflict{Path: m.outside(d, c.Path), Kind: c.Kind, Text: c.Text, At: c.At.UTC()})
	}
	if !ds.Asleep {
		awake := slices.IndexFunc(s.Drives, func(d control.Drive) bool { return !d.Asleep })
		s.Refresh.Last = earlierOrSet(awake == len(s.Drives)-1, s.Refresh.Last, moment(ds.LastRefresh))
	}
	if ds.LastFlush != nil {
		s.Flush.Last = later(s.Flush.Last, moment(ds.LastFlush.Ended))
		s.Flush.Interrupted = s.Flush.Interrupted || ds.Interrupted
		if ds.FlushError != "" {
			s.Flush.State, s.Flush.Error = "failing", ended(ds.FlushError, ds.LastFlush.Ended)
		}
	}
	if trouble != "" {
		s.Refresh.State, s.Refresh.Error = "failing", trouble
		if ds.Kind == graph.SignIn {
			s.Auth.State, s.Auth.Error = "needed", trouble
		}
		if ds.Kind == graph.Offline && s.Auth.State != "needed" && s.Auth.State != "ok" {
			s.Auth.State = "offline"
		}
	}
	switch ds.State {
	case flush.Refreshing:
		s.Refresh.State = "running"
	case flush.Flushing:
		s.Flush.State = "running"
	}
}

// asRemembered reports whether the service could not be asked when the drive was mounted, nor since then.
func (m *mount) asRemembered(ds flush.DriveStatus) bool {
	return (m.offline || m.refused != "") && !ds.Asleep && ds.LastRefresh.Before(m.began)
}

// ended says why a flush ended early. Of the error in full, which is in the receipt, it leaves what
// people can do something with.
func ended(text string, at time.Time) string {
	for _, k := range []graph.Kind{graph.Offline, graph.Lost, graph.SignIn, graph.Throttled, graph.Failed} {
		if strings.Contains(text, ": "+string(k)) {
			return sentence(k, text, at, time.Now())
		}
	}
	return text
}

// loss says what would be lost if the disk died now.
func loss(p control.Pending, now time.Time) string {
	if p.Items == 0 {
		return ""
	}
	work := humanize.Bytes(uint64(max(p.Bytes, 0))) + " of work"
	if p.Bytes == 0 {
		work = "no bytes, but renames, deletions or new folders"
	}
	from := ""
	if p.Oldest != nil {
		from = since(*p.Oldest, now)
	}
	return "if this disk died now: " + work + from
}

func earlier(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.Before(*a) {
		return b
	}
	return a
}

func later(a, b *time.Time) *time.Time {
	if a == nil || b != nil && b.After(*a) {
		return b
	}
	return a
}

// earlierOrSet keeps the earliest of several: a mount was refreshed when its last drive was, and
// never if one of them never was.
func earlierOrSet(isFirst bool, a, b *time.Time) *time.Time {
	if isFirst {
		return b
	}
	if a == nil || b == nil {
		return nil
	}
	return earlier(a, b)
}
