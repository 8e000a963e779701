package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/graph"
)

// Exported is a file that `export-pending` copied, as `--json` prints it.
type Exported struct {
	File    string    `json:"file"` // the copy; empty if it failed
	Path    string    `json:"path"` // from the root of its drive; empty if nobody knows
	Size    int64     `json:"size"`
	Time    time.Time `json:"time"`
	Already bool      `json:"already"` // an equal copy was there
	Error   string    `json:"error,omitempty"`
}

// ExportPending copies the bytes of all unsent work in a state folder into a folder, making it if
// needed. It needs no network, no mount, no sign-in and no rows. What is there already stays. States
// that were moved aside as damaged count as rescued when all that is in them was copied.
func ExportPending(ctx context.Context, stateDir, folder string) ([]Exported, error) {
	if err := outsideOfMounts(ctx, stateDir, folder); err != nil {
		return nil, err
	}
	accounts, err := accountDirs(stateDir)
	if err != nil {
		return nil, err
	}
	type found struct {
		dir  string
		work []cache.Unsent
	}
	var all []found
	for _, dir := range accounts {
		work, err := cache.UnsentWork(dir)
		if err != nil {
			return nil, fmt.Errorf("find unsent work in %s: %w", dir, err)
		}
		if len(work) > 0 {
			all = append(all, found{dir, work})
		}
	}
	out := []Exported{}
	if len(all) == 0 {
		return out, nil
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, fmt.Errorf("make the folder for what is unsent: %w", err)
	}
	to, err := os.OpenRoot(folder)
	if err != nil {
		return nil, fmt.Errorf("open the folder for what is unsent: %w", err)
	}
	defer to.Close()
	for _, f := range all {
		names := driveNames(f.dir)
		failed := false
		for _, u := range f.work {
			if ctx.Err() != nil {
				return out, ctx.Err()
			}
			under := names[u.Drive]
			if under == "" {
				under = fileName(string(u.Drive))
			}
			if len(all) > 1 {
				under = filepath.Join(fileName(filepath.Base(f.dir)), under)
			}
			e := Exported{Path: u.Path, Size: u.Size, Time: u.ModTime.UTC()}
			r, err := u.Rescue(to, under)
			if err != nil {
				failed, e.Error = true, err.Error()
			} else {
				e.File, e.Already = filepath.Join(folder, r.To), r.Had
			}
			out = append(out, e)
		}
		if failed {
			continue
		}
		damages, err := cache.Damages(f.dir)
		if err != nil {
			return out, err
		}
		for _, d := range damages {
			if err := d.MarkRescued(); err != nil {
				return out, err
			}
		}
	}
	return out, nil
}

// outsideOfMounts refuses a folder in a mount: copies there would be unsent work again; and one in the
// state folder.
func outsideOfMounts(ctx context.Context, stateDir, folder string) error {
	if control.Inside(stateDir, folder) {
		return fmt.Errorf("%s is in the state folder: choose another folder", folder)
	}
	live, err := control.NewRegistry(stateDir).List(ctx)
	if err != nil {
		return nil // then nothing runs that it could be in
	}
	for _, r := range live {
		if control.Inside(r.Mount, folder) {
			return fmt.Errorf("%s is in the mount %s: choose a folder of this machine's own", folder, r.Mount)
		}
	}
	return nil
}

// accountDirs lists the folders of accounts in a state folder.
func accountDirs(stateDir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(stateDir, "accounts"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look into the state folder: %w", err)
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() {
			dirs = append(dirs, filepath.Join(stateDir, "accounts", e.Name()))
		}
	}
	return dirs, nil
}

// driveNames are names of folders for the drives of an account, by what people typed for them.
func driveNames(dir string) map[graph.DriveID]string {
	names := map[graph.DriveID]string{}
	text, err := os.ReadFile(filepath.Join(dir, "names.json"))
	if err != nil {
		return names
	}
	typed := map[string]graph.DriveID{}
	_ = json.Unmarshal(text, &typed) // without it the ids of drives serve
	for what, id := range typed {
		name := fileName(what)
		if what, _, _ := strings.Cut(what, ":"); what == "me" {
			name = "OneDrive"
		}
		if old := names[id]; old == "" || name < old {
			names[id] = name
		}
	}
	return names
}

// fileName makes a name for a folder of something that people typed.
func fileName(s string) string {
	s = strings.Trim(strings.Map(func(r rune) rune {
		if strings.ContainsRune(`/\:*?"<>|#`, r) || r < ' ' {
			return '-'
		}
		return r
	}, s), "-. ")
	if s == "" {
		return "drive"
	}
	return s
}
