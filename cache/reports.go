package cache

import (
	"errors"
	"time"

	"github.com/dgraph-io/badger/v4"
)

// Reports keeps what happened, for people: receipts of flushes and notes about conflicts.
type Reports struct {
	s     *Store
	drive DriveNum
}

// Receipt is the record of one flush.
type Receipt struct {
	Seq      uint64        `json:"seq"`
	Started  time.Time     `json:"started"`
	Ended    time.Time     `json:"ended"`
	Sent     int           `json:"sent"`
	Bytes    int64         `json:"bytes"`
	Steps    []ReceiptStep `json:"steps"`
	Deferred int           `json:"deferred"`
	Error    string        `json:"error,omitempty"` // why it ended early
	// Part: it was limited to some paths.
	Part bool `json:"part,omitempty"`
}

// ReceiptStep is one step of a flush.
type ReceiptStep struct {
	Op      string `json:"op"`
	Path    string `json:"path"`
	From    string `json:"from,omitempty"`
	Item    string `json:"item,omitempty"`
	Bytes   int64  `json:"bytes,omitempty"`
	Outcome string `json:"outcome"` // "sent", "unchanged", "deferred", "busy", "conflict", "skipped"
	Reason  string `json:"reason,omitempty"`
}

// AddReceipt stores a receipt and gives it its number. Of the oldest, those beyond some thousands
// are dropped.
func (r *Reports) AddReceipt(c Receipt) (Receipt, error) {
	err := r.s.update(shrinks, func(x *tx) error {
		var err error
		if c.Seq, err = x.nextNumber(rowReceipt, r.drive); err != nil {
			return err
		}
		return x.addNumbered(rowReceipt, r.drive, c.Seq, c)
	})
	return c, err
}

// Receipts returns the newest receipts, newest first.
func (r *Reports) Receipts(max int) (list []Receipt, err error) {
	err = r.s.view(func(x *tx) error {
		return x.newest(rowReceipt, r.drive, func(v []byte) (bool, error) {
			if len(list) >= max {
				return false, nil
			}
			var c Receipt
			if err := decodeJSON(v, &c); err != nil {
				return false, err
			}
			list = append(list, c)
			return true, nil
		})
	})
	return list, err
}

// Report is something that people should know of.
type Report struct {
	Seq  uint64    `json:"seq"`
	At   time.Time `json:"at"`
	Kind string    `json:"kind"` // Ruling.Report
	Path string    `json:"path"` // where our version is now
	Text string    `json:"text"`
	Ino  Ino       `json:"-"` // node that is concerned
	// Other is the node that has their version, 0 if there is none.
	Other Ino `json:"-"`
}

// Add records a report of a kind that no ruling makes.
func (r *Reports) Add(c Report) error {
	return r.s.update(shrinks, func(x *tx) error {
		x.report = append(x.report, reportDraft{drive: r.drive, kind: c.Kind, text: c.Text, ino: c.Ino, path: c.Path, other: c.Other})
		return nil
	})
}

// Settle takes a report from those that Conflicts returns.
func (r *Reports) Settle(seq uint64) error {
	return r.s.update(shrinks, func(x *tx) error {
		v, err := x.value(numberKey(rowReport, r.drive, seq))
		if err != nil || v == nil {
			return err
		}
		c, err := decodeReport(v)
		if err != nil {
			return err
		}
		b, err := encodeJSON(storedReport{Report: c, Node: c.Ino, Other: c.Other, Settled: true})
		if err != nil {
			return err
		}
		return x.set(numberKey(rowReport, r.drive, seq), b)
	})
}

// Reports returns the newest reports, newest first.
func (r *Reports) Reports(max int) (list []Report, err error) {
	err = r.s.view(func(x *tx) error {
		return x.newest(rowReport, r.drive, func(v []byte) (bool, error) {
			if len(list) >= max {
				return false, nil
			}
			c, err := decodeReport(v)
			list = append(list, c)
			return true, err
		})
	})
	return list, err
}

