package graphtest

import (
	"fmt"
	"maps"
	"net/url"
	"path"
	"strings"
)

// Quirks switches on lasting oddities of the real service (graph-quirks). Those that strike now and
// then are made with [Fault] instead.
type Quirks struct {
	// LoseTombstones never tells the feed of a deletion (Q9).
	LoseTombstones bool `json:"lose_tombstones,omitempty"`
	// DuplicateFeed sends every changed file twice in its page, first with a state long past (Q11).
	DuplicateFeed bool `json:"duplicate_feed,omitempty"`
	// EncodedNames percent-encodes names in the feed (Q12).
	EncodedNames bool `json:"encoded_names,omitempty"`
	// NoHashes leaves hashes out everywhere (Q13).
	NoHashes bool `json:"no_hashes,omitempty"`
	// WrongSizes lists .heic, .docx, .xlsx and .pptx files with another size and hash than their
	// bytes have (Q15).
	WrongSizes bool `json:"wrong_sizes,omitempty"`
	// ShortDriveIDs spells ids of personal drives in lower case and without leading zeros in
	// parentReference (Q16).
	ShortDriveIDs bool `json:"short_drive_ids,omitempty"`
	// PhantomDrives lists system drives that cannot be opened (Q17).
	PhantomDrives bool `json:"phantom_drives,omitempty"`
	// OddTimes gives files dates such as 0001-01-01 (Q25).
	OddTimes bool `json:"odd_times,omitempty"`
	// MoveResetsTime sets the modification time of what is moved to now, unless the same call
	// gives it (Q30).
	MoveResetsTime bool `json:"move_resets_time,omitempty"`
	// HoldFolders refuses to delete a folder that is not empty (Q31).
	HoldFolders bool `json:"hold_folders,omitempty"`
	// RefuseLongURLs answers 401 without a body to addresses of more than 2048 bytes, as SharePoint
	// does to long paths in other scripts (graph-facts §11.2).
	RefuseLongURLs bool `json:"refuse_long_urls,omitempty"`
	// EventObjects sends the payload of a change notice as an object instead of JSON in a string.
	EventObjects bool `json:"event_objects,omitempty"`
	// EventsAtRoot sends change notices outside of their namespace.
	EventsAtRoot bool `json:"events_at_root,omitempty"`
	// Collation calls æ and ae, ø and o, ß and ss equal in names (Q33).
	Collation bool `json:"collation,omitempty"`
}

// SetQuirks replaces the quirks in force.
func (s *Server) SetQuirks(q Quirks) { s.mu.Lock(); defer s.mu.Unlock(); s.quirks = q }

// distort makes the JSON of an item as odd as the quirks say. The caller holds the lock.
func (q Quirks) distort(o object, d *Drive, it *item, feed bool) {
	s := d.s
	if feed && (q.EncodedNames || s.odd(12)) {
		o["name"] = url.PathEscape(it.name)
	}
	if ref, ok := o["parentReference"].(object); ok && d.kind == Personal && (q.ShortDriveIDs || s.odd(16)) {
		ref["driveId"] = strings.ToLower(strings.TrimLeft(d.id, "0"))
	}
	file, ok := o["file"].(object)
	if !ok {
		return
	}
	switch strings.ToLower(path.Ext(it.name)) {
	case ".heic", ".docx", ".xlsx", ".pptx":
		if q.WrongSizes || s.odd(15) {
			o["size"] = it.size + 2207
			file["hashes"] = object{"quickXorHash": "AQEBAQEBAQEBAQEBAQEBAQEBAQE="}
		}
	}
	if q.NoHashes || s.odd(13) {
		delete(file, "hashes")
	}
	if q.OddTimes {
		o["fileSystemInfo"] = object{"createdDateTime": nil, "lastModifiedDateTime": "0001-01-01T00:00:00Z"}
	} else if n, ok := s.oddly(25); ok {
		o["fileSystemInfo"] = object{"createdDateTime": oddTime(uint64(n) + 1), "lastModifiedDateTime": oddTime(uint64(n))}
	}
}

// stale is an entry of the feed with a state long past.
func (q Quirks) stale(o object) object {
	old := maps.Clone(o)
	old["name"] = fmt.Sprint("before ", o["name"])
	old["eTag"] = "\"{00000000-0000-0000-0000-000000000000},1\""
	return old
}

var collation = strings.NewReplacer("æ", "ae", "ø", "o", "ß", "ss", "œ", "oe")

// similar refuses a name that the server's collation calls equal to that of another child.
func (d *Drive) similar(parent *item, name string, except *item) error {
	if !d.s.quirks.Collation && d.s.odds[33] == nil {
		return nil
	}
	want := collation.Replace(fold(name))
	for key, kid := range parent.children {
		if kid != except && collation.Replace(key) == want && (d.s.quirks.Collation || d.s.odd(33)) {
			e := errExists()
			e.inner = "similarRelationshipNameAlreadyExists"
			return e
		}
	}
	return nil
}
