package rest

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

const (
	// fragmentUnit is what every fragment but the last must be a multiple of (graph-facts §6.2).
	fragmentUnit     = 320 << 10
	maxFragmentUnits = 190              // 59.4 MiB; requests must stay below 60 MiB
	maxPut           = 250 << 20        // of a PUT without a session (graph-facts §6.1)
	shortFragment    = 4 * time.Second  // a fragment that takes less may be followed by a longer one
	longFragment     = 20 * time.Second // and one that takes more by a shorter one
	maxTroubles      = 5                // fragments in a row that fail without a byte more arriving
	maxAsks          = 50               // of one session about where it stands
	cancelTime       = 10 * time.Second // for deleting a session that is given up
)

// errDead says that a session is no more and that nothing was committed by it.
var errDead = errors.New("the upload session is no more")

// session is an upload session under way. Its address is a credential.
type session struct {
	*sending
	url      string
	pos      int64     // bytes that the service has
	size     int64     // of the next fragment, at most
	whole    bool      // the last of them were sent, whatever came of it
	seen     wireItem  // what is replaced, as it was right before the last fragment
	troubles int       // failures in a row
	asks     int       // how often the service was asked where the session stands
	sum      hash.Hash // of the first summed bytes
	summed   int64
}

type newSession struct {
	Item sessionItem `json:"item"`
}

type sessionItem struct {
	Conflict string     `json:"@microsoft.graph.conflictBehavior"`
	Name     string     `json:"name,omitempty"`
	Times    *wireTimes `json:"fileSystemInfo,omitempty"`
}

// sessionState is what the service says about a session.
type sessionState struct {
	URL  string   `json:"uploadUrl"`
	Next []string `json:"nextExpectedRanges"`
}

// next returns where to go on. Of several ranges only the start of the first means anything.
func (s sessionState) next() (int64, bool) {
	if len(s.Next) == 0 {
		return 0, false
	}
	start, _, _ := strings.Cut(s.Next[0], "-")
	n, err := strconv.ParseInt(start, 10, 64)
	return n, err == nil && n >= 0
}

// run sends the bytes by the session begun earlier, if there is one, and by a new one if that is
// dead; a session that dies on the way is replaced once.
func (s *sending) run(ctx context.Context) (graph.Item, error) {
	try := s.session(s.u.Session)
	if try.url != "" {
		i, err := try.resume(ctx)
		if !errors.Is(err, errDead) {
			return i, err
		}
	}
	var err error
	for range 2 {
		try = s.session("")
		var i graph.Item
		if err = try.begin(ctx); err != nil {
			if s.u.Size <= maxPut && s.held(ctx, err) {
				return s.put(ctx)
			}
			return graph.Item{}, err
		}
		if i, err = try.send(ctx); !errors.Is(err, errDead) {
			return i, err
		}
	}
	var e *graph.Error
	if errors.As(err, &e) {
		return graph.Item{}, e
	}
	return graph.Item{}, s.fault(graph.Failed, "the service ends the upload session again and again")
}

func (s *sending) session(url string) *session {
	return &session{sending: s, url: url, size: s.d.c.opts.Fragment, sum: graph.NewQuickXor()}
}

// held reports whether a session was refused since there is another one (Q20): most often our own
// whose address was lost with the answer, or with the process, and that nobody can end before its
// time. The service has the same code for that and for a name that is taken.
func (s *sending) held(ctx context.Context, err error) bool {
	var e *graph.Error
	if !errors.As(err, &e) || e.Status != http.StatusConflict || e.Kind != graph.Exist && e.Kind != graph.Locked {
		return false
	}
	if s.u.ID != "" {
		return e.Kind == graph.Locked
	}
	_, err = s.look(ctx, 0)
	return errors.Is(err, graph.NotExist)
}

// Abandon ends an upload session begun earlier that nobody will go on with. Left alone it would
// hold the file and count against the quota (Q20). One that is over already is no error.
func (d *Drive) Abandon(ctx context.Context, address string) error {
	_, err := d.c.do(ctx, call{op: "cancel upload", method: http.MethodDelete, url: address, storage: true})
	if ended(err) || stale(err) {
		return nil
	}
	return err
}

