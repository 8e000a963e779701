package cache

import (
	"bytes"
	"errors"
	"slices"
)

// MaxXattr is the size of the largest value of an extended attribute, in bytes.
const MaxXattr = 64 << 10

// maxXattrName is the longest name of an extended attribute, in bytes, as Linux has it.
const maxXattrName = 255

// maxXattrList is how many bytes the names of all extended attributes of a node may have, each with
// an end of its own, as Linux has it.
const maxXattrList = 64 << 10

// Errors of extended attributes.
var (
	// ErrNoXattr: the node has no extended attribute of that name.
	ErrNoXattr = errors.New("no such extended attribute")
	// ErrXattrTooBig: the value, or all the names together, are longer than may be.
	ErrXattrTooBig = errors.New("extended attribute too long")
)

// XattrFlags restrict what SetXattr does.
type XattrFlags uint

const (
	// XattrCreate fails with ErrExist if there is an attribute of that name.
	XattrCreate XattrFlags = 1 << iota
	// XattrReplace fails with ErrNoXattr if there is none.
	XattrReplace
)

// Xattr returns the value of an extended attribute. Extended attributes are local: they belong to
// the node, move with it, are never sent, and go with it. ErrNotExist, ErrNoXattr.
func (t *Tree) Xattr(ino Ino, name string) (value []byte, err error) {
	err = t.s.view(func(x *tx) error {
		if _, err := x.node(ino); err != nil {
			return err
		}
		v, err := x.value(xattrKey(ino, name))
		if err == nil && v == nil {
			err = ErrNoXattr
		}
		value = bytes.Clone(v)
		return err
	})
	return value, err
}

// Xattrs returns the names of the extended attributes of a node, sorted. ErrNotExist.
func (t *Tree) Xattrs(ino Ino) (names []string, err error) {
	err = t.s.view(func(x *tx) error {
		if _, err := x.node(ino); err != nil {
			return err
		}
		names, err = x.xattrs(ino)
		return err
	})
	return names, err
}

func (x *tx) xattrs(ino Ino) ([]string, error) {
	keys, err := x.keys(inoKey(rowXattr, ino), nil, 0)
	names := make([]string, 0, len(keys))
	for _, k := range keys {
		names = append(names, string(k[9:]))
	}
	return names, err
}

// SetXattr gives an extended attribute a value of up to MaxXattr bytes. It is no change that is ever
// sent; the node's Ctime moves. ErrNotExist, ErrExist, ErrNoXattr, ErrXattrTooBig, ErrName,
// ErrNameTooLong, ErrNoSpace.
func (t *Tree) SetXattr(ino Ino, name string, value []byte, f XattrFlags) error {
	switch {
	case name == "" || bytes.IndexByte([]byte(name), 0) >= 0:
		return ErrName
	case len(name) > maxXattrName:
		return ErrNameTooLong
	case len(value) > MaxXattr:
		return ErrXattrTooBig
	}
	return t.s.update(grows, func(x *tx) error {
		n, err := x.node(ino)
		if err != nil {
			return err
		}
		names, err := x.xattrs(ino)
		if err != nil {
			return err
		}
		has := slices.Contains(names, name)
		switch {
		case has && f&XattrCreate != 0:
			return ErrExist
		case !has && f&XattrReplace != 0:
			return ErrNoXattr
		}
		if !has {
			list := len(name) + 1
			for _, other := range names {
				list += len(other) + 1
			}
			if list > maxXattrList {
				return ErrXattrTooBig
			}
		}
		x.s.xattrs = somethingThere
		if err := x.set(xattrKey(ino, name), append([]byte{}, value...)); err != nil {
			return err
		}
		n.Ctime = x.now
		_, err = x.setNode(n)
		return err
	})
}

// RemoveXattr takes an extended attribute away. ErrNotExist, ErrNoXattr.
func (t *Tree) RemoveXattr(ino Ino, name string) error {
	return t.s.update(shrinks, func(x *tx) error {
		n, err := x.node(ino)
		if err != nil {
			return err
		}
		if has, err := x.has(xattrKey(ino, name)); err != nil {
			return err
		} else if !has {
			return ErrNoXattr
		}
		if err := x.del(xattrKey(ino, name)); err != nil {
			return err
		}
		n.Ctime = x.now
		_, err = x.setNode(n)
		return err
	})
}

func xattrKey(ino Ino, name string) []byte { return append(inoKey(rowXattr, ino), name...) }

// presence says whether a store has rows of some kind, so that a store without any does not look
// for them again and again.
type presence uint8

const (
	notLooked presence = iota
	nothingThere
	somethingThere
)

// dropXattrs erases the extended attributes of the nodes that this transaction erased.
func (x *tx) dropXattrs() error {
	if len(x.erased) == 0 {
		return nil
	}
	if x.s.xattrs == notLooked {
		any, err := x.keys([]byte{rowXattr}, nil, 1)
		if err != nil {
			return err
		}
		x.s.xattrs = nothingThere
		if len(any) > 0 {
			x.s.xattrs = somethingThere
		}
	}
	if x.s.xattrs == nothingThere {
		return nil
	}
	for _, ino := range x.erased {
		keys, err := x.keys(inoKey(rowXattr, ino), nil, 0)
		if err != nil {
			return err
		}
		for _, k := range keys {
			if err := x.del(k); err != nil {
				return err
			}
		}
	}
	return nil
}

// orphanXattrs finds extended attributes whose node is gone.
func (c *checker) orphanXattrs() error {
	return c.x.each([]byte{rowXattr}, nil, func(k, _ []byte) (bool, error) {
		ino := inoOfKey(k[:9])
		if c.nodes[ino] == nil {
			c.find("there is an extended attribute %q of node %d, which is gone", k[9:], ino)
		}
		return true, c.ctx.Err()
	})
}
