package rest

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/duskfs/duskfs/graph"
)

var _ graph.History = (*Drive)(nil)

// wireVersion is a version of a file as it comes.
type wireVersion struct {
	ID       string  `json:"id"`
	Size     flexInt `json:"size"`
	Modified string  `json:"lastModifiedDateTime"`
	By       struct {
		User, Application struct {
			Name string `json:"displayName"`
		}
	} `json:"lastModifiedBy"`
}

// Versions returns the versions of a file, the current one first.
func (d *Drive) Versions(ctx context.Context, id graph.ItemID) ([]graph.Past, error) {
	all, err := list[wireVersion](ctx, d.c, call{op: "versions", item: string(id), missing: knownMissing}, d.itemPath(id)+"/versions")
	if err != nil {
		return nil, err
	}
	past := make([]graph.Past, len(all))
	for i, w := range all {
		past[i] = graph.Past{ID: w.ID, Size: max(0, int64(w.Size)), ModTime: parseTime(w.Modified), By: w.By.User.Name}
		if past[i].By == "" {
			past[i].By = w.By.Application.Name
		}
	}
	return past, nil
}

// PastContent opens all bytes of a version. Versions have no hash to compare with.
func (d *Drive) PastContent(ctx context.Context, id graph.ItemID, p graph.Past) (io.ReadCloser, error) {
	if p.Size == 0 {
		return io.NopCloser(bytes.NewReader(nil)), nil
	}
	r := &download{ctx: ctx, d: d, id: id, end: p.Size, past: d.itemPath(id) + "/versions/" + url.PathEscape(p.ID) + "/content",
		version: graph.Version{Size: p.Size}}
	if err := r.open(); err != nil {
		return nil, err
	}
	return r, nil
}

// lookBackTime is how long the versions are waited for after an upload.
const lookBackTime = 10 * time.Second

// lookBack finds out, after the commit of an upload that replaced a file, whether somebody else's bytes came between
// the last look and ours: where the service counted more than our own change, its versions tell. Versions that
// cannot be read are no failure of the upload. Where only just now nobody can ask it fails with Lost.
func (s *sending) lookBack(ctx context.Context, seen wireItem, now graph.Item) error {
	if s.u.Overtaken == nil || s.u.ID == "" || seen.ID == "" {
		return nil
	}
	if n, ok := counted(seen.item(), now); (!ok || n <= 1) && !s.d.c.opts.Paranoid {
		return nil
	}
	// The bytes are there: who ends the upload now, since a writer came, must not end this.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookBackTime)
	defer cancel()
	versions, err := s.d.Versions(ctx, s.u.ID)
	switch {
	case err != nil && graph.Stops(ctx, err):
		return s.fault(graph.Lost, "it is there, and whether another change was overwritten cannot be told yet: "+err.Error())
	case err != nil:
		s.d.c.opts.Logger.WarnContext(ctx, "cannot tell whether another change was overwritten; the version history of the file has it", "item", s.label, "error", err)
		return nil
	}
	if found := between(versions, parseTime(seen.Modified), int64(seen.Size)); len(found) > 0 {
		s.u.Overtaken(found)
	}
	return nil
}

// between picks those of a file's versions, the current one first, that came after a moment at which it had a size, oldest
// first. The version of that moment itself has the same time, or an older one; what comes after it in the list was there
// before, be it in the same second. How many there are the count does not say: somebody may have written since.
func between(versions []graph.Past, since time.Time, size int64) []graph.Past {
	found := slices.DeleteFunc(versions[min(1, len(versions)):], func(v graph.Past) bool { return v.ModTime.Before(since) })
	for i, v := range slices.Backward(found) {
		if v.ModTime.Equal(since) && v.Size == size {
			found = found[:i]
			break
		}
	}
	slices.Reverse(found)
	return found
}

// counted says how many changes of the bytes the service has counted from one state of a file to another: by the cTags,
// else by the eTags, which count other changes too. Tags of personal drives tell nothing (graph-facts §3.1).
func counted(before, after graph.Item) (int64, bool) {
	for _, tags := range [][2]string{{before.CTag, after.CTag}, {before.ETag, after.ETag}} {
		if n, ok := graph.Counted(tags[0], tags[1]); ok {
			return n, true
		}
	}
	return 0, false
}

// pastAddress asks where the bytes of an old version are.
func (d *Drive) pastAddress(ctx context.Context, id graph.ItemID, at string) (string, error) {
	return d.redirect(ctx, call{op: "read", item: string(id), method: http.MethodGet, url: d.c.address(at), read: true, missing: knownMissing})
}
