package content

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/duskfs/duskfs/graph"
)

const sidecarSuffix = ".json"

// sidecar is what is written beside the data of a body. It claims no byte that was not written
// before it: a body of a remote version starts with a sidecar that claims none, and the one that
// makes it local work is there before the first byte changes.
type sidecar struct {
	Ino   uint64 `json:"ino"`
	Local bool   `json:"local,omitempty"`

	// Of local work: Seq is the sequence of the last Unseal or of Create.
	Seq uint64 `json:"seq,omitempty"`
	Tag *Tag   `json:"tag,omitempty"`

	// Of a clean body: the version, the spans [from, to) that are here and what the data looked like
	// then: its modification and change times, in Unix nanoseconds, and its inode.
	Version *version   `json:"version,omitempty"`
	Ranges  [][2]int64 `json:"ranges,omitempty"`
	Stamp   int64      `json:"stamp,omitempty"`
	Changed int64      `json:"changed,omitempty"`
	Inode   uint64     `json:"inode,omitempty"`
	// Boot is the boot of the machine in which the claims were made, empty if they were synced.
	Boot string `json:"boot,omitempty"`
}

// version is graph.Version as it is written.
type version struct {
	ETag string     `json:"etag,omitempty"`
	CTag string     `json:"ctag,omitempty"`
	Hash graph.Hash `json:"hash,omitempty"`
	Size int64      `json:"size"`
}

func (c sidecar) version() graph.Version {
	if c.Version == nil {
		return graph.Version{}
	}
	return graph.Version(*c.Version)
}

func (c sidecar) ranges() ranges {
	var r ranges
	for _, s := range c.Ranges {
		r = r.add(span{max(s[0], 0), min(s[1], c.version().Size)})
	}
	return r
}

// readSidecar reads the sidecar of the data at path: fs.ErrNotExist if there is none.
func readSidecar(path string) (sidecar, error) {
	var c sidecar
	text, err := os.ReadFile(path + sidecarSuffix)
	if err != nil {
		return c, err
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("sidecar %s%s is damaged: %w", path, sidecarSuffix, err)
	}
	return c, nil
}

// write replaces the sidecar of the data at path, making its folder if needed.
func (c sidecar) write(path string, sync bool) error {
	text, err := json.Marshal(c)
	if err != nil {
		return err
	}
	temp := path + sidecarSuffix + ".new"
	err = writeFile(temp, text, sync)
	if errors.Is(err, fs.ErrNotExist) {
		if err = os.Mkdir(filepath.Dir(path), 0o700); err == nil || errors.Is(err, fs.ErrExist) {
			err = writeFile(temp, text, sync)
		}
	}
	if err != nil {
		return noSpace(err)
	}
	if err := os.Rename(temp, path+sidecarSuffix); err != nil {
		return noSpace(err)
	}
	if sync {
		return syncFolder(filepath.Dir(path))
	}
	return nil
}

func writeFile(path string, text []byte, sync bool) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil && sync {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
