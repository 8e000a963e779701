package graphtest

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// The three kinds of drive, as the service names them.
const (
	Personal        = "personal"
	Business        = "business"
	DocumentLibrary = "documentLibrary"
)

// Drive is one drive of the emulator. Its exported methods are the hand of a colleague who works
// in the same drive by other means: they ignore faults, throttling and the offline switch. All
// are safe for concurrent use.
type Drive struct {
	s       *Server
	id      string
	kind    string
	title   string
	owner   *User // of a personal or business drive
	site    *site // of a library
	webPath string
	created time.Time

	// All below is guarded by Server.mu.
	items     map[string]*item
	bin       map[string]*item // deleted items by id; their descendants hang below them
	root      *item
	next      uint64 // number of the next item
	seq       int64  // of the last change
	log       []change
	epoch     int    // tokens of an older epoch are refused with 410
	resync    string // code of that refusal
	total     int64  // quota in bytes
	used      int64
	binned    int64
	locks     map[string]int      // item id to the form of its 423
	checkouts map[string]checkout // by item id
	rules     Rules
	fields    map[string]object // columns that were set, by item id
	sharedAt  map[string]int64  // item id to the change in which its rights changed last
	readOnly  map[string]bool   // folders that take no writes
	grants    map[string][]permission
	by        object // see person
}

// change says that an item changed. Only the newest change of an item counts.
type change struct {
	seq int64
	at  time.Time
	it  *item
}

type item struct {
	id       string
	n        uint64
	parent   *item
	name     string
	folder   bool
	pkg      bool
	remote   *remote // of a shortcut
	malware  bool
	children map[string]*item // by key
	key      string           // in the folder; see attach
	sorted   []string         // keys of children in order; nil if not known

	body      *body
	size      int64 // of a folder: of everything below
	meta      int   // counter of the eTag
	content   int   // counter of the cTag
	created   time.Time
	modified  time.Time
	fsCreated time.Time
	fsMod     time.Time
	seq       int64
	deleted   bool
	old       []version // newest last
	label     int       // number of the current version
}

// remote is what a shortcut stands for: an item of another drive.
type remote struct {
	Drive, ID string
}

type version struct {
	label    int
	body     *body
	modified time.Time
}

// newDrive makes an empty drive.
func (s *Server) newDrive(kind, title string, number uint64) *Drive {
	d := &Drive{s: s, kind: kind, title: title, total: 1 << 40, epoch: 1,
		items: map[string]*item{}, bin: map[string]*item{}, locks: map[string]int{}, readOnly: map[string]bool{}, checkouts: map[string]checkout{}, fields: map[string]object{}, sharedAt: map[string]int64{}, grants: map[string][]permission{}}
	d.created = s.now()
	seed := mix(s.opts.Seed, number+0xd21e)
	if kind == Personal {
		d.id = fmt.Sprintf("%016X", seed>>4|1<<58) // such ids may begin with a zero
	} else {
		var raw [48]byte
		for i := range 6 {
			binary.BigEndian.PutUint64(raw[8*i:], mix(seed, uint64(i)))
		}
		d.id = "b!" + base64.RawURLEncoding.EncodeToString(raw[:])
	}
	d.root = d.newItem("root", true, s.now())
	d.items[d.root.id] = d.root
	d.touch(d.root, s.now())
	return d
}

// newItem makes an item that is nowhere yet.
func (d *Drive) newItem(name string, folder bool, now time.Time) *item {
	it := &item{n: d.next, name: name, folder: folder, meta: 1, content: 1, label: 1,
		created: now, modified: now, fsCreated: d.clip(now), fsMod: d.clip(now)}
	d.next++
	it.id = d.itemID(it.n)
	if folder {
		it.children = map[string]*item{}
	}
	return it
}

// touch writes an item into the change feed.
func (d *Drive) touch(it *item, now time.Time) {
	d.seq++
	it.seq = d.seq
	d.log = append(d.log, change{d.seq, now, it})
	d.notify()
	if len(d.log) > 2*(len(d.items)+len(d.bin))+1000 {
		d.log = slices.DeleteFunc(d.log, func(c change) bool { return c.it.seq != c.seq })
	}
}

// bump counts a change of an item: of its metadata, and of its content too if content is set.
func (d *Drive) bump(it *item, content bool, now time.Time) {
	it.meta++
	it.modified = now
	if content {
		it.content++
	}
	if d.kind == Personal {
		for p := it.parent; p != nil; p = p.parent {
			p.content++
		}
	}
	d.touch(it, now)
}

// child returns the child of a folder by name, or nil: of twins the one that is spelled so.
func (it *item) child(name string) *item {
	if kid := it.children[twinKey(name)]; kid != nil {
		return kid
	}
	return it.children[fold(name)]
}

// twinKey is the key of a name that somebody has already in another spelling.
func twinKey(name string) string { return fold(name) + "\x00" + name }

