package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/rest"
)

// knownWait is how long the service is asked about a drive that is known already, before the mount
// goes on with what is known. A drive seen for the first time is waited for longer.
const (
	knownWait = 10 * time.Second
	firstWait = 2 * time.Minute
)

// book remembers which drive a name meant when it was mounted the last time, so that it can be mounted
// again without a network or a sign-in.
type book struct {
	file string
	ids  map[string]graph.DriveID // by what was typed and, for me, by whom it meant
}

const bookFile = "names.json"

func openBook(dir string) *book {
	b := &book{file: filepath.Join(dir, bookFile), ids: map[string]graph.DriveID{}}
	if text, err := os.ReadFile(b.file); err == nil {
		_ = json.Unmarshal(text, &b.ids) // it only saves a question: what cannot be read is asked again
	}
	return b
}

// copyBook copies the book of one folder into another, if there is one.
func copyBook(from, to string) error {
	b := openBook(from)
	b.file = filepath.Join(to, bookFile)
	return b.save()
}

func (b *book) set(spec string, id graph.DriveID) error {
	if b.ids[spec] == id {
		return nil
	}
	b.ids[spec] = id
	return b.save()
}

// under returns what was remembered under a prefix.
func (b *book) under(prefix string) []graph.DriveID {
	var ids []graph.DriveID
	for spec, id := range b.ids {
		if strings.HasPrefix(spec, prefix) {
			ids = append(ids, id)
		}
	}
	return ids
}

// setUnder remembers drives under a prefix, in place of those before.
func (b *book) setUnder(prefix string, ids []graph.DriveID) error {
	maps.DeleteFunc(b.ids, func(spec string, _ graph.DriveID) bool { return strings.HasPrefix(spec, prefix) })
	for _, id := range ids {
		b.ids[prefix+string(id)] = id
	}
	return b.save()
}

func (b *book) save() error {
	text, err := json.Marshal(b.ids)
	if err != nil {
		return err
	}
	if err := os.WriteFile(b.file+".new", text, 0o600); err != nil {
		return fmt.Errorf("remember the names of drives: %w", err)
	}
	return os.Rename(b.file+".new", b.file)
}

// find looks up the drives to mount and makes them known to the store. A drive that is known is
// mounted even if the service is out of reach or refuses the sign-in.
func (m *mount) find(ctx context.Context, dir string) error {
	known, err := m.store.Drives()
	if err != nil {
		return err
	}
	names := openBook(dir)
	for _, spec := range m.cfg.Drives {
		if spec.Where == rest.SharePoint {
			continue
		}
		info, err := m.findOne(ctx, spec, names, known)
		if err != nil {
			return err
		}
		for _, d := range m.drives {
			if d.info.Num == info.Num {
				return fmt.Errorf("%s and %s are the same drive: name it once", d.spec, spec)
			}
		}
		m.drives = append(m.drives, drive{spec: spec, info: info, service: m.account.client.Drive(info.Drive.ID)})
	}
	for _, spec := range m.cfg.Drives { // after those that are named
		if spec.Where != rest.SharePoint {
			continue
		}
		all, err := m.sharePoint(ctx, spec, names, known)
		if err != nil {
			return err
		}
		m.drives = append(m.drives, all...)
	}
	for i, name := range folderNames(m.drives) {
		m.drives[i].name = name
	}
	return nil
}

func (m *mount) findOne(ctx context.Context, spec rest.Spec, names *book, known []cache.DriveInfo) (cache.DriveInfo, error) {
	key := m.nameOf(spec)
	var before *cache.DriveInfo
	for i, k := range known {
		if id, ok := names.ids[key]; ok && graph.SameDrive(id, k.Drive.ID) {
			before = &known[i]
		}
	}
	wait := firstWait
	if before != nil {
		wait = knownWait
	}
	asking, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	d, root, err := m.ask(asking, spec)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		return cache.DriveInfo{}, ctx.Err()
	case before != nil && m.asKnown(spec, err):
		return *before, nil
	case errors.Is(err, context.DeadlineExceeded):
		return cache.DriveInfo{}, &graph.Error{Op: "find", Item: spec.String(), Kind: graph.Offline, Message: "the service did not answer in time; try again when there is a network"}
	case errors.Is(err, graph.NotExist):
		return cache.DriveInfo{}, fmt.Errorf("%w; `duskfs drives` lists what can be mounted", err)
	default:
		return cache.DriveInfo{}, err
	}
	return m.store.AddDrive(d, root)
}

// nameOf is how the book knows what was typed.
func (m *mount) nameOf(spec rest.Spec) string {
	if spec.Where == rest.Me {
		return spec.String() + ":" + m.cfg.User
	}
	return spec.String()
}

// remember writes down which drives are mounted now, so that they can be mounted again without asking.
func (m *mount) remember() error {
	names := openBook(m.account.dir)
	var libraries []graph.DriveID
	for _, d := range m.drives {
		if d.spec.Where == rest.SharePoint {
			libraries = append(libraries, d.info.Drive.ID)
			continue
		}
		if err := names.set(m.nameOf(d.spec), d.info.Drive.ID); err != nil {
			return err
		}
	}
	if len(libraries) == 0 {
		return nil
	}
	return names.setUnder(everyLibrary, libraries)
}

// asKnown reports whether an error allows to show what is known, and notes it.
func (m *mount) asKnown(spec rest.Spec, err error) bool {
	switch {
	case errors.Is(err, graph.SignIn):
		m.refused = sentence(graph.SignIn, err.Error(), time.Time{}, time.Time{})
		m.log.Warn("the sign-in is refused; the drive is shown as last known", "drive", spec.String(), "err", err)
	case outOfReach(err):
		m.offline = true
		m.log.Warn("the service is out of reach; the drive is shown as last known", "drive", spec.String(), "err", err)
	default:
		return false
	}
	return true
}

func (m *mount) ask(ctx context.Context, spec rest.Spec) (graph.Drive, graph.Item, error) {
	d, err := m.account.client.Find(ctx, spec)
	if err != nil {
		return graph.Drive{}, graph.Item{}, err
	}
	root, err := m.account.client.Drive(d.ID).Root(ctx)
	return d, root, err
}

// outOfReach reports whether an error says nothing about the drive: the service was not heard.
func outOfReach(err error) bool {
	return errors.Is(err, graph.Offline) || errors.Is(err, graph.Throttled) || errors.Is(err, graph.Failed) ||
		errors.Is(err, graph.Lost) || errors.Is(err, context.DeadlineExceeded)
}
