package cli_test

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

var (
	uploadFiles = flag.Int("files", 0, "how many files the tests of uploads bring up, 0 for few")
	uploadKills = flag.Int("kills", 6, "how often an upload is killed on its way")
)

// filesOr is the number that the flag says, else a test's own.
func filesOr(few int) int {
	if *uploadFiles > 0 {
		return *uploadFiles
	}
	return few
}

// fewFiles is how many files fill makes.
const fewFiles = 400

// fill makes a folder of many files with names of all kinds, the last of which is large.
func (w *world) fill(ts *testscript.TestScript, args []string) error {
	return fillFolder(ts.MkAbs(args[0]), filesOr(fewFiles), 30<<20)
}

func fillFolder(top string, n, large int) error {
	r := rand.New(rand.NewPCG(3, 4))
	odd := []string{"plain", "# % & + ' ,", "two  spaces", "smile 😀", "e\u0301clair", "Ünï", "100%25", "a=b;c@d"}
	for i := range n {
		dir := filepath.Join(top, fmt.Sprintf("%s %d", odd[i%len(odd)], i%3), strconv.Itoa(i/3000))
		size := r.IntN(20_000)
		if i == n-1 {
			size = large
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
	seed := uint64(time.Now().UnixNano())
	ts.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	each := max(4*filesOr(fewFiles) / *uploadKills, 1)
	killed := 0
	for range *uploadKills {
		c := exec.Command(args[0], args[1:]...)
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