// begin opens a new session and tells its address before the first byte is sent.
func (s *session) begin(ctx context.Context) error {
	r, err := s.d.c.do(ctx, s.beginCall())
	if err != nil {
		return s.taken(ctx, err)
	}
	if s.url, err = s.begun(r); err != nil {
		return err
	}
	if s.u.Begun != nil {
		if err := s.u.Begun(s.url); err != nil {
			s.cancel(ctx)
			return err
		}
	}
	return nil
}

func (s *sending) beginCall() call {
	item := sessionItem{Conflict: "replace"}
	k := call{op: "upload", item: s.label, method: http.MethodPost, missing: freshMissing}
	if s.u.ID != "" {
		k.url = s.d.c.address(s.d.itemPath(s.u.ID) + "/createUploadSession")
	} else {
		item.Conflict, item.Name = failIfTaken, name.Remote(s.u.Name)
		k.url = s.d.c.address(s.d.childPath(s.u.Parent, s.u.Name) + ":/createUploadSession")
	}
	if !s.u.ModTime.IsZero() {
		item.Times = &wireTimes{Modified: formatTime(s.u.ModTime)}
		if s.u.ID == "" && !s.u.Created.IsZero() {
			item.Times.Created = formatTime(s.u.Created)
		}
	}
	k.json = newSession{item}
	return k
}

// begun reads the address of a new session.
func (s *sending) begun(r reply) (string, error) {
	var state sessionState
	if !r.decode(&state) || state.URL == "" {
		return "", s.fault(graph.Lost, "the service opened an upload session without saying where")
	}
	return state.URL, nil
}

// taken finds out what a refusal of a name means: a session that somebody left open holds the file
// and is refused the same way (Q20).
func (s *sending) taken(ctx context.Context, err error) error {
	var e *graph.Error
	if s.u.ID == "" {
		err = s.d.whyMissing(ctx, s.u.Parent, s.u.Name, err)
	}
	if !errors.As(err, &e) || e.Kind != graph.Exist || e.Status != http.StatusConflict || similar(e) {
		return err
	}
	if s.u.ID == "" {
		if _, look := s.look(ctx, soughtMissing); !errors.Is(look, graph.NotExist) {
			return err
		}
	}
	e.Kind, e.Message = graph.Locked, "another upload of this file is under way, or was left unfinished"
	return e
}

// resume goes on with a session begun earlier, perhaps by another run of the program, or finds
// that it committed the file.
func (s *session) resume(ctx context.Context) (graph.Item, error) {
	if i, done, err := s.ask(ctx, true); done || err != nil {
		switch {
		case done:
			s.over()
		case errors.Is(err, errDead):
			s.cancel(ctx)
		}
		return i, err
	}
	return s.send(ctx)
}

// send sends fragments until the service says that the file is there.
func (s *session) send(ctx context.Context) (graph.Item, error) {
	for {
		var i graph.Item
		var done bool
		var err error
		if s.pos < s.u.Size {
			i, done, err = s.fragment(ctx)
		} else if i, done, err = s.ask(ctx, true); err == nil && !done && s.pos >= s.u.Size {
			err = s.fault(graph.Lost, "the service has all bytes and does not say that the file is there")
		}
		if done {
			s.pos = s.u.Size
		}
		if err == nil {
			err = s.tally(s.pos)
		}
		if err != nil {
			return s.end(ctx, err)
		}
		if s.u.Sent != nil {
			s.u.Sent(s.pos)
		}
		if done {
			s.over()
			told := s.lookBack(ctx, s.seen, i)
			i, err := s.confirm(ctx, i, graph.HashOf(s.sum))
			if told != nil {
				return i, told
			}
			return i, err
		}
	}
}

