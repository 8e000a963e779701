package graphtest

import (
	"fmt"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	fragmentUnit = 320 << 10
	fragmentMax  = 60 << 20
	sessionAuth  = 24 * time.Hour // life of the credential in an upload address
)

// session is an upload in progress. Its fields are guarded by Server.mu, but the draft belongs to
// the fragment that has set busy, also after the session has been cancelled.
type session struct {
	id               string
	d                *Drive
	parent           *item
	it               *item // the file to replace, if it is named by id
	name             string
	behaviour        string
	times            times
	deferred         bool
	doomed           bool // answers 412 at the end, see Options.StrictSessionMatch
	begun            time.Time
	expires          time.Time
	total            int64
	have             int64 // bytes received in whole fragments
	draft            *draft
	actor, actorName string // who made it
	busy             bool
	cancelled        bool
}

func sessionKey(r *http.Request) string {
	return strings.TrimPrefix(r.URL.Path, "/upload/") + "/" + r.URL.Query().Get("tempauth")
}

// createSession begins an upload. The caller holds the lock.
func (c *call) createSession(in object) (*reply, error) {
	s, d, now := c.s, c.drive, c.s.now()
	spec, _ := in["item"].(map[string]any)
	parent, name, err := c.place()
	if err != nil {
		return nil, err
	}
	if n, ok := spec["name"].(string); ok && n != "" && n != name {
		return nil, errInvalid("The name in the body is not the name in the address.")
	}
	if _, ok := spec["@odata.type"]; ok && d.kind != Personal {
		return nil, errInvalid("The property '@odata.type' is not expected here.")
	}
	behaviour, err := c.behaviour(spec, "replace")
	if err != nil {
		return nil, err
	}
	t, err := readTimes(spec)
	if err != nil {
		return nil, err
	}
	was := parent.child(name)
	if was == nil || was.name != name { // which is given anew to nobody
		if err := d.checkPlace(parent, name, false); err != nil {
			return nil, err
		}
	}
	if err := d.refuseWrites(parent); err != nil {
		return nil, err
	}
	u := &session{id: random(8), d: d, parent: parent, name: name, behaviour: behaviour, times: t, begun: now, total: -1, actor: c.actor(), actorName: c.actorName()}
	u.deferred, _ = in["deferCommit"].(bool)
	switch {
	case was == nil && c.r.Header.Get("If-Match") != "":
		return nil, errPrecondition()
	case was == nil:
	case c.unchanged(was):
		return nil, errPrecondition()
	case was.body == nil || behaviour == "fail" && c.rt.path != "":
		return nil, errExists()
	default:
		if err := c.match(was); err != nil {
			return nil, err
		}
		if err := d.locked(was); err != nil {
			return nil, err
		}
		if c.r.Header.Get("If-Match") != "" && (s.opts.StrictSessionMatch || s.odd(19)) {
			d.bump(was, false, now)
			u.doomed = true
		}
		if c.rt.path == "" {
			u.it = was
		}
	}
	if n, ok := spec["fileSize"].(float64); ok {
		if err := d.room(int64(n)); err != nil {
			return nil, err
		}
	}
	s.expireSessions()
	for _, other := range s.sessions {
		if other.d == d && other.parent == parent && fold(other.name) == fold(name) {
			return nil, &apiError{status: http.StatusConflict, code: "nameAlreadyExists", msg: "An upload session already exists for this file"}
		}
	}
	if u.draft, err = newDraft(s.bodyDir()); err != nil {
		return nil, err
	}
	u.extend(s, now)
	auth := "SECRET-UPLOAD-" + random(16)
	s.sessions[u.id+"/"+auth] = u
	o := u.status()
	o["uploadUrl"] = c.storage + "/upload/" + u.id + "?tempauth=" + auth
	o["@odata.context"] = "https://" + c.r.Host + "/v1.0/$metadata#microsoft.graph.uploadSession"
	return jsonReply(http.StatusOK, o), nil
}

