package graphtest

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// redirect answers GET …/content with the address of the bytes.
func (c *call) redirect(it *item) (*reply, error) {
	if it.body == nil {
		return nil, errInvalid("You cannot get content for a folder")
	}
	if it.malware {
		return nil, &apiError{status: http.StatusForbidden, code: "malwareDetected", inner: "virusSuspicious", msg: "Malware detected"}
	}
	if c.unchanged(it) {
		return newReply(http.StatusNotModified), nil
	}
	out := newReply(http.StatusFound)
	out.header.Set("Location", c.s.downloadURL(c.storage, c.drive, it, -1))
	return out, nil
}

// storage answers at the host that serves and takes bytes.
func (s *Server) storage(r *http.Request) *reply {
	o := Op{Method: r.Method, Host: "storage", Path: r.URL.Path, Kind: OpOther}
	switch {
	case strings.HasPrefix(r.URL.Path, "/_layouts/"):
		o.Kind, o.Drive, o.Item = OpDownload, r.URL.Query().Get("drive"), r.URL.Query().Get("UniqueId")
	case strings.HasPrefix(r.URL.Path, "/upload/"):
		o.Kind = map[string]string{http.MethodPut: OpFragment, http.MethodGet: OpStatus, http.MethodDelete: OpCancel, http.MethodPost: OpCommit}[r.Method]
	case strings.HasPrefix(r.URL.Path, "/monitor/"):
		o.Kind = OpMonitor
	case strings.HasPrefix(r.URL.Path, "/socket.io/"):
		o.Kind = OpEvents
	}
	s.mu.Lock()
	if u := s.sessions[sessionKey(r)]; u != nil {
		o.Drive, o.Place = u.d.id, strings.TrimSuffix(u.parent.path(), "/")+"/"+u.name
	}
	if d := s.drives[o.Drive]; d != nil && o.Item != "" {
		if it := d.items[o.Item]; it != nil {
			o.Place = it.path()
		}
	}
	s.counts.add(o)
	s.check.request(o, r, s.now(), 0)
	fault := s.strike(o)
	if fault == nil {
		fault = s.oddStorage(o)
	}
	s.mu.Unlock()
	at := s.now()
	out := s.disturbed(r.Context(), r, o, fault, func() *reply {
		// Field: rclone sends the header with the status and the end of a session, and lives.
		strict := o.Kind != OpStatus && o.Kind != OpCancel && !s.opts.TolerateAuthorization
		if r.Header.Get("Authorization") != "" && strict {
			return jsonReply(http.StatusUnauthorized, object{"error": object{"code": "unauthenticated",
				"message": "The request carries credentials besides those of its address."}})
		}
		switch o.Kind {
		case OpDownload:
			return s.download(r)
		case OpMonitor:
			return s.monitor(r)
		case OpEvents:
			return s.socket(r)
		case OpFragment, OpStatus, OpCancel, OpCommit:
			return s.upload(r, o.Kind)
		}
		return textReply(http.StatusNotFound, "404 FILE NOT FOUND")
	})
	s.record(o, at, out, 0)
	return out
}

// download serves the bytes behind a pre-authenticated address: always the current ones, unless the
// address names a version.
func (s *Server) download(r *http.Request) *reply {
	q := r.URL.Query()
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return textReply(http.StatusMethodNotAllowed, "Method not allowed.")
	}
	label := q.Get("version")
	if label == "" {
		label = "-1"
	}
	if q.Get("tempauth") != "SECRET-DOWNLOAD-"+s.sign(q.Get("drive"), q.Get("UniqueId"), q.Get("exp"), label) {
		return textReply(http.StatusUnauthorized, "401 UNAUTHORIZED")
	}
	if exp, _ := strconv.ParseInt(q.Get("exp"), 10, 64); s.now().Unix() >= exp {
		return textReply(http.StatusUnauthorized, "401 UNAUTHORIZED: the address has expired")
	}
	s.mu.Lock()
	var b *body
	infected := false
	h := http.Header{}
	if d := s.drives[q.Get("drive")]; d != nil {
		if it := d.items[q.Get("UniqueId")]; it != nil && it.body != nil {
			b, infected = it.body, it.malware
			if i := slices.IndexFunc(it.old, func(v version) bool { return strconv.Itoa(v.label) == label }); i >= 0 {
				b, infected = it.old[i].body, false
			}
			d.etagHeaders(h, it)
			h.Set("Last-Modified", it.modified.Format(http.TimeFormat))
			h.Set("Content-Type", mimeType(it.name))
			h.Set("Content-Disposition", `attachment; filename="content"`)
		}
	}
	s.mu.Unlock()
	if b == nil {
		return textReply(http.StatusNotFound, "404 FILE NOT FOUND")
	}
	if infected {
		out := textReply(http.StatusForbidden, "403 FORBIDDEN")
		out.header.Set("X-Virus-Infected", "Virus found.")
		return out
	}
	status, off, n := http.StatusOK, int64(0), b.size
	if spec := r.Header.Get("Range"); spec != "" {
		var ok, satisfiable bool
		off, n, ok, satisfiable = parseRange(spec, b.size)
		switch {
		case !ok: // a range nobody understands is ignored
			off, n = 0, b.size
		case !satisfiable:
			out := textReply(http.StatusRequestedRangeNotSatisfiable, "")
			out.header.Set("Content-Range", fmt.Sprintf("bytes */%d", b.size))
			return out
		default:
			status = http.StatusPartialContent
			h.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", off, off+n-1, b.size))
		}
	}
	h.Set("Accept-Ranges", "bytes")
	out := newReply(status)
	out.header = h
	stream, err := b.open(off)
	if err != nil {
		return textReply(http.StatusInternalServerError, "the bytes are gone")
	}
	out.stream, out.size = &counted{s: s, r: io.LimitReader(stream, n), c: stream}, n
	return out
}

