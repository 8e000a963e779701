package content

import (
	"bytes"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestCopyFileKeepsBytesAndHoles(t *testing.T) {
	dir := t.TempDir()
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	text := append(bytes.Repeat([]byte{0}, 8<<20), "in the midst"...)
	text = append(text, bytes.Repeat([]byte{0}, 8<<20+5)...)
	if err := os.WriteFile(from, text, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := CopyFile(from, to); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(to); err != nil || !bytes.Equal(got, text) {
		t.Errorf("other bytes: %v", err)
	}
	st, err := os.Stat(to)
	if err != nil {
		t.Fatal(err)
	}
	if st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", st.Mode())
	}
	if sys, ok := st.Sys().(*syscall.Stat_t); ok && sys.Blocks*512 > 4<<20 {
		t.Errorf("takes %d bytes", sys.Blocks*512)
	}
	if err := CopyFile(from, to); !os.IsExist(err) {
		t.Errorf("replaced a file: %v", err)
	}
}
