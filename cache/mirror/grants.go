package mirror

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// labels writes permissions as reports and .permissions.json have them: "Display Name:::Full Control", Edit or View, and
// links as "Sharing Link (view, anonymous):::View". The service gives what is effective, direct and inherited. Somebody
// who is named several times has the strongest level; what gives no access, or has ended by now, is left out. A level
// that the service has no known word for, since the site made it, is "unknown". until is when the first of them ends.
func labels(all []graph.Permission, now time.Time) (list []string, until time.Time) {
	level := map[string]graph.Level{}
	for _, p := range all {
		l := p.Level()
		if l == graph.NoLevel {
			continue
		}
		if !p.Expires.IsZero() {
			if !p.Expires.After(now) {
				continue
			}
			if until.IsZero() || p.Expires.Before(until) {
				until = p.Expires
			}
		}
		if p.Link != nil {
			link := fmt.Sprintf("Sharing Link (%s, %s)", p.Link.Type, p.Link.Scope)
			level[link] = max(level[link], l)
		}
		for _, who := range p.To {
			level[who.Name] = max(level[who.Name], l)
		}
	}
	names := make([]string, 0, len(level))
	for n := range level {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(level[b], level[a]), cmp.Compare(a, b))
	})
	list = make([]string, len(names))
	for i, n := range names {
		list[i] = clean(n) + ":::" + level[n].String()
	}
	return list, until
}

// clean keeps a name from looking like two entries, or like a name with a level.
func clean(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, name)
	for strings.Contains(name, ":::") {
		name = strings.ReplaceAll(name, ":::", "::")
	}
	return name
}

// PermissionChanges says how a list of permissions became another.
type PermissionChanges struct {
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
	Current []string `json:"current"`
}

// changesOf compares two lists of permissions.
func changesOf(before, after []string) PermissionChanges {
	c := PermissionChanges{Added: []string{}, Removed: []string{}, Current: append([]string{}, after...)}
	for _, s := range after {
		if !slices.Contains(before, s) {
			c.Added = append(c.Added, s)
		}
	}
	for _, s := range before {
		if !slices.Contains(after, s) {
			c.Removed = append(c.Removed, s)
		}
	}
	return c
}

// why a file's permissions are read.
type why uint8

const (
	settled why = iota // they are not
	news               // they were never read, or something says that they may have changed
	rolling            // they were read long ago
)

// wanted says whether the permissions of a file have to be read. shared is the last cycle in which a folder above it may
// have changed them; every is how often they are read without a sign, 0 not at all.
func wanted(id string, i item, shared uint64, now time.Time, every time.Duration) why {
	p := i.Perm
	switch {
	case p == nil, p.Tag != tagOf(i), shared > p.Cycle, p.Until != 0 && now.Unix() >= p.Until:
		return news
	case every < 0:
		return rolling // every run
	case every == 0:
		return settled
	}
	// Each file has its own hour, so that what was read in one run is not read again in one run: between half the
	// period and all of it.
	h := uint64(14695981039346656037)
	for _, b := range []byte(id) {
		h = (h ^ uint64(b)) * 1099511628211
	}
	half := every / 2
	if now.Sub(time.Unix(p.At, 0)) >= half+time.Duration(float64(half)*float64(h%1024)/1024) {
		return rolling
	}
	return settled
}

// tagOf is what says that an item has not changed since its permissions were read.
func tagOf(i item) string { return "=" + i.Ver.ETag }

// writePermissions writes .permissions.json: the files whose permissions are known.
func (r *run) writePermissions(to io.Writer) error {
	w := bufio.NewWriter(to)
	l := lists{s: r.s}
	comma := ""
	w.WriteString("{")
	for at, x := range rows[place](r.s, placeRows) {
		if x.err != nil {
			return x.err
		}
		h := x.v.Here
		if h == nil || h.Dir || h.List == "" {
			continue
		}
		list, err := l.get(h.List)
		if err != nil {
			return err
		}
		fmt.Fprintf(w, "%s\n  %s: %s", comma, text(at), text(list))
		comma = ","
	}
	w.WriteString("\n}\n")
	return w.Flush()
}
