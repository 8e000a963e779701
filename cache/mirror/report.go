package mirror

import (
	"encoding/json"
	"os"
)

// Report tells what changed in the folder since the report before it. Paths are relative to the data folder, with slashes.
// A file that moved is in Deleted at its old path and in Added at its new one. Where one file took the place of another,
// the path is in Modified.
type Report struct {
	Timestamp string  `json:"timestamp"` // local time, as in the name of the file
	Summary   Summary `json:"summary"`
	Changes   Changes `json:"changes"`

	Schema   int                 `json:"schema"` // 1
	Drive    ReportDrive         `json:"drive"`
	Partial  bool                `json:"partial"` // something is not as it should be, or not known; see Problems
	Restored map[string]Restored `json:"restored"`
	Problems []Problem           `json:"problems"`
}

// Summary has the numbers of a report.
type Summary struct {
	TotalFiles      int `json:"total_files"` // in the folder by now
	Added           int `json:"added_count"`
	Modified        int `json:"modified_count"`
	Deleted         int `json:"deleted_count"`
	PermissionsOnly int `json:"permission_only_changes_count"`
}

// Changes are the files that changed, by path.
type Changes struct {
	Added           map[string]Added           `json:"added"`
	Modified        map[string]Modified        `json:"modified"`
	PermissionsOnly map[string]PermissionsOnly `json:"permission_only_changes"`
	Deleted         map[string]Deleted         `json:"deleted"`
}

// Added is a file that is new at its path.
type Added struct {
	Permissions []string `json:"permissions"`
	// Unknown: the permissions could not be read. Nobody is named; that does not mean that nobody may see it. A later
	// report names who may.
	Unknown  bool   `json:"permissions_unknown,omitempty"`
	FilePath string `json:"file_path"` // as the folder was named, with its data folder
	Facts
	MovedFrom string `json:"moved_from,omitempty"`
}

// Modified is a file whose bytes are others.
type Modified struct {
	ContentChanged     bool              `json:"content_changed"`
	PermissionsChanged bool              `json:"permissions_changed"`
	FilePath           string            `json:"file_path"`
	PermissionChanges  PermissionChanges `json:"permission_changes"`
	Unknown            bool              `json:"permissions_unknown,omitempty"`
	Facts
	// Replaces is the item that had the path before, if it was another.
	Replaces string `json:"replaces,omitempty"`
}

// PermissionsOnly is a file that other people may see now.
type PermissionsOnly struct {
	PermissionChanges PermissionChanges `json:"permission_changes"`
	FilePath          string            `json:"file_path"`
	Facts
}

// Deleted is a file that is not at its path any more.
type Deleted struct {
	Permissions []string `json:"permissions"` // as last told
	Item        string   `json:"item"`
}

// Facts name a file.
type Facts struct {
	Item string `json:"item"`           // id in the drive; it survives renames and moves
	Size int64  `json:"size"`           // bytes
	Hash string `json:"hash,omitempty"` // quickXorHash, base64
}

// Restored is a file that was not as the mirror had left it, for a reason: missing, changed, or in the way of a file of
// the drive.
type Restored struct {
	Reason string `json:"reason"`
	Saved  string `json:"saved_as,omitempty"` // path of what was here, set aside
}

// ReportDrive names the drive of a report.
type ReportDrive struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Site string `json:"site,omitempty"`
	URL  string `json:"url,omitempty"`
}

// ReadReport reads a report, all of it into memory.
func ReadReport(file string) (Report, error) {
	var r Report
	b, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(b, &r)
	}
	return r, err
}
