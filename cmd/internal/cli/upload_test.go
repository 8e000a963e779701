package cli_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// uploadFiles is how many files the script upload-kill brings up, and uploadKills how often it is killed; the variables make
// it a long test.
const (
	uploadFiles = 400
	uploadKills = 6
)

func numberOr(variable string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(variable)); err == nil {
		return n
	}
	return otherwise
}

// fill makes a folder of many files with names of all kinds, the last of which is large.
func (w *world) fill(ts *testscript.TestScript, args []string) error {
	top := ts.MkAbs(args[0])
	r := rand.New(rand.NewPCG(3, 4))
	n := numberOr("DUSKFS_UPLOAD_FILES", uploadFiles)
	odd := []string{"plain", "# % & + ' ,", "two  spaces", "smile 😀", "e\u0301clair", "Ünï", "100%25", "a=b;c@d"}
	for i := range n {
		dir := filepath.Join(top, fmt.Sprintf("%s %d", odd[i%len(odd)], i%3), strconv.Itoa(i%3))
		size := r.IntN(20_000)
		if i == n-1 {
			size = 30 << 20
		}
		text := make([]byte, size)
		for j := range text {
			text[j] = byte(r.Uint32())
		}
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%s %d.bin", odd[i/7%len(odd)], i)), text, 0o600); err != nil {
			return err
		}
	}
	return os.MkdirAll(filepath.Join(top, "empty", "of all"), 0o700)
}

// kills runs a command again and again, killing it after some more requests each time, and then lets it end.
func (w *world) kills(ts *testscript.TestScript, args []string) error {
	var env []string
	for _, v := range append([]string{"HOME=", "PATH=", "TMPDIR="}, w.server.Env()...) {
		name, _, _ := strings.Cut(v, "=")
		env = append(env, name+"="+ts.Getenv(name))
	}
	bin := ""
	for dir := range strings.SplitSeq(ts.Getenv("PATH"), string(filepath.ListSeparator)) {
		if st, err := os.Stat(filepath.Join(dir, args[0])); err == nil && st.Mode()&0o111 != 0 {
			bin = filepath.Join(dir, args[0])
			break
		}
	}
	seed := uint64(time.Now().UnixNano())
	ts.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	each := 4 * numberOr("DUSKFS_UPLOAD_FILES", uploadFiles) / numberOr("DUSKFS_UPLOAD_KILLS", uploadKills)
	killed := 0
	for range numberOr("DUSKFS_UPLOAD_KILLS", uploadKills) {
		c := exec.Command(bin, args[1:]...)
		c.Env, c.Dir = env, ts.MkAbs(".")
		var out bytes.Buffer
		c.Stdout, c.Stderr = &out, &out
		until := w.server.Counts().Writes + 1 + r.IntN(each)
		if err := c.Start(); err != nil {
			return err
		}
		ended := make(chan error, 1)
		go func() { ended <- c.Wait() }()
		look := time.NewTicker(time.Millisecond)
	wait:
		for {
			select {
			case err := <-ended:
				if err != nil {
					return fmt.Errorf("%w: %s", err, out.String())
				}
				break wait
			case <-look.C: // another process sends; only the counter tells how far it is
				if w.server.Counts().Writes < until {
					continue
				}
				if c.Process.Kill() == nil {
					killed++
				}
				<-ended
				break wait
			}
		}
		look.Stop()
	}
	ts.Logf("killed %d times", killed)
	if killed == 0 {
		return fmt.Errorf("it ended before it could be killed")
	}
	return nil
}

// sent compares a folder with one of the drive, by path and SHA-256.
func (w *world) sent(ts *testscript.TestScript, args []string) error {
	there, err := w.drive.Walk()
	if err != nil {
		return err
	}
	want := map[string]string{}
	for _, i := range there {
		if p, ok := strings.CutPrefix(i.Path, args[1]+"/"); ok {
			want[p] = i.SHA256
		}
	}
	top := ts.MkAbs(args[0])
	err = filepath.WalkDir(top, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == top {
			return err
		}
		rel, sum := strings.TrimPrefix(p, top+"/"), ""
		if !d.IsDir() {
			text, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			h := sha256.Sum256(text)
			sum = hex.EncodeToString(h[:])
		}
		if got, ok := want[rel]; !ok || got != sum {
			return fmt.Errorf("%s is not the same there (exists: %t)", rel, ok)
		}
		delete(want, rel)
		return nil
	})
	for p := range want {
		return fmt.Errorf("%s is there and not here (%w)", p, err)
	}
	return err
}

// bodies fails if the service took bytes of files since it was last asked.
func (w *world) bodies(_ *testscript.TestScript, args []string) error {
	n := w.server.Counts().BytesUp
	got := n - w.up
	w.up = n
	if args[0] == "none" && got > 0 {
		return fmt.Errorf("the service took %d bytes", got)
	}
	return nil
}
