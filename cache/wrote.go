package cache

import "time"

// Wrote is Settle for who also knows when the body was last written: Ctime becomes that, so that a
// file looks the same before and after it is closed. Older times are not taken.
func (t *Tree) Wrote(ino Ino, size int64, mtime, written time.Time) (n Node, err error) {
	mtime, written = plain(mtime), plain(written)
	settled := func(n Node) bool {
		return n.Dir || !n.Written || n.Size == size && n.Mtime.Equal(mtime) && !written.After(n.Ctime)
	}
	if n, err = t.Get(ino); err != nil || settled(n) {
		return n, err
	}
	err = t.s.update(grows, func(x *tx) error {
		if n, err = x.node(ino); err != nil || settled(n) {
			return err
		}
		n.Size, n.Mtime = size, mtime
		if written.After(n.Ctime) {
			n.Ctime = written
		}
		n, err = x.setNode(n)
		return err
	})
	return n, err
}
