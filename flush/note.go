package flush

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
)

// noteFile, in the folder of the account's state, is what an engine remembers.
const noteFile = "engine.json"

// noteEvery is how often the time of a refresh is written down at most.
const noteEvery = time.Hour

// note is what an engine remembers beyond its own life. Losing it loses nothing that matters. Others cannot read the file:
// addresses of upload sessions are credentials.
type note struct {
	path string
	log  *slog.Logger

	mu   sync.Mutex // guards what follows, and the file
	text noteText
	kept map[cache.DriveNum]time.Time // as in the file
}

type noteText struct {
	Paused  bool                         `json:"paused"`
	Reached map[cache.DriveNum]time.Time `json:"reached"` // when remote changes were last brought in
	// Unpublished are files that were sent and could not be checked in.
	Unpublished map[cache.DriveNum][]unpublished `json:"unpublished,omitempty"`
	// Sessions are upload sessions that were broken off.
	Sessions map[cache.DriveNum][]cache.Attempt `json:"sessions,omitempty"`
}

// unpublished is a file that others do not see.
type unpublished struct {
	Item   graph.ItemID `json:"item"`
	Path   string       `json:"path"` // when it was sent
	Reason string       `json:"reason"`
	Since  time.Time    `json:"since"`
	Tries  int          `json:"tries"`
}

func (n *note) unpublished(d cache.DriveNum) []unpublished {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.text.Unpublished[d])
}

// addUnpublished adds a file, or tells of one once more.
func (n *note) addUnpublished(d cache.DriveNum, u unpublished) {
	n.mu.Lock()
	defer n.mu.Unlock()
	list := slices.DeleteFunc(n.text.Unpublished[d], func(o unpublished) bool { return o.Item == u.Item })
	n.putUnpublished(d, append(list, u))
}

func (n *note) setUnpublished(d cache.DriveNum, list []unpublished) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(list) == 0 && len(n.text.Unpublished[d]) == 0 {
		return
	}
	n.putUnpublished(d, list)
}

// putUnpublished replaces the list. The caller has mu.
func (n *note) putUnpublished(d cache.DriveNum, list []unpublished) {
	if n.text.Unpublished == nil {
		n.text.Unpublished = map[cache.DriveNum][]unpublished{}
	}
	n.text.Unpublished[d] = list
	n.write()
}

// sessions is what a note keeps of one drive for its Pusher.
type sessions struct {
	*note
	drive cache.DriveNum
}

// Sessions implements push.Sessions.
func (s sessions) Sessions() []cache.Attempt {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.text.Sessions[s.drive])
}

// KeepSessions implements push.Sessions.
func (s sessions) KeepSessions(list []cache.Attempt) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(list) == 0 && len(s.text.Sessions[s.drive]) == 0 {
		return
	}
	if s.text.Sessions == nil {
		s.text.Sessions = map[cache.DriveNum][]cache.Attempt{}
	}
	if s.text.Sessions[s.drive] = list; len(list) == 0 {
		delete(s.text.Sessions, s.drive)
	}
	s.write()
}

func readNote(dir string, log *slog.Logger) *note {
	n := &note{path: filepath.Join(dir, noteFile), log: log, kept: map[cache.DriveNum]time.Time{}}
	text, err := os.ReadFile(n.path)
	if err == nil {
		err = json.Unmarshal(text, &n.text)
	}
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		log.Warn("what the engine had noted cannot be read", "file", n.path, "err", err)
	}
	if n.text.Reached == nil {
		n.text.Reached = map[cache.DriveNum]time.Time{}
	}
	for d, at := range n.text.Reached {
		n.kept[d] = at
	}
	return n
}

func (n *note) paused() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Paused
}

func (n *note) pause(paused bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.text.Paused != paused {
		n.text.Paused = paused
		n.write()
	}
}

func (n *note) reached(d cache.DriveNum) time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Reached[d]
}

// reach notes that a drive was reached. To the file that goes now and then only.
func (n *note) reach(d cache.DriveNum, at time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.text.Reached[d] = at.UTC()
	if since := at.Sub(n.kept[d]); since >= noteEvery || since < 0 {
		n.write()
	}
}

// save writes down what only goes to the file now and then.
func (n *note) save() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for d, at := range n.text.Reached {
		if !n.kept[d].Equal(at) {
			n.write()
			return
		}
	}
}

// write replaces the file. The caller has mu.
func (n *note) write() {
	text, err := json.Marshal(n.text)
	if err == nil {
		temp := n.path + ".new"
		if err = os.WriteFile(temp, text, 0o600); err == nil {
			err = os.Rename(temp, n.path)
		}
	}
	if err != nil {
		n.log.Warn("the engine's note cannot be written", "file", n.path, "err", err)
		return
	}
	for d, at := range n.text.Reached {
		n.kept[d] = at
	}
}