func (u *session) extend(s *Server, now time.Time) {
	life := s.opts.SessionLife
	if life <= 0 {
		life = 15 * time.Minute
	}
	u.expires = now.Add(life)
}

func (u *session) status() object {
	ranges := []string{fmt.Sprintf("%d-", u.have)}
	if u.total >= 0 {
		ranges = []string{fmt.Sprintf("%d-%d", u.have, u.total-1)}
		if u.have == u.total {
			ranges = []string{}
		}
	}
	return object{"expirationDateTime": u.expires.UTC().Format(time.RFC3339Nano), "nextExpectedRanges": ranges}
}

// expireSessions drops sessions whose time is over. The caller holds the lock.
func (s *Server) expireSessions() {
	now := s.now()
	for key, u := range s.sessions {
		if !u.busy && now.After(u.expires) {
			u.draft.discard()
			delete(s.sessions, key)
			s.check.note("storage", "an upload session was neither finished nor cancelled")
		}
	}
}

func goneSession() *apiError {
	return &apiError{status: http.StatusNotFound, code: "itemNotFound", inner: "uploadSessionNotFound", msg: "The upload session was not found"}
}

// upload works at an upload session.
func (s *Server) upload(r *http.Request, kind string) *reply {
	key := sessionKey(r)
	s.mu.Lock()
	s.expireSessions()
	u := s.sessions[key]
	var err error
	switch {
	case u == nil:
		err = goneSession()
	case s.now().Sub(u.begun) >= sessionAuth:
		err = &apiError{status: http.StatusUnauthorized, code: "unauthenticated", inner: "expiredToken", msg: "The access token has expired."}
	case kind == OpStatus:
		o := u.status()
		s.mu.Unlock()
		return jsonReply(http.StatusOK, o)
	case kind == OpCancel:
		delete(s.sessions, key)
		u.cancelled = true
		if !u.busy {
			u.draft.discard()
		}
		s.mu.Unlock()
		return newReply(http.StatusNoContent)
	case u.busy: // most often one that its client has given up already
		err = &apiError{status: http.StatusServiceUnavailable, code: "serviceNotAvailable", msg: "Another fragment of this session is under way."}
	default:
		u.busy = true
	}
	s.mu.Unlock()
	if err != nil {
		return s.errorReply(r, err)
	}
	var out *reply
	if kind == OpCommit {
		out, err = s.commitDeferred(r, key, u)
	} else {
		out, err = s.fragment(r, key, u)
	}
	s.mu.Lock()
	u.busy = false
	if u.cancelled {
		u.draft.discard()
	}
	s.mu.Unlock()
	if err != nil {
		return s.errorReply(r, err)
	}
	return out
}

var contentRange = regexp.MustCompile(`^bytes (\d+)-(\d+)/(\d+)$`)