// end leaves a session that failed. Where the network is what failed, or nobody waits any more, it stays, to be gone
// on with later; else it is deleted, as it would hold the file and count against the quota (Q20).
func (s *session) end(ctx context.Context, err error) (graph.Item, error) {
	switch {
	case ctx.Err() != nil && !errors.Is(context.Cause(ctx), graph.Changed) && s.u.Begun != nil:
	case ctx.Err() == nil && (hazy(err) || errors.Is(err, graph.Throttled) || errors.Is(err, graph.SignIn)):
	default:
		s.cancel(ctx)
	}
	if s.u.ID == "" {
		err = s.d.whyMissing(ctx, s.u.Parent, s.u.Name, err)
	}
	return graph.Item{}, err
}

// over tells that the session is no more.
func (s *session) over() {
	if s.u.Begun != nil {
		_ = s.u.Begun("") // nothing is left that could be stopped
	}
}

// cancel deletes the session, even after the caller's context has ended.
func (s *session) cancel(ctx context.Context) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), cancelTime)
	defer stop()
	_, err := s.d.c.do(ctx, call{op: "cancel upload", item: s.label, method: http.MethodDelete, url: s.url, storage: true})
	if err == nil || ended(err) || stale(err) {
		s.over()
	}
}

// fragmentEnd cuts the next fragment. The last one of an upload that replaces a file is kept
// small, so that little time passes between the look at the file and the commit.
func fragmentEnd(pos, size, most int64, guarded bool) int64 {
	left := size - pos
	if !guarded || size <= most {
		return pos + min(left, most)
	}
	body := (left - 1) / fragmentUnit * fragmentUnit // all but the last fragment
	if body == 0 {
		return size
	}
	return pos + min(body, most)
}

// nextFragment says how long the next fragment may be after one of some bytes took a time. It aims at some seconds
// each: long enough that the answers between them cost nothing, short enough that a break loses little.
func nextFragment(sent, size int64, took time.Duration) int64 {
	switch {
	case took < shortFragment && sent >= size:
		size *= 2
	case took > longFragment:
		size /= 2
	}
	return min(max(size/fragmentUnit, 1), maxFragmentUnits) * fragmentUnit
}

// fragment sends the next fragment, and finds out where the session stands if that fails. It is
// done when the service has made the file.
func (s *session) fragment(ctx context.Context) (i graph.Item, done bool, err error) {
	end := fragmentEnd(s.pos, s.u.Size, s.size, s.u.ID != "")
	last := end == s.u.Size
	if last && s.u.ID != "" {
		if s.seen, err = s.unchanged(ctx); err != nil {
			return graph.Item{}, false, err
		}
	}
	s.whole = s.whole || last
	pos, began := s.pos, time.Now()
	r, err := s.d.c.do(ctx, call{op: "upload", item: s.label, method: http.MethodPut, url: s.url, storage: true,
		slow:   last, // the service puts the file together
		stream: func() io.Reader { return io.NewSectionReader(s.u.Body, pos, end-pos) }, length: end - pos,
		header: map[string]string{
			"Content-Range": fmt.Sprintf("bytes %d-%d/%d", pos, end-1, s.u.Size),
			"Content-Type":  "application/octet-stream",
		}})
	if err == nil {
		if w, ok := made(r); ok {
			return w.item(), true, nil
		}
		var state sessionState
		s.pos = end
		if r.decode(&state) {
			if next, ok := state.next(); ok {
				s.pos = min(next, s.u.Size)
			}
		}
		if s.pos > pos {
			s.troubles = 0
			if s.d.c.opts.grows {
				s.size = nextFragment(end-pos, s.size, time.Since(began))
			}
			return graph.Item{}, false, nil
		}
		return graph.Item{}, false, s.trouble(ctx, s.fault(graph.Failed, "the service does not take the bytes"))
	}
	if ctx.Err() != nil {
		return graph.Item{}, false, err
	}
	if own := s.broken(); own != nil {
		return graph.Item{}, false, own
	}
	switch {
	case stale(err):
		return graph.Item{}, false, errors.Join(errDead, err)
	case hazy(err), errors.Is(err, graph.Failed), ended(err):
		// Also 416: a fragment that did arrive before is refused that way (Q18).
	default:
		return graph.Item{}, false, err
	}
	if err := s.trouble(ctx, err); err != nil {
		return graph.Item{}, false, err
	}
	i, done, asked := s.ask(ctx, last)
	var e, said *graph.Error
	if errors.As(asked, &e) && e.Kind == graph.Failed && e.Status == 0 && errors.As(err, &said) && said.Status != 0 {
		e.Message = said.Message + "; then " + e.Message // the cause, in the service's words
	}
	return i, done, asked
}