// keys returns the keys of the children in order.
func (it *item) keys() []string {
	if it.sorted == nil {
		it.sorted = make([]string, 0, len(it.children))
		for k := range it.children {
			it.sorted = append(it.sorted, k)
		}
		slices.Sort(it.sorted)
	}
	return it.sorted
}

// attach puts an item under a folder. The name must be free, but for Misname, which makes a twin of it.
func (d *Drive) attach(it, parent *item) {
	parent.take(it)
	parent.sorted = nil
	grow(parent, it.size)
}

func (it *item) take(kid *item) {
	if kid.parent, kid.key = it, fold(kid.name); it.children[kid.key] != nil {
		kid.key = twinKey(kid.name)
	}
	it.children[kid.key] = kid
}

func (d *Drive) detach(it *item) {
	delete(it.parent.children, it.key)
	it.parent.sorted = nil
	grow(it.parent, -it.size)
}

func grow(folder *item, n int64) {
	for ; folder != nil; folder = folder.parent {
		folder.size += n
	}
}

// each calls f for an item and everything below it, parents first.
func (it *item) each(f func(*item)) {
	f(it)
	if it.folder {
		for _, k := range it.keys() {
			it.children[k].each(f)
		}
	}
}

// path returns the place of an item from the root, "/" for the root.
func (it *item) path() string {
	if it.parent == nil {
		return "/"
	}
	var parts []string
	for ; it.parent != nil; it = it.parent {
		parts = append(parts, it.name)
	}
	slices.Reverse(parts)
	return "/" + strings.Join(parts, "/")
}

// find follows a path from an item. It returns nil if any part of it is missing. A segment "." is
// no step, as in any URL.
func (it *item) find(path string) *item {
	for name := range strings.SplitSeq(path, "/") {
		if name == "" || name == "." {
			continue
		}
		if it = it.child(name); it == nil {
			return nil
		}
	}
	return it
}

// checkPlace says whether a name may stand in a folder at all.
func (d *Drive) checkPlace(parent *item, name string, folder bool) error {
	if why := badName(name, folder, parent == d.root, d.kind == DocumentLibrary); why != "" {
		return &apiError{status: http.StatusBadRequest, code: "invalidRequest", inner: "invalidPath", msg: why}
	}
	n := utf8.RuneCountInString(d.webPath) + utf8.RuneCountInString(parent.path()) + utf8.RuneCountInString(name)
	if parent != d.root {
		n++
	}
	if n > 400 {
		return &apiError{status: http.StatusBadRequest, code: "invalidRequest", inner: "pathIsTooLong",
			msg: "The path is too long."}
	}
	return nil
}

// freeName returns name, or "name 1", "name 2", … before the extension if it is taken.
func freeName(parent *item, name string, folder bool) string {
	stem, ext := name, ""
	if i := strings.LastIndexByte(name, '.'); i > 0 && !folder {
		stem, ext = name[:i], name[i:]
	}
	for i := 1; ; i++ {
		if c := fmt.Sprintf("%s %d%s", stem, i, ext); parent.child(c) == nil {
			return c
		}
	}
}

// mkdir makes a folder, ruled by a conflict behaviour. made is false if "replace" found one.
func (d *Drive) mkdir(parent *item, name, behaviour string, now time.Time) (it *item, made bool, err error) {
	if !parent.folder {
		return nil, false, errNotFound()
	}
	if err := d.checkPlace(parent, name, true); err != nil {
		return nil, false, err
	}
	if was := parent.child(name); was != nil {
		switch {
		case behaviour == "rename":
			name = freeName(parent, name, true)
		case behaviour == "replace" && was.folder:
			return was, false, nil
		default:
			return nil, false, errExists()
		}
	} else if err := d.similar(parent, name, nil); err != nil {
		return nil, false, err
	}
	it = d.newItem(name, true, now)
	d.items[it.id] = it
	d.attach(it, parent)
	d.touch(it, now)
	return it, true, nil
}

// write makes a file or replaces the bytes of one, ruled by a conflict behaviour.
func (d *Drive) write(parent *item, name, behaviour string, b *body, t times, now time.Time) (it *item, made bool, err error) {
	if !parent.folder {
		return nil, false, errNotFound()
	}
	was := parent.child(name)
	if was == nil || was.name != name { // which is given anew to nobody
		if err := d.checkPlace(parent, name, false); err != nil {
			return nil, false, err
		}
	}
	switch {
	case was != nil && behaviour == "rename":
		name = freeName(parent, name, false)
	case was != nil && (behaviour == "fail" || was.body == nil):
		return nil, false, errExists()
	case was != nil:
		return was, false, d.replace(was, b, t, now)
	}
	if err := d.similar(parent, name, was); err != nil {
		return nil, false, err
	}
	if err := d.room(b.size); err != nil {
		return nil, false, err
	}
	it = d.newItem(name, false, now)
	it.body, it.size = b, b.size
	if err := d.obey(it, true); err != nil {
		return nil, false, err
	}
	d.used += b.size
	t.set(d, it, now)
	d.items[it.id] = it
	d.attach(it, parent)
	d.touch(it, now)
	return it, true, nil
}