// counted counts the bytes that are really read from an answer.
type counted struct {
	s *Server
	r io.Reader
	c io.Closer
	n int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

func (c *counted) Close() error {
	c.s.mu.Lock()
	c.s.counts.BytesDown += c.n
	c.s.mu.Unlock()
	c.n = 0
	return c.c.Close()
}

// parseRange reads a Range header with one range.
func parseRange(spec string, size int64) (off, n int64, ok, satisfiable bool) {
	spec, found := strings.CutPrefix(spec, "bytes=")
	from, to, dash := strings.Cut(strings.TrimSpace(spec), "-")
	if !found || !dash || strings.Contains(to, ",") {
		return 0, 0, false, false
	}
	if from == "" {
		tail, err := strconv.ParseInt(to, 10, 64)
		if err != nil || tail < 0 {
			return 0, 0, false, false
		}
		tail = min(tail, size)
		return size - tail, tail, true, tail > 0
	}
	off, err := strconv.ParseInt(from, 10, 64)
	if err != nil || off < 0 {
		return 0, 0, false, false
	}
	end := size - 1
	if to != "" {
		if end, err = strconv.ParseInt(to, 10, 64); err != nil || end < off {
			return 0, 0, false, false
		}
		end = min(end, size-1)
	}
	return off, end - off + 1, true, off < size
}

// copyJob is a copy under way.
type copyJob struct {
	due  time.Time
	item string
	err  string
}

// copy begins a copy of an item; it happens when CopyDelay has passed.
func (c *call) copy(it *item, in object) (*reply, error) {
	s, d := c.s, c.drive
	behaviour, err := c.behaviour(in, "fail")
	if err != nil {
		return nil, err
	}
	to, parent := d, it.parent
	if ref, ok := in["parentReference"].(map[string]any); ok {
		if id, _ := ref["driveId"].(string); id != "" {
			if to = s.driveByID(id); to == nil {
				return nil, errNotFound()
			}
		}
		other := *c
		other.drive = to
		if parent, err = other.target(ref); err != nil {
			return nil, err
		}
	}
	if parent == nil || !parent.folder {
		return nil, errInvalid("The target is not a folder.")
	}
	name := it.name
	if n, ok := in["name"].(string); ok && n != "" {
		name = n
	}
	id := random(12)
	job := &copyJob{due: s.now().Add(s.opts.CopyDelay)}
	s.copies[id] = job
	s.later = append(s.later, effect{job.due, func(now time.Time) {
		if it.deleted || parent.deleted {
			job.err = "itemNotFound"
			return
		}
		made, err := to.clone(it, parent, name, behaviour, now)
		if err != nil {
			job.err = "nameAlreadyExists"
			return
		}
		job.item = made.id
	}})
	s.settle()
	out := newReply(http.StatusAccepted)
	out.header.Set("Location", c.storage+"/monitor/"+id)
	return out, nil
}

// clone copies an item and everything below it.
func (d *Drive) clone(it, parent *item, name, behaviour string, now time.Time) (*item, error) {
	if !it.folder {
		made, _, err := d.write(parent, name, behaviour, it.body, times{}, now)
		return made, err
	}
	made, _, err := d.mkdir(parent, name, behaviour, now)
	if err != nil {
		return nil, err
	}
	for _, k := range slices.Clone(it.keys()) {
		kid := it.children[k]
		if kid == made { // a copy into itself
			continue
		}
		if _, err := d.clone(kid, made, kid.name, behaviour, now); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// monitor tells how far a copy is.
func (s *Server) monitor(r *http.Request) *reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	job := s.copies[strings.TrimPrefix(r.URL.Path, "/monitor/")]
	switch {
	case job == nil:
		return textReply(http.StatusNotFound, "")
	case job.err != "":
		return jsonReply(http.StatusOK, object{"operation": "itemCopy", "status": "failed", "errorCode": job.err,
			"error": object{"code": job.err, "message": job.err}})
	case job.item == "":
		return jsonReply(http.StatusAccepted, object{"operation": "itemCopy", "status": "inProgress", "percentageComplete": 27.8})
	}
	return jsonReply(http.StatusOK, object{"operation": "itemCopy", "status": "completed", "resourceId": job.item, "percentageComplete": 100})
}
