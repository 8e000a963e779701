package rest

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"strings"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/name"
)

// wireItem is a driveItem as it comes (graph-facts §3). Facets that count by their presence alone
// are kept raw.
type wireItem struct {
	ID      string        `json:"id"`
	Name    wireName      `json:"name"`
	Size    flexInt       `json:"size"`
	ETag    string        `json:"eTag"`
	CTag    string        `json:"cTag"`
	WebURL  string        `json:"webUrl"`
	File    *wireFile     `json:"file"`
	Folder  facet         `json:"folder"`
	Package facet         `json:"package"`
	Remote  *wireRemote   `json:"remoteItem"`
	Root    facet         `json:"root"`
	Deleted facet         `json:"deleted"`
	Parent  wireReference `json:"parentReference"`
	Times   wireTimes     `json:"fileSystemInfo"`
	// Modified is when the service last changed anything of the item.
	Modified string `json:"lastModifiedDateTime"`
	// Download is pre-authenticated: a secret.
	Download string `json:"@microsoft.graph.downloadUrl"`
	// Shared says in the feed whether sharing changed: "True", or true.
	Shared facet `json:"@microsoft.graph.sharedChanged"`
}

type wireFile struct {
	Hashes struct {
		QuickXor string `json:"quickXorHash"`
	} `json:"hashes"`
}

type wireReference struct {
	ID string `json:"id"`
}

// wireRemote is what a shortcut stands for, in another drive.
type wireRemote struct {
	ID     string `json:"id"`
	Parent struct {
		Drive string `json:"driveId"`
	} `json:"parentReference"`
}

type wireTimes struct {
	Created  string `json:"createdDateTime,omitempty"`
	Modified string `json:"lastModifiedDateTime,omitempty"`
}

// facet is a property whose presence says something. null is absence.
type facet json.RawMessage

func (f *facet) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*f = nil
		return nil
	}
	*f = append((*f)[:0], b...)
	return nil
}

func (f facet) here() bool { return len(f) > 0 }

// flexInt is a number that some drives send as a string, or as null (graph-facts §16).
type flexInt int64

func (n *flexInt) UnmarshalJSON(b []byte) error {
	text := strings.Trim(string(b), `"`)
	if v, err := strconv.ParseInt(text, 10, 64); err == nil {
		*n = flexInt(v)
	} else if v, err := strconv.ParseFloat(text, 64); err == nil {
		*n = flexInt(v)
	}
	return nil // anything else is unknown: 0
}

// wirePage is one page of a collection or of the change feed.
type wirePage struct {
	Value []wireItem `json:"value"`
	Next  string     `json:"@odata.nextLink"`
	Delta string     `json:"@odata.deltaLink"`
}

// item translates a driveItem. A tombstone keeps its id alone, as nothing else of it is true.
func (w wireItem) item() graph.Item {
	if w.Deleted.here() {
		return graph.Item{ID: graph.ItemID(w.ID), Deleted: true}
	}
	i := graph.Item{
		ID:      graph.ItemID(w.ID),
		Parent:  graph.ItemID(w.Parent.ID),
		Root:    w.Root.here(),
		Size:    max(0, int64(w.Size)),
		ETag:    w.ETag,
		CTag:    w.CTag,
		ModTime: parseTime(w.Times.Modified),
		Created: parseTime(w.Times.Created),
		WebURL:  w.WebURL,

		SharingChanged: strings.EqualFold(strings.Trim(string(w.Shared), `"`), "true"),
	}
	if w.Name.here {
		i.Name = name.Local(w.Name.text)
	}
	switch {
	case i.Root:
		i.Type, i.Parent = graph.Folder, ""
	case w.Remote != nil:
		i.Type, i.Target, i.TargetDrive = graph.Shortcut, graph.ItemID(w.Remote.ID), graph.DriveID(w.Remote.Parent.Drive)
	case w.Package.here():
		i.Type = graph.Package
	case w.Folder.here():
		i.Type = graph.Folder
	case w.File != nil:
		i.Type = graph.File
		i.Hash = parseHash(w.File.Hashes.QuickXor, i.Size)
	}
	return i
}

// emptyHash is the hash of no bytes. On anything longer it is bogus (graph-facts §12).
const emptyHash = "AAAAAAAAAAAAAAAAAAAAAAAAAAA="

// parseHash reads a quickXorHash in base64, or in hexadecimal as old personal drives sent it
// (graph-facts §3.2). Anything else is unknown.
func parseHash(text string, size int64) graph.Hash {
	var raw []byte
	var err error
	switch len(text) {
	case 28:
		raw, err = base64.StdEncoding.DecodeString(text)
	case 40:
		raw, err = hex.DecodeString(text)
	}
	if err != nil || len(raw) != 20 {
		return ""
	}
	h := base64.StdEncoding.EncodeToString(raw)
	if h == emptyHash && size != 0 {
		return ""
	}
	return graph.Hash(h)
}

// parseTime reads a time. What no file of anybody's can have (year 1, the far future) is unknown
// (Q25).
func parseTime(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil || t.Year() <= 1601 || t.Year() >= 2500 {
		return time.Time{}
	}
	return t.UTC()
}

// formatTime writes a time the way every drive takes it. Business drives keep whole seconds,
// personal ones milliseconds (graph-facts §3.3).
func formatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// wireDrive is a drive as it comes (graph-facts §2, §16).
type wireDrive struct {
	ID     string `json:"id"`
	Name   string `json:"name"`
	Type   string `json:"driveType"`
	WebURL string `json:"webUrl"`
	System facet  `json:"system"` // a drive of the service's own, which nobody can open (Q17)
	Owner  struct {
		User, Group *struct {
			Name  string `json:"displayName"`
			Email string `json:"email"`
			UPN   string `json:"userPrincipalName"`
		}
	} `json:"owner"`
	Quota struct {
		Total, Used, Remaining, Deleted flexInt
	} `json:"quota"`
}

// drive translates a drive; the site is the display name of the one it was found in.
func (w wireDrive) drive(site string) graph.Drive {
	d := graph.Drive{
		ID:     graph.DriveID(w.ID),
		Name:   w.Name,
		Type:   w.Type,
		Site:   site,
		WebURL: w.WebURL,
		Quota: graph.Quota{
			Total: int64(w.Quota.Total), Used: int64(w.Quota.Used),
			Remaining: max(0, int64(w.Quota.Remaining)), Deleted: int64(w.Quota.Deleted),
		},
	}
	switch o := w.Owner; {
	case o.User != nil:
		d.Owner, d.Account = o.User.Name, o.User.UPN
		if d.Account == "" {
			d.Account = o.User.Email
		}
	case o.Group != nil:
		d.Owner = o.Group.Name
	}
	return d
}
