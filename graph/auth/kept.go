package auth

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// KeptSignIn is a person's sign-in that is kept in a folder, as far as it can be told without opening it.
type KeptSignIn struct {
	File string // with the sealed tokens
	Key  string // who keeps the key: "keychain" or "file"; empty if the file is damaged
}

// Kept lists the sign-ins that are kept in a folder. No folder is no sign-in. It asks no keychain and no service.
func Kept(dir string) ([]KeptSignIn, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []KeptSignIn
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".tokens") {
			continue
		}
		k := KeptSignIn{File: filepath.Join(dir, e.Name())}
		sealed, err := os.ReadFile(k.File)
		if err != nil {
			return all, err
		}
		if h, err := keyHolder(sealed); err == nil {
			k.Key = string(h)
		}
		all = append(all, k)
	}
	return all, nil
}
