package graphtest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Info is what a colleague sees of an item.
type Info struct {
	ID       string    `json:"id"`
	Path     string    `json:"path"` // from the root, with a leading slash
	Name     string    `json:"name"`
	Parent   string    `json:"parent,omitempty"` // id
	Folder   bool      `json:"folder,omitempty"`
	Size     int64     `json:"size"` // bytes; of a folder: of all below
	ETag     string    `json:"etag"`
	CTag     string    `json:"ctag,omitempty"`
	Hash     string    `json:"hash,omitempty"`   // quickXorHash, base64
	SHA256   string    `json:"sha256,omitempty"` // hexadecimal; set by Walk alone, not for generated files over 80 MiB
	ModTime  time.Time `json:"mtime"`            // fileSystemInfo
	Versions int       `json:"versions,omitempty"`
}

func (d *Drive) info(it *item) Info {
	i := Info{ID: it.id, Path: it.path(), Name: it.name, Folder: it.folder, Size: it.size, ETag: d.eTag(it), CTag: d.cTag(it), ModTime: it.fsMod}
	if it.parent != nil {
		i.Parent = it.parent.id
	}
	if it.body != nil {
		i.Hash, i.Versions = it.body.hash(), len(it.old)+1
	}
	return i
}

// ID returns the drive's id.
func (d *Drive) ID() string { return d.id }

// Title returns the name of the drive, for a library its title.
func (d *Drive) Title() string { return d.title }

// Type returns Personal, Business or DocumentLibrary.
func (d *Drive) Type() string { return d.kind }

// act does a colleague's work under the lock, after what is due.
func (d *Drive) act(what, path string, f func(now time.Time) error) error {
	d.s.mu.Lock()
	defer d.s.mu.Unlock()
	d.s.settle()
	d.s.acting = colleague
	if err := f(d.s.now()); err != nil {
		return fmt.Errorf("%s %s: %w", what, path, err)
	}
	return nil
}

// at finds an item by path.
func (d *Drive) at(path string) (*item, error) {
	if it := d.root.find(path); it != nil {
		return it, nil
	}
	return nil, errNotFound()
}

// folders returns the folder at a path, made with all above it if it is missing.
func (d *Drive) folders(path string, now time.Time) (*item, error) {
	it := d.root
	for name := range strings.SplitSeq(path, "/") {
		if name == "" {
			continue
		}
		next, _, err := d.mkdir(it, name, "replace", now)
		if err != nil {
			return nil, err
		}
		it = next
	}
	return it, nil
}

func splitPath(path string) (dir, name string) {
	path = strings.Trim(path, "/")
	i := strings.LastIndexByte(path, '/')
	return path[:max(i, 0)], path[i+1:]
}

// Put writes a file, with the folders above it: a new one, or a new version of the one there.
func (d *Drive) Put(path string, data []byte) (Info, error) {
	return d.PutReader(path, bytes.NewReader(data))
}

// PutReader is Put for a stream.
func (d *Drive) PutReader(path string, r io.Reader) (Info, error) {
	b, err := d.s.newBody(r)
	if err != nil {
		return Info{}, fmt.Errorf("put %s: %w", path, err)
	}
	return d.putBody(path, b, times{})
}

// PutSeeded writes a file whose bytes are generated whenever they are read: it costs nothing. Those of
// a file over 80 MiB repeat every 40 MiB, so that its hash is known at once.
func (d *Drive) PutSeeded(path string, size int64, seed uint64) (Info, error) {
	return d.putBody(path, &body{size: size, seed: seed, gen: true}, times{})
}

func (d *Drive) putBody(path string, b *body, t times) (info Info, err error) {
	err = d.act("put", path, func(now time.Time) error {
		dir, name := splitPath(path)
		parent, err := d.folders(dir, now)
		if err != nil {
			return err
		}
		it, _, err := d.write(parent, name, "replace", b, t, now)
		if err == nil {
			info = d.info(it)
		}
		return err
	})
	return info, err
}

// Mkdir makes a folder, with the folders above it. An existing one is fine.
func (d *Drive) Mkdir(path string) (info Info, err error) {
	err = d.act("mkdir", path, func(now time.Time) error {
		it, err := d.folders(path, now)
		if err == nil {
			info = d.info(it)
		}
		return err
	})
	return info, err
}

// Move moves or renames an item; the folder it goes to must exist and the name be free.
func (d *Drive) Move(from, to string) (info Info, err error) {
	err = d.act("move", from, func(now time.Time) error {
		it, err := d.at(from)
		if err != nil {
			return err
		}
		dir, name := splitPath(to)
		parent, err := d.at(dir)
		if err != nil {
			return err
		}
		if err = d.move(it, parent, name, "fail", now); err == nil {
			info = d.info(it)
		}
		return err
	})
	return info, err
}

// Misname gives an item a name that the service lets nobody give: with a slash in it, "..", an empty one, one with half
// of a surrogate pair in it (as UTF-8 would write it, which is not valid), or one that another item there has in another
// spelling. Most such items cannot be found by a path any more; of twins each is found by its own spelling.
func (d *Drive) Misname(path, name string) (info Info, err error) {
	err = d.act("misname", path, func(now time.Time) error {
		it, err := d.at(path)
		if err != nil {
			return err
		}
		parent := it.parent
		if was := parent.child(name); was != nil && was != it && was.name == name {
			return errExists()
		}
		d.detach(it)
		it.name = name
		d.attach(it, parent)
		d.bump(it, false, now)
		info = d.info(it)
		return nil
	})
	return info, err
}