// trouble counts a failure and waits a moment, or gives up.
func (s *session) trouble(ctx context.Context, err error) error {
	if s.troubles++; s.troubles > maxTroubles {
		return err
	}
	if s.d.c.opts.grows {
		s.size = max(s.size/2/fragmentUnit, 1) * fragmentUnit
	}
	return sleep(ctx, missingFirst<<s.troubles)
}

// ask asks how much the service has. A session that is not found has committed the file, if all
// was sent, or is dead.
func (s *session) ask(ctx context.Context, all bool) (i graph.Item, done bool, err error) {
	if s.asks++; s.asks > maxAsks {
		return graph.Item{}, false, s.fault(graph.Failed, "the upload session does not get on")
	}
	var state sessionState
	err = s.d.c.get(ctx, call{op: "upload", item: s.label, url: s.url, storage: true, missing: knownMissing}, &state)
	switch {
	case err == nil:
		next, ok := state.next()
		if !ok || next > s.u.Size {
			return graph.Item{}, false, s.fault(graph.Failed, "the service does not say which bytes it wants")
		}
		s.pos = next
		return graph.Item{}, false, nil
	case stale(err):
		return graph.Item{}, false, errDead
	case !ended(err):
		var e *graph.Error
		if all && errors.As(err, &e) && e.Kind == graph.Offline {
			e.Kind = graph.Lost // the file may be there
		}
		return graph.Item{}, false, err
	case !all:
		return graph.Item{}, false, errDead
	}
	return s.committed(ctx)
}

// committed looks whether the item has the bytes that were sent.
func (s *session) committed(ctx context.Context) (graph.Item, bool, error) {
	w, err := s.look(ctx, knownMissing)
	switch {
	case errors.Is(err, graph.NotExist) && s.u.ID == "" && s.whole: // it may have been moved since
		s.over()
		return graph.Item{}, false, s.fault(graph.Lost, "the upload session has ended, and the file is not where it was to be")
	case errors.Is(err, graph.NotExist):
		return graph.Item{}, false, errDead
	case err != nil:
		return graph.Item{}, false, err
	}
	if err := s.tally(s.u.Size); err != nil {
		return graph.Item{}, false, err
	}
	i, sent := w.item(), graph.HashOf(s.sum)
	switch {
	case s.u.Base.Hash.Equal(sent) && (i.CTag == "" || s.u.Base.CTag == "" || i.CTag == s.u.Base.CTag):
		return graph.Item{}, false, errDead // the bytes before have the same hash, and may still be there
	case i.Type == graph.File && i.Size == s.u.Size && (i.Hash.Equal(sent) || i.Hash == "" && graph.SameSecond(i.ModTime, s.u.ModTime)):
		return i, true, nil
	case s.u.ID != "" && s.u.Base != (graph.Version{}) && i.Version().Same(s.u.Base):
		return graph.Item{}, false, errDead
	case i.Type == graph.File && rewritten(i.Name) && graph.SameSecond(i.ModTime, s.u.ModTime):
		return i, true, nil // ours, and the library has put its properties into it (Q14)
	}
	s.over()
	return graph.Item{}, false, s.fault(graph.Lost, "the upload session has ended, and the file is not what was sent")
}

// tally brings the hash up to a byte, and never back. It reads the bytes once more, while they are
// in memory anyway, since a transport may still be reading a fragment that it has given up.
func (s *session) tally(to int64) error {
	if to <= s.summed {
		return nil
	}
	n, err := io.Copy(s.sum, io.NewSectionReader(s.u.Body, s.summed, to-s.summed))
	s.summed += n
	if err != nil || s.summed != to {
		return &graph.Error{Op: "upload", Item: s.label, Kind: graph.Failed, Message: "the local bytes cannot be read", Err: err}
	}
	return nil
}