// fragment takes one piece. The caller has set busy, so the draft is ours, and nobody else writes
// have and total.
func (s *Server) fragment(r *http.Request, key string, u *session) (*reply, error) {
	m := contentRange.FindStringSubmatch(r.Header.Get("Content-Range"))
	if m == nil {
		s.violate("storage", fmt.Sprintf("fragment with Content-Range %q", r.Header.Get("Content-Range")))
		return nil, errInvalid("The Content-Range header is missing or malformed.")
	}
	var at [3]int64
	for i := range at {
		n, err := strconv.ParseInt(m[i+1], 10, 64)
		if err != nil {
			return nil, errInvalid("The Content-Range header is missing or malformed.")
		}
		at[i] = n
	}
	from, to, total := at[0], at[1], at[2]
	n := to - from + 1
	last := to == total-1
	outOfRange := func(inner string) (*reply, error) {
		return nil, &apiError{status: http.StatusRequestedRangeNotSatisfiable, code: "invalidRange", inner: inner, msg: "The range is not the one expected."}
	}
	switch {
	case n <= 0 || to >= total:
		s.violate("storage", "fragment with a senseless Content-Range")
		return nil, errInvalid("The Content-Range header is missing or malformed.")
	case r.ContentLength >= 0 && r.ContentLength != n:
		s.violate("storage", "fragment whose Content-Length is not that of its Content-Range")
		return nil, errInvalid("Content-Length does not match Content-Range.")
	case n >= fragmentMax:
		s.violate("storage", "fragment of 60 MiB or more")
		return nil, &apiError{status: http.StatusRequestEntityTooLarge, code: "invalidRequest", inner: "maxFragmentLengthExceeded", msg: "The fragment is too large."}
	case !last && n%fragmentUnit != 0:
		s.violate("storage", fmt.Sprintf("fragment of %d bytes, not a multiple of 320 KiB", n))
		return nil, errInvalid("The fragment is not a multiple of 320 KiB.")
	case u.total >= 0 && total != u.total:
		s.violate("storage", "fragment that changes the total length")
		return outOfRange("fragmentLengthMismatch")
	case from < u.have:
		return outOfRange("fragmentOverlap")
	case from > u.have:
		s.violate("storage", "fragment out of order")
		return outOfRange("fragmentOutOfOrder")
	}
	if err := u.draft.append(r.Body, n); err != nil {
		return nil, errInvalid("The fragment broke off.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counts.BytesUp += n
	if u.cancelled {
		return nil, goneSession()
	}
	u.have, u.total = u.draft.size, total
	u.extend(s, s.now())
	if !last || u.deferred {
		return jsonReply(http.StatusAccepted, u.status()), nil
	}
	return s.commit(r, key, u)
}

// commitDeferred finishes an upload whose commit was deferred.
func (s *Server) commitDeferred(r *http.Request, key string, u *session) (*reply, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !u.deferred || u.total < 0 || u.have != u.total {
		return nil, &apiError{status: http.StatusBadRequest, code: "invalidRequest", inner: "uploadSessionIncomplete", msg: "The session is not complete."}
	}
	return s.commit(r, key, u)
}

// commit makes the file of a complete session. The caller holds the lock. After a
// conflict the session stays until it is cancelled or expires.
func (s *Server) commit(r *http.Request, key string, u *session) (*reply, error) {
	d, now := u.d, s.now()
	if u.doomed {
		return nil, errPrecondition()
	}
	s.acting, s.actingName = u.actor, u.actorName
	b := u.draft.seal()
	it, made := u.it, false
	var err error
	switch {
	case it != nil && it.deleted, u.parent.deleted:
		err = errNotFound()
	case it != nil:
		err = d.replace(it, b, u.times, now)
	default:
		it, made, err = d.write(u.parent, u.name, u.behaviour, b, u.times, now)
	}
	if err != nil {
		return nil, err
	}
	u.draft.release()
	delete(s.sessions, key)
	s.rewriteLater(d, it)
	status := http.StatusOK
	if made {
		status = http.StatusCreated
	}
	return jsonReply(status, d.json(it, s.storageFor(r))), nil
}

// rewriteLater lets the service change an Office, PDF or HTML file some time after its upload.
func (s *Server) rewriteLater(d *Drive, it *item) {
	after := s.rewrite
	if !isOffice(it.name) {
		return
	}
	if last := s.lasts(14); after <= 0 && s.odd(14) {
		after = last
	}
	if after <= 0 {
		return
	}
	b := it.body
	s.later = append(s.later, effect{s.now().Add(after), func(now time.Time) {
		if it.deleted || it.body != b {
			return
		}
		raw, err := b.bytes()
		if err != nil {
			return
		}
		promoted, err := s.newBody(strings.NewReader(string(raw) + "\n<!-- document id " + d.guid(it) + " -->\n"))
		if err != nil {
			return
		}
		grow(it.parent, promoted.size-it.size)
		d.used += promoted.size - it.size
		it.body, it.size = promoted, promoted.size
		d.bump(it, true, now)
	}})
}