// Delete moves an item and all below it to the recycle bin.
func (d *Drive) Delete(path string) error {
	return d.act("delete", path, func(now time.Time) error {
		it, err := d.at(path)
		if err != nil {
			return err
		}
		if it == d.root {
			return errInvalid("the root cannot be deleted")
		}
		d.remove(it, now)
		return nil
	})
}

// Restore takes a deleted item back out of the recycle bin, by its id.
func (d *Drive) Restore(id string) error {
	return d.act("restore", id, func(now time.Time) error {
		it := d.bin[id]
		if it == nil {
			return errNotFound()
		}
		return d.restore(it, now)
	})
}

// Touch sets the modification time of an item, as a PATCH of fileSystemInfo does.
func (d *Drive) Touch(path string, mtime time.Time) error {
	return d.act("touch", path, func(now time.Time) error {
		it, err := d.at(path)
		if err == nil {
			it.fsMod = d.clip(mtime)
			d.bump(it, false, now)
		}
		return err
	})
}

// Lock makes writes to an item answer 423 in one of three shapes (0, 1, 2); a negative form unlocks.
func (d *Drive) Lock(path string, form int) error {
	return d.act("lock", path, func(time.Time) error {
		it, err := d.at(path)
		if err == nil {
			d.locks[it.id] = form
			if form < 0 {
				delete(d.locks, it.id)
			}
		}
		return err
	})
}

// Share grants a role (read or write) on an item to a person by sign-in name; it shows as a change
// of the item. An empty name makes a sharing link for the organisation.
func (d *Drive) Share(path, upn, role string) error {
	return d.act("share", path, func(now time.Time) error {
		it, err := d.at(path)
		if err != nil {
			return err
		}
		g := Grant{User: upn, Role: role}
		if upn == "" {
			g.Link = "organization"
		}
		d.grant(it, d.grantOf(it, g), now)
		return nil
	})
}

// MakePackage turns a path into a OneNote notebook: neither a file nor a folder.
func (d *Drive) MakePackage(path string) (info Info, err error) {
	err = d.act("package", path, func(now time.Time) error {
		it, err := d.folders(path, now)
		if err == nil {
			it.pkg = true
			d.bump(it, false, now)
			info = d.info(it)
		}
		return err
	})
	return info, err
}

// MakeShortcut puts a shortcut to a folder or file of another drive at a path.
func (d *Drive) MakeShortcut(path string, to *Drive, target string) (info Info, err error) {
	err = d.act("shortcut", path, func(now time.Time) error {
		there, err := to.at(target)
		if err != nil {
			return err
		}
		it, err := d.folders(path, now)
		if err == nil {
			it.remote = &remote{to.id, there.id}
			d.bump(it, false, now)
			info = d.info(it)
		}
		return err
	})
	return info, err
}

// Infect makes the service call a file malware: its bytes are refused, by addresses given before as well. Older versions are
// not.
func (d *Drive) Infect(path string) error {
	return d.act("infect", path, func(now time.Time) error {
		it, err := d.at(path)
		if err == nil {
			it.malware = true
			d.bump(it, false, now)
		}
		return err
	})
}

// SetQuota sets the size of the drive in bytes; 0 is no limit, and shows as an unknown quota.
func (d *Drive) SetQuota(total int64) { d.s.mu.Lock(); defer d.s.mu.Unlock(); d.total = total }

// Stat describes an item by path.
func (d *Drive) Stat(path string) (info Info, err error) {
	err = d.act("stat", path, func(time.Time) error {
		it, err := d.at(path)
		if err == nil {
			info = d.info(it)
		}
		return err
	})
	return info, err
}

// StatID describes an item by id.
func (d *Drive) StatID(id string) (info Info, err error) {
	err = d.act("stat", id, func(time.Time) error {
		it := d.items[id]
		if it == nil {
			return errNotFound()
		}
		info = d.info(it)
		return nil
	})
	return info, err
}

// Open reads the current bytes of a file.
func (d *Drive) Open(path string) (r io.ReadCloser, err error) {
	err = d.act("open", path, func(time.Time) error {
		it, err := d.at(path)
		if err == nil && it.body == nil {
			err = &apiError{status: http.StatusBadRequest, code: "invalidRequest", msg: "not a file"}
		}
		if err == nil {
			r, err = it.body.open(0)
		}
		return err
	})
	return r, err
}

// Read returns the current bytes of a file.
func (d *Drive) Read(path string) ([]byte, error) {
	r, err := d.Open(path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// ReadVersion returns the bytes of a version of a file, counted from the oldest, from 0.
func (d *Drive) ReadVersion(path string, n int) (data []byte, err error) {
	err = d.act("read", path, func(time.Time) error {
		it, err := d.at(path)
		if err != nil {
			return err
		}
		if n < 0 || n > len(it.old) || it.body == nil {
			return errNotFound()
		}
		b := it.body
		if n < len(it.old) {
			b = it.old[n].body
		}
		data, err = b.bytes()
		return err
	})
	return data, err
}

// Walk returns everything below the root in order of path parts, parents first, each file with the
// SHA-256 of its bytes.
func (d *Drive) Walk() ([]Info, error) {
	var all []Info
	var bodies []*body
	d.s.mu.Lock()
	d.s.settle()
	d.root.each(func(it *item) {
		if it != d.root {
			all, bodies = append(all, d.info(it)), append(bodies, it.body)
		}
	})
	d.s.mu.Unlock()
	for i, b := range bodies {
		if b == nil {
			continue
		}
		sum, err := b.sha256()
		if err != nil {
			return nil, fmt.Errorf("walk %s: %w", all[i].Path, err)
		}
		all[i].SHA256 = sum
	}
	return all, nil
}
