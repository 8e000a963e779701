package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// maxFindings is where Check stops telling more of the same.
const maxFindings = 200

// Check recomputes every invariant and returns what does not hold, nothing if all is well.
func (s *Store) Check(ctx context.Context) ([]string, error) {
	// A job runs in parts, between which an index may lag: Check while one runs may find what is gone
	// a moment later.
	s.mu.Lock()
	until := s.inos.until
	s.mu.Unlock()
	c := checker{
		s: s, ctx: ctx, until: Ino(until),
		nodes: map[Ino]*Node{}, rows: map[string][]byte{},
		places: map[string][]graph.ItemID{}, counts: map[DriveNum]counts{},
	}
	err := s.view(func(x *tx) error {
		c.x = x
		return errors.Join(c.load(), c.derive(), c.compare(), c.orphanXattrs(), c.copies())
	})
	if err != nil {
		return nil, err
	}
	if err := c.bodies(); err != nil {
		return nil, err
	}
	return c.found, nil
}

// checker derives all index rows from the nodes and pending deletions, and compares.
type checker struct {
	s   *Store
	ctx context.Context //nolint:containedctx // lives for one Check
	x   *tx

	until Ino // numbers from here on were not given out when the check began

	nodes  map[Ino]*Node
	rows   map[string][]byte // expected index rows
	places map[string][]graph.ItemID
	counts map[DriveNum]counts
	found  []string
}

func (c *checker) find(format string, args ...any) {
	if len(c.found) < maxFindings {
		c.found = append(c.found, fmt.Sprintf(format, args...))
	}
}

func (c *checker) load() error {
	return c.x.each([]byte{rowNode}, nil, func(k, v []byte) (bool, error) {
		n, err := decodeNode(inoOfKey(k), v)
		if err != nil {
			c.find("node %d: %v", inoOfKey(k), err)
			return true, nil
		}
		c.nodes[n.Ino] = &n
		return true, c.ctx.Err()
	})
}

func (c *checker) expect(key, value []byte) {
	k := string(key)
	if _, twice := c.rows[k]; twice {
		c.find("two nodes or items claim the row %q", k)
	}
	c.rows[k] = value
}

// derive computes what the index rows must be.
func (c *checker) derive() error {
	for ino, n := range c.nodes {
		if err := c.node(ino, n); err != nil {
			return err
		}
	}
	err := c.x.each([]byte{rowGone}, nil, func(k, v []byte) (bool, error) {
		g, err := decodeGone(v)
		if err != nil {
			c.find("pending deletion %q: %v", k, err)
			return true, nil
		}
		d, id := DriveNum(number(append(make([]byte, 4), k[1:5]...))), itemOfKey(k)
		if g.Base.Item != id {
			c.find("the pending deletion of item %s has the base of item %s", id, g.Base.Item)
		}
		if owner, err := c.x.ownerIno(d, id); err != nil {
			return false, err
		} else if owner != 0 {
			c.find("item %s is pending deletion, and node %d has it", id, owner)
		}
		if g.Sent.IsZero() {
			c.atPlace(d, &g.Base)
			c.count(d, 1, 0)
		}
		return true, c.ctx.Err()
	})
	if err != nil {
		return err
	}
	for key, ids := range c.places {
		slices.Sort(ids)
		c.rows[key] = encodeItems(ids)
	}
	return nil
}

func (c *checker) count(d DriveNum, known, local int64) {
	n := c.counts[d]
	n.known += known
	n.localOnly += local
	c.counts[d] = n
}

func (c *checker) atPlace(d DriveNum, b *Base) {
	if b.Parent != "" {
		key := string(placeKey(d, basePlace(b)))
		c.places[key] = append(c.places[key], b.Item)
	}
}

func (c *checker) node(ino Ino, n *Node) error {
	be := func(ok bool, what string) {
		if !ok {
			c.find("node %d (%q) %s", ino, n.Name, what)
		}
	}
	drive := c.x.drive(n.Drive)
	be(drive.Num != 0, "is of an unknown drive")
	be(n.Parent != 0 || n.Removed || drive.Root == ino, "has no folder and is no root")
	be(ino < c.until+leaseSize && ino >= firstIno, "has a number that was not given out")
	be(n.Dir || n.Base != nil || n.Written, "has neither base nor local bytes")
	be(!n.Dir || !n.Written, "is a folder with bytes")
	be(n.Base == nil || n.Base.Dir == n.Dir, "has a base of another type")
	be(n.Base == nil || goodID(n.Base.Item), "has a base without an item")
	be(n.Marked <= n.Seq, "was marked after its last change")
	if n.Removed {
		be(n.Parent == 0, "is removed and has a folder")
		waits, err := c.x.has(dropKey(ino))
		if err != nil {
			return err
		}
		be(waits, "is removed, and nothing will erase it")
	}
	if placed(n) {
		if err := c.placedNode(ino, n, be); err != nil {
			return err
		}
	}
	if owns(n) {
		c.expect(itemKey(rowItem, n.Drive, n.Base.Item), inoValue(ino))
		c.atPlace(n.Drive, n.Base)
		c.count(n.Drive, 1, 0)
	}
	if isTwin(n) {
		c.expect(itemKey(rowTwin, n.Drive, n.Base.Item), nil)
	}
	return nil
}

