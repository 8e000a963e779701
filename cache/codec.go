package cache

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// codecVersion is the first byte of every row in binary form.
const codecVersion = 1

// encoder appends values in a form that needs no field names. Rows that are few are JSON instead.
type encoder []byte

func (e *encoder) uint(v uint64) { *e = binary.AppendUvarint(*e, v) }
func (e *encoder) int(v int64)   { *e = binary.AppendVarint(*e, v) }

func (e *encoder) str(s string) {
	e.uint(uint64(len(s)))
	*e = append(*e, s...)
}

// time writes nanoseconds, with 0 for the zero time.
func (e *encoder) time(t time.Time) {
	if t.IsZero() {
		e.int(0)
		return
	}
	n := t.UnixNano()
	if n == 0 {
		n = 1
	}
	e.int(n)
}

// decoder reads what encoder wrote. The first error sticks.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.b, d.err = nil, ErrDamaged
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.b, d.err = nil, ErrDamaged
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) str() string {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.b, d.err = nil, ErrDamaged
		return ""
	}
	s := string(d.b[:n])
	d.b = d.b[n:]
	return s
}

func (d *decoder) time() time.Time {
	n := d.int()
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// begin checks the version byte of a row.
func (d *decoder) begin() {
	if len(d.b) == 0 || d.b[0] != codecVersion {
		d.b, d.err = nil, ErrDamaged
		return
	}
	d.b = d.b[1:]
}

func (d *decoder) end(what string) error {
	if d.err == nil && len(d.b) != 0 {
		d.err = ErrDamaged
	}
	if d.err != nil {
		return fmt.Errorf("%s: %w", what, d.err)
	}
	return nil
}

// plain makes a time comparable with one that was stored: no monotonic part, UTC.
func plain(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.Round(0).UTC()
}

const (
	flagDir = 1 << iota
	flagLocalOnly
	flagRemoved
	flagWritten
	flagBase
	flagDeferred
	flagBaseName // the base has a name of its own
	flagBaseDir
	flagParked
	flagEmptied
)

func encodeNode(n *Node) []byte {
	var flags uint64
	set := func(on bool, f uint64) {
		if on {
			flags |= f
		}
	}
	set(n.Dir, flagDir)
	set(n.LocalOnly, flagLocalOnly)
	set(n.Removed, flagRemoved)
	set(n.Written, flagWritten)
	set(n.Emptied && n.Written, flagEmptied)
	set(n.Base != nil, flagBase)
	set(n.Deferred != nil, flagDeferred)
	set(n.parked != "", flagParked)
	if n.Base != nil {
		set(n.Base.Name != n.Name, flagBaseName)
		set(n.Base.Dir, flagBaseDir)
	}
	e := encoder(append(make([]byte, 0, 320), codecVersion))
	e.uint(flags)
	e.uint(uint64(n.Listing))
	e.uint(uint64(n.Drive))
	e.uint(uint64(n.Parent))
	e.str(n.Name)
	e.uint(uint64(n.Mode))
	e.uint(uint64(n.UID))
	e.uint(uint64(n.GID))
	e.time(n.Atime)
	e.time(n.Ctime)
	e.int(n.Size)
	e.time(n.Mtime)
	e.uint(uint64(n.Seq))
	e.uint(uint64(n.Marked))
	e.time(n.Since)
	e.time(n.left)
	if n.Base != nil {
		if n.Base.Name != n.Name {
			e.str(n.Base.Name)
		}
		e.base(n.Base)
	}
	if n.Deferred != nil {
		e.deferral(n.Deferred)
	}
	if n.parked != "" {
		e.str(n.parked)
	}
	return e
}

func decodeNode(ino Ino, b []byte) (Node, error) {
	d := decoder{b: b}
	d.begin()
	flags := d.uint()
	n := Node{
		Ino: ino, Dir: flags&flagDir != 0, LocalOnly: flags&flagLocalOnly != 0,
		Removed: flags&flagRemoved != 0, Written: flags&flagWritten != 0,
		Emptied: flags&flagEmptied != 0,
	}
	n.Listing = Listing(d.uint())
	n.Drive = DriveNum(d.uint())
	n.Parent = Ino(d.uint())
	n.Name = d.str()
	n.Mode = uint32(d.uint())
	n.UID = uint32(d.uint())
	n.GID = uint32(d.uint())
	n.Atime = d.time()
	n.Ctime = d.time()
	n.Size = d.int()
	n.Mtime = d.time()
	n.Seq = Seq(d.uint())
	n.Marked = Seq(d.uint())
	n.Since = d.time()
	n.left = d.time()
	if flags&flagBase != 0 {
		n.Base = &Base{Name: n.Name, Dir: flags&flagBaseDir != 0}
		if flags&flagBaseName != 0 {
			n.Base.Name = d.str()
		}
		d.base(n.Base)
	}
	if flags&flagDeferred != 0 {
		n.Deferred = d.deferral()
	}
	if flags&flagParked != 0 {
		n.parked = d.str()
	}
	return n, d.end("node")
}

// base writes all of a base but Name and Dir, which the caller keeps more cheaply.
func (e *encoder) base(b *Base) {
	e.str(string(b.Item))
	e.str(string(b.Parent))
	e.str(b.ETag)
	e.str(b.CTag)
	e.str(string(b.Hash))
	e.int(b.Size)
	e.time(b.ModTime)
	e.uint(uint64(len(b.Past)))
	for _, p := range b.Past {
		e.str(p)
	}
	e.time(b.At)
}

func (d *decoder) base(b *Base) {
	b.Item = graph.ItemID(d.str())
	b.Parent = graph.ItemID(d.str())
	b.ETag = d.str()
	b.CTag = d.str()
	b.Hash = graph.Hash(d.str())
	b.Size = d.int()
	b.ModTime = d.time()
	n := d.uint()
	for range min(n, pastTags) {
		b.Past = append(b.Past, d.str())
	}
	b.At = d.time()
}

func (e *encoder) deferral(x *Deferral) {
	e.str(string(x.Kind))
	e.str(x.Reason)
	e.time(x.At)
	e.int(int64(x.Tries))
	e.time(x.Next)
}

func (d *decoder) deferral() *Deferral {
	return &Deferral{
		Kind: graph.Kind(d.str()), Reason: d.str(), At: d.time(), Tries: int(d.int()), Next: d.time(),
	}
}

func encodeGone(g *Gone) []byte {
	e := encoder(append(make([]byte, 0, 320), codecVersion))
	var flags uint64
	if g.Base.Dir {
		flags |= flagBaseDir
	}
	if g.Deferred != nil {
		flags |= flagDeferred
	}
	e.uint(flags)
	e.str(g.Base.Name)
	e.base(&g.Base)
	e.uint(uint64(g.Ino))
	e.str(g.Path)
	e.time(g.At)
	e.time(g.Sent)
	e.uint(uint64(g.Seq))
	e.time(g.left)
	if g.Deferred != nil {
		e.deferral(g.Deferred)
	}
	return e
}

func decodeGone(b []byte) (Gone, error) {
	d := decoder{b: b}
	d.begin()
	flags := d.uint()
	g := Gone{Base: Base{Name: d.str(), Dir: flags&flagBaseDir != 0}}
	d.base(&g.Base)
	g.Ino = Ino(d.uint())
	g.Path = d.str()
	g.At = d.time()
	g.Sent = d.time()
	g.Seq = Seq(d.uint())
	g.left = d.time()
	if flags&flagDeferred != 0 {
		g.Deferred = d.deferral()
	}
	return g, d.end("pending deletion")
}

// dirtyRow is what Pending and View's order want to know of a dirty node without reading it.
type dirtyRow struct {
	Since    time.Time
	Bytes    int64 // to be sent
	Deferred bool
}

func encodeDirty(r dirtyRow) []byte {
	e := encoder{codecVersion}
	e.time(r.Since)
	e.int(r.Bytes)
	var flags uint64
	if r.Deferred {
		flags = 1
	}
	e.uint(flags)
	return e
}

func decodeDirty(b []byte) (dirtyRow, error) {
	d := decoder{b: b}
	d.begin()
	r := dirtyRow{Since: d.time(), Bytes: d.int()}
	r.Deferred = d.uint() != 0
	return r, d.end("dirty row")
}

func encodeItem(i *graph.Item) []byte {
	e := encoder(append(make([]byte, 0, 320), codecVersion))
	var flags uint64
	if i.Root {
		flags |= 1
	}
	if i.Deleted {
		flags |= 2
	}
	e.uint(flags)
	e.uint(uint64(i.Type))
	e.str(string(i.Parent))
	e.str(i.Name)
	e.int(i.Size)
	e.str(i.ETag)
	e.str(i.CTag)
	e.str(string(i.Hash))
	e.time(i.ModTime)
	e.time(i.Created)
	e.str(i.WebURL)
	return e
}

func decodeItem(id graph.ItemID, b []byte) (graph.Item, error) {
	d := decoder{b: b}
	d.begin()
	flags := d.uint()
	i := graph.Item{ID: id, Root: flags&1 != 0, Deleted: flags&2 != 0, Type: graph.Type(d.uint())}
	i.Parent = graph.ItemID(d.str())
	i.Name = d.str()
	i.Size = d.int()
	i.ETag = d.str()
	i.CTag = d.str()
	i.Hash = graph.Hash(d.str())
	i.ModTime = d.time()
	i.Created = d.time()
	i.WebURL = d.str()
	return i, d.end("inbox item")
}

// encodeItems writes the set of items whose base place is the same; mostly there is one.
func encodeItems(ids []graph.ItemID) []byte {
	e := encoder{codecVersion}
	for _, id := range ids {
		e.str(string(id))
	}
	return e
}

func decodeItems(b []byte) ([]graph.ItemID, error) {
	d := decoder{b: b}
	d.begin()
	var ids []graph.ItemID
	for len(d.b) > 0 && d.err == nil {
		ids = append(ids, graph.ItemID(d.str()))
	}
	return ids, d.end("base place")
}

func encodeJSON(v any) ([]byte, error) { return json.Marshal(v) }

func decodeJSON(b []byte, v any) error {
	if err := json.Unmarshal(b, v); err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return nil
}