// replace gives a file new bytes.
func (d *Drive) replace(it *item, b *body, t times, now time.Time) error {
	if it.body == nil {
		return &apiError{status: http.StatusBadRequest, code: "invalidRequest", msg: "The item is not a file."}
	}
	if err := d.locked(it); err != nil {
		return err
	}
	if err := errors.Join(d.room(b.size), d.obey(it, false)); err != nil {
		return err
	}
	d.keep(it)
	grow(it.parent, b.size-it.size)
	d.used += b.size
	it.body, it.size = b, b.size
	it.fsMod = d.clip(now)
	t.set(d, it, now)
	d.bump(it, true, now)
	return nil
}

// keep files the current bytes of an item as an old version.
func (d *Drive) keep(it *item) {
	it.old = append(it.old, version{it.label, it.body, it.modified})
	if len(it.old) > 499 {
		it.old = it.old[1:]
	}
	it.label++
}

// move renames an item, gives it another parent, or both.
func (d *Drive) move(it, parent *item, name, behaviour string, now time.Time) error {
	if it == d.root {
		return &apiError{status: http.StatusBadRequest, code: "invalidRequest", msg: "The root cannot be moved."}
	}
	if parent == it.parent && name == it.name {
		return nil
	}
	if !parent.folder {
		return errNotFound()
	}
	if err := d.locked(it); err != nil {
		return err
	}
	for p := parent; p != nil; p = p.parent {
		if p == it {
			return &apiError{status: http.StatusBadRequest, code: "invalidRequest", msg: "A folder cannot be moved into itself."}
		}
	}
	if name != it.name {
		if err := d.checkPlace(parent, name, it.folder); err != nil {
			return err
		}
	}
	switch was := parent.child(name); {
	case was == nil:
		if err := d.similar(parent, name, it); err != nil {
			return err
		}
	case was == it:
		// Spelling it in another Unicode form collides with itself (rclone issue 8634).
		if name != it.name && sameForm(name, it.name) {
			return errExists()
		}
	case behaviour == "rename":
		name = freeName(parent, name, it.folder)
	case behaviour == "replace" && !was.folder && !it.folder:
		if err := d.locked(was); err != nil {
			return err
		}
		d.remove(was, now)
	default:
		return errExists()
	}
	d.detach(it)
	it.name = name
	d.attach(it, parent)
	if d.s.quirks.MoveResetsTime || d.s.odd(30) {
		it.fsMod = d.clip(now)
	}
	d.bump(it, false, now)
	return nil
}

// remove puts an item and everything below it into the recycle bin.
func (d *Drive) remove(it *item, now time.Time) {
	d.detach(it)
	d.bin[it.id] = it
	it.each(func(x *item) {
		delete(d.items, x.id)
		x.deleted = true
		if x == it || d.s.opts.TombstoneChildren {
			d.touch(x, now)
		}
	})
	d.binned += it.size
}

// restore takes an item out of the recycle bin, to where it was.
func (d *Drive) restore(it *item, now time.Time) error {
	if it.parent.deleted {
		return errNotFound()
	}
	if it.parent.child(it.name) != nil {
		return errExists()
	}
	delete(d.bin, it.id)
	d.binned -= it.size
	d.attach(it, it.parent)
	it.each(func(x *item) {
		x.deleted = false
		d.items[x.id] = x
		d.touch(x, now)
	})
	return nil
}

// held is what the sessions of other uploads take of the space: what they have received, if the
// catalogue says so (Q20).
func (d *Drive) held() (n int64) {
	if d.s.odds[20] == nil {
		return 0
	}
	for _, u := range d.s.sessions {
		if u.d == d && u.have != u.total {
			n += u.have
		}
	}
	return n
}

// room fails if n more bytes do not fit.
func (d *Drive) room(n int64) error {
	if d.total > 0 && d.used+d.held()+n > d.total {
		return &apiError{status: http.StatusInsufficientStorage, code: "quotaLimitReached", inner: "insufficientStorage",
			msg: "The drive has no space left."}
	}
	return nil
}

// clip cuts a time to the precision of the drive.
func (d *Drive) clip(t time.Time) time.Time {
	if d.kind == Personal {
		return t.UTC().Truncate(time.Millisecond)
	}
	return t.UTC().Truncate(time.Second)
}

// times are the moments a client gives a file; zero ones are not given.
type times struct{ created, modified time.Time }

func (t times) set(d *Drive, it *item, now time.Time) {
	if !t.created.IsZero() {
		it.fsCreated = d.clip(t.created)
	}
	if !t.modified.IsZero() {
		it.fsMod = d.clip(t.modified)
	}
}
