package graphtest

import (
	"net/http"
	"strings"
	"time"
)

// odd says how the catalogue disturbs a request to Graph, nil if it does not. The caller holds the
// lock. Rows that change what an answer says, and not whether there is one, sit where it is made.
func (c *call) odd() *Fault {
	s := c.s
	if len(s.odds) == 0 && len(s.silent) == 0 {
		return nil
	}
	now := s.now()
	if f := c.oddThrottle(now); f != nil {
		return f
	}
	var it, parent *item
	if c.drive != nil && c.rt.inItem {
		it, _ = c.item() // what does not exist is no occasion
		parent = it
		if c.op.Kind != OpMkdir {
			parent, _, _ = c.place()
		}
	}
	young := func(it *item, n int) bool { return it != nil && now.Sub(it.created) < s.lasts(n) }
	changed := func(it *item, n int) bool { return it != nil && now.Sub(it.modified) < s.lasts(n) }
	missing := &Fault{Status: http.StatusNotFound, Code: "itemNotFound", Message: "Item not found"}
	byPath, stall := c.rt.path != "", s.lasts(21)
	switch c.op.Kind {
	case OpItem, OpChildren, OpContent, OpPermissions, OpVersions:
		switch {
		case it == nil:
			return nil
		case !byPath && c.op.Kind == OpItem && young(it, 2) && s.odd(2), byPath && changed(it, 6) && s.odd(6), s.odd(1):
			return missing
		case s.odd(21):
			return &Fault{Delay: Duration(stall)}
		case c.op.Kind == OpItem && s.odd(22):
			return &Fault{Status: http.StatusFound, Header: map[string]string{"Location": "https://" + c.r.Host + c.r.URL.RequestURI()}, Body: " "}
		}
	case OpMkdir:
		switch {
		case young(parent, 24) && parent != c.drive.root && s.odd(24):
			return missing
		case s.odd(5):
			return &Fault{Empty: true}
		}
	case OpPut:
		switch {
		case c.drive != nil && c.drive.protected(parent) && s.odd(23), parent != nil && young(parent, 24) && parent != c.drive.root && s.odd(24):
			return missing
		case it != nil:
			return s.oddLock()
		}
	case OpCreateSession:
		switch {
		case parent != nil && young(parent, 24) && parent != c.drive.root && s.odd(24):
			return missing
		case parent != nil && s.odd(20):
			return &Fault{Status: http.StatusConflict, Code: "nameAlreadyExists", Message: "An upload session already exists for this file"}
		case it != nil:
			return s.oddLock()
		}
	case OpUpdate:
		if changed(it, 4) && it.body != nil {
			if n, ok := s.oddly(4); ok {
				return &Fault{Status: []int{404, 502, 503, 504}[n%4]}
			}
		}
		if it != nil && s.odd(22) {
			return &Fault{Status: http.StatusNoContent, Work: true, Body: " "}
		}
		if it != nil {
			return s.oddLock()
		}
	case OpDelete:
		if it != nil && s.odd(7) {
			return missing
		}
		if it != nil && !it.folder {
			return s.oddLock()
		}
	}
	return nil
}

// oddLock is a file that somebody has open in Office.
func (s *Server) oddLock() *Fault {
	n, ok := s.oddly(32)
	if !ok {
		return nil
	}
	e := lockedAs(n % 3)
	return &Fault{Status: e.status, Code: e.code, Inner: e.inner, Message: e.msg}
}

// oddThrottle throttles one drive, or one request inside a batch.
func (c *call) oddThrottle(now time.Time) *Fault {
	s := c.s
	if c.op.Batch {
		switch n, ok := s.oddly(29); {
		case ok && n%2 == 0:
			return &Fault{Status: http.StatusTooManyRequests, Code: "activityLimitReached", Inner: "throttledRequest", RetryAfter: 1}
		case ok:
			return &Fault{Status: http.StatusNotFound, Code: "itemNotFound"}
		}
	}
	if c.op.Drive == "" || c.op.Kind == OpBatch {
		return nil
	}
	until := s.silent[c.op.Drive]
	if !now.Before(until) {
		delete(s.silent, c.op.Drive)
		last := s.lasts(28)
		if !s.odd(28) {
			return nil
		}
		until = now.Add(last)
		s.silent[c.op.Drive] = until
	}
	return &Fault{Status: http.StatusTooManyRequests, Code: "activityLimitReached", Inner: "throttledRequest",
		RetryAfter: int((until.Sub(now) + time.Second - 1) / time.Second)}
}

// oddStorage says how the catalogue disturbs a request to the storage host. The caller holds the lock.
func (s *Server) oddStorage(o Op) *Fault {
	const page = "<html><head><title>Sorry</title></head><body>Something went wrong</body></html>"
	switch o.Kind {
	case OpDownload:
		switch {
		case s.odd(3):
			return &Fault{Status: http.StatusUnauthorized, Body: "401 UNAUTHORIZED"}
		case s.odd(22):
			return &Fault{Status: http.StatusPermanentRedirect}
		}
	case OpFragment:
		switch {
		case s.odd(18):
			return &Fault{Drop: DropAfter}
		case s.odd(22):
			return &Fault{Status: http.StatusServiceUnavailable, Body: page, Type: "text/html"}
		}
	}
	return nil
}

// oddTime is what fileSystemInfo says instead of the truth.
func oddTime(n uint64) any {
	return []any{"0001-01-01T00:00:00Z", nil, "9999-12-31T23:59:59Z"}[n%3]
}

// protected reports whether a folder, or one above it, takes no writes.
func (d *Drive) protected(it *item) bool {
	if len(d.readOnly) == 0 {
		return false
	}
	for ; it != nil; it = it.parent {
		if d.readOnly[it.id] {
			return true
		}
	}
	return false
}

// refuseWrites refuses a write into what is read-only.
func (d *Drive) refuseWrites(it *item) error {
	if !d.protected(it) {
		return nil
	}
	return &apiError{status: http.StatusForbidden, code: "accessDenied", msg: "Access denied"}
}

// Protect makes a folder and all below it read-only for everybody but colleagues, or ends that.
func (d *Drive) Protect(path string, on bool) error {
	return d.act("protect", path, func(time.Time) error {
		it, err := d.at(path)
		if err == nil {
			d.readOnly[it.id] = on
			if !on {
				delete(d.readOnly, it.id)
			}
		}
		return err
	})
}

// notebook is the entry of a OneNote notebook that a listing has besides what is there (Q26).
func (d *Drive) notebook(parent *item, storage string) object {
	it := &item{n: 1<<40 + parent.n, parent: parent, name: "Notebook", folder: true, pkg: true, created: d.created, modified: d.created,
		fsCreated: d.created, fsMod: d.created, meta: 1, content: 1}
	it.id = d.itemID(it.n)
	return d.build(it, storage, false)
}

// atEnd moves deletions to the end of a page, so that creations of the same names come before them (Q10).
func atEnd(value []object) []object {
	var live, dead []object
	for _, o := range value {
		if o["deleted"] != nil {
			dead = append(dead, o)
		} else {
			live = append(live, o)
		}
	}
	return append(live, dead...)
}

// isOffice reports whether the service rewrites files of such a name (graph-facts §14).
func isOffice(name string) bool {
	switch strings.ToLower(name[strings.LastIndexByte(name, '.')+1:]) {
	case "docx", "xlsx", "pptx", "doc", "xls", "ppt", "pdf", "html", "htm":
		return true
	}
	return false
}
