package content_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/duskfs/duskfs/cache/content"
)

func TestACloneHasTheSealedBytes(t *testing.T) {
	s, err := content.Open(t.TempDir(), content.Options{FreeFloor: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	f, err := s.Create(7, 1, content.Tag{Path: "/a"})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt([]byte("first words"), 0); err != nil {
		t.Fatal(err)
	}
	snap, err := f.Seal(1)
	if err != nil {
		t.Fatal(err)
	}
	defer snap.Release()
	to := filepath.Join(t.TempDir(), "clone")
	if err := snap.Clone(to); err != nil {
		t.Fatal(err)
	}
	if err := f.Unseal(2, content.Tag{Path: "/a"}); err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("other"), 0); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(to); err != nil || string(got) != "first words" {
		t.Errorf("the clone has %q, %v", got, err)
	}
	if st, err := os.Stat(to); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", st.Mode(), err)
	}
	late := filepath.Join(t.TempDir(), "late")
	if err := snap.Clone(late); !errors.Is(err, content.ErrUnsealed) {
		t.Errorf("after a write: %v", err)
	}
	if _, err := os.Stat(late); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("half a clone is left: %v", err)
	}
}