func inoValue(ino Ino) []byte { return inoKey(0, ino)[1:] }

func (c *checker) placedNode(ino Ino, n *Node, be func(bool, string)) error {
	p := c.nodes[n.Parent]
	if p == nil {
		be(false, fmt.Sprintf("is in folder %d, which does not exist", n.Parent))
		return nil
	}
	be(p.Dir, "is in something that is no folder")
	be(!p.Removed, "is in a removed folder")
	be(p.Drive == n.Drive, "is in a folder of another drive")
	be(!p.LocalOnly || n.LocalOnly, "is sent, and its folder is not")
	be(name.Safe(n.Name) || n.LocalOnly, "has an unsafe name")
	steps := 0
	for at := n; at != nil && at.Parent != 0 && steps < maxDepth; at = c.nodes[at.Parent] {
		if steps++; at.Parent == ino {
			be(false, "is inside itself")
			return nil
		}
	}
	c.expect(childKey(n.Parent, name.Fold(n.Name)), inoValue(ino))
	c.expect(orderKey(n.Parent, ino), nil)
	if n.LocalOnly {
		c.count(n.Drive, 0, 1)
	}
	item := graph.ItemID("")
	if owns(p) {
		item = p.Base.Item
	}
	d := n.Diff(item)
	be(d.Any() != n.Since.IsZero(), "is dirty without a time, or clean with one")
	be(d.Any() || n.Deferred == nil, "is clean and deferred")
	if d.Any() {
		r := dirtyRow{Since: n.Since, Deferred: n.Deferred != nil}
		if d.Bytes {
			r.Bytes = n.Size
		}
		c.expect(dirtyKey(n.Drive, ino), encodeDirty(r))
	}
	return nil
}

// compare compares what was derived with what is there.
func (c *checker) compare() error {
	for _, kind := range []byte{rowChild, rowOrder, rowItem, rowPlace, rowTwin, rowDirty} {
		err := c.x.each([]byte{kind}, nil, func(k, v []byte) (bool, error) {
			want, ok := c.rows[string(k)]
			if kind == rowPlace {
				if ids, err := decodeItems(v); err == nil {
					slices.Sort(ids)
					v = encodeItems(ids)
				}
			}
			switch {
			case !ok:
				c.find("row %q should not be", k)
			case !bytes.Equal(want, v):
				c.find("row %q is %q and should be %q", k, v, want)
			}
			delete(c.rows, string(k))
			return true, c.ctx.Err()
		})
		if err != nil {
			return err
		}
	}
	for k := range c.rows {
		c.find("row %q is missing", k)
	}
	for num, d := range c.x.known {
		have, err := c.x.readCounts(num)
		if err != nil {
			return err
		}
		if have != c.counts[num] {
			c.find("drive %d counts %+v and should count %+v", num, have, c.counts[num])
		}
		if root := c.nodes[d.Root]; root == nil || !root.Dir || root.Parent != 0 || !owns(root) {
			c.find("the root of drive %d is no root folder", num)
		}
	}
	return nil
}

// bodies compares nodes with bodies. A body may lag behind its node for a moment, so what looks
// wrong is looked at again.
func (c *checker) bodies() error {
	for ino, n := range c.nodes {
		if n.Dir || n.Removed {
			continue
		}
		if err := c.ctx.Err(); err != nil {
			return err
		}
		wrong, err := c.body(ino)
		if err != nil {
			return err
		}
		if wrong != "" {
			c.find("node %d (%q) %s", ino, n.Name, wrong)
		}
	}
	return c.strays()
}

func (c *checker) body(ino Ino) (string, error) {
	i, err := c.s.content.Info(uint64(ino))
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return "", err
	}
	n, err := c.s.Tree().Get(ino)
	if err != nil || n.Removed {
		return "", nil
	}
	if c.s.Tree().Held(ino) > 0 {
		return "", nil // between a Mark and its write, or a Create and its body
	}
	switch {
	case n.Written && missing:
		return "has lost its local bytes", nil
	case n.Written && !i.Local:
		return "is written, and its body is not local work", nil
	case !n.Written && !missing && i.Local:
		return "is not written, and its body is local work", nil
	}
	return "", nil
}

// strays finds local work that no node has.
func (c *checker) strays() error {
	reported := map[Ino]bool{} // kept, and people know
	for num := range *c.s.drives.Load() {
		reports, err := c.s.Reports(num).Reports(keptNumbered)
		if err != nil {
			return err
		}
		for _, r := range reports {
			reported[r.Ino] = reported[r.Ino] || r.Kind == kindRecovered
		}
	}
	locals, err := c.s.locals(c.ctx)
	if err != nil {
		return err
	}
	for _, i := range locals {
		if c.nodes[Ino(i.Ino)] == nil && !reported[Ino(i.Ino)] {
			if _, err := c.s.Tree().Get(Ino(i.Ino)); errors.Is(err, ErrNotExist) {
				c.find("body %d (%q) is local work of no node", i.Ino, i.Tag.Path)
			}
		}
	}
	return nil
}