// Conflicts returns the reports that wait for a decision, with the path that our version has now: of
// kind "conflict" and "overwritten" while the copy exists, of kind "stuck" while the change is deferred.
func (r *Reports) Conflicts() (list []Report, err error) {
	err = r.s.view(func(x *tx) error {
		err := x.newest(rowReport, r.drive, func(v []byte) (bool, error) {
			var s storedReport
			err := decodeJSON(v, &s)
			switch s.Kind {
			case "conflict", "overwritten", "stuck":
				if !s.Settled {
					list = append(list, s.report())
				}
			}
			return true, err
		})
		if err != nil {
			return err
		}
		alive := list[:0]
		for _, c := range list {
			if c.Kind == "stuck" {
				if n, err := x.node(c.Ino); err == nil && n.Deferred == nil {
					continue
				}
			}
			switch path, err := x.path(c.Ino); {
			case err == nil:
				c.Path = path
				alive = append(alive, c)
			case !errors.Is(err, ErrNotExist):
				return err
			}
		}
		list = alive
		return nil
	})
	return list, err
}

// keptNumbered is how many reports and receipts a drive keeps of each.
const keptNumbered = 5000

// reportDraft is a report to be written when the transaction ends; its path is looked up then.
type reportDraft struct {
	drive DriveNum
	kind  string
	text  string
	ino   Ino    // node whose path is shown, 0 if it has none
	path  string // shown if ino has no path
	other Ino
}

// storedReport is a Report with all its fields.
type storedReport struct {
	Report
	Node    Ino  `json:"node"`
	Other   Ino  `json:"other,omitempty"`
	Settled bool `json:"settled,omitempty"`
}

func (s storedReport) report() Report {
	s.Ino, s.Report.Other = s.Node, s.Other
	return s.Report
}

func decodeReport(v []byte) (Report, error) {
	var s storedReport
	err := decodeJSON(v, &s)
	return s.report(), err
}

func (x *tx) writeReport(d reportDraft) error {
	path := d.path
	if d.ino != 0 {
		switch p, err := x.path(d.ino); {
		case err == nil:
			path = p
		case !errors.Is(err, ErrNotExist):
			return err
		}
	}
	seq, err := x.nextNumber(rowReport, d.drive)
	if err != nil {
		return err
	}
	r := storedReport{
		Report: Report{Seq: seq, At: x.now, Kind: d.kind, Path: path, Text: d.text},
		Node:   d.ino, Other: d.other,
	}
	return x.addNumbered(rowReport, d.drive, seq, r)
}

// nextNumber returns the number after the last row of a kind.
func (x *tx) nextNumber(kind byte, d DriveNum) (n uint64, err error) {
	n = 1
	err = x.backward(kind, d, func(key, _ []byte) (bool, error) {
		n = uint64(inoOfKey(key)) + 1
		return false, nil
	})
	return n, err
}

// addNumbered stores a row and drops the one that is too old by now.
func (x *tx) addNumbered(kind byte, d DriveNum, n uint64, v any) error {
	b, err := encodeJSON(v)
	if err != nil {
		return err
	}
	if n > keptNumbered {
		if err := x.del(numberKey(kind, d, n-keptNumbered)); err != nil {
			return err
		}
	}
	return x.set(numberKey(kind, d, n), b)
}

func (x *tx) newest(kind byte, d DriveNum, fn func(v []byte) (bool, error)) error {
	return x.backward(kind, d, func(_, v []byte) (bool, error) { return fn(v) })
}

// backward is each from the last row to the first.
func (x *tx) backward(kind byte, d DriveNum, fn func(key, value []byte) (bool, error)) error {
	prefix := drivePrefix(kind, d)
	it := x.t.NewIterator(badger.IteratorOptions{Prefix: prefix, Reverse: true})
	defer it.Close()
	for it.Seek(numberKey(kind, d, ^uint64(0))); it.Valid(); it.Next() {
		more := false
		err := it.Item().Value(func(v []byte) (err error) {
			more, err = fn(it.Item().Key(), v)
			return err
		})
		if err != nil || !more {
			return err
		}
	}
	return nil
}
