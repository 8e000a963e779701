package cli_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache/cachetest"
	"github.com/duskfs/duskfs/graph/graphtest"
)

// mostOfAnUpload is how many MiB an upload may take, mapped files and the program included.
const mostOfAnUpload = 64

// TestMemoryOfAnUpload uploads a folder by the program itself: all of it, once more, and without state to where it is
// already.
func TestMemoryOfAnUpload(t *testing.T) {
	cachetest.MeasuresMemory(t)
	server, err := graphtest.New(graphtest.Options{Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if err := server.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	up := filepath.Join(dir, "up")
	if err := fillFolder(up, filesOr(1500), 30<<20); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ about, state string }{
		{"the first run", "a"}, {"the second run", "a"}, {"without state", "b"},
	} {
		before := server.Counts().BytesUp
		began := time.Now()
		most := peakOf(t, append(server.Env(), "HOME="+dir, "PATH="+os.Getenv("PATH")), "duskfs", "upload", up, "me:backup", "--state-dir", filepath.Join(dir, c.state))
		sent := server.Counts().BytesUp - before
		t.Logf("%s: %v, %d bytes sent, at most %d MiB", c.about, time.Since(began).Round(time.Millisecond), sent, most)
		if most > mostOfAnUpload {
			t.Errorf("%s took %d MiB", c.about, most)
		}
		if first := c.about == "the first run"; first != (sent > 0) {
			t.Errorf("%s sent %d bytes", c.about, sent)
		}
	}
	if err := equalFolder(server.Me().Drive(), up, "/backup/up/"); err != nil {
		t.Error(err)
	}
}

// peakOf runs a program and returns how many MiB it had in memory at most, until a moment before its end.
func peakOf(t *testing.T, environ []string, program string, args ...string) (most int) {
	t.Helper()
	c := exec.CommandContext(t.Context(), program, args...)
	var out bytes.Buffer
	c.Env, c.Stdout, c.Stderr = environ, &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	look := time.NewTicker(2 * time.Millisecond) // what the kernel tells of an ended process counts its parent too
	defer look.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil {
				t.Fatalf("%v: %s", err, out.String())
			}
			return most
		case <-look.C:
			status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
			_, rest, ok := strings.Cut(string(status), "VmHWM:")
			if err != nil || !ok {
				continue // it is ending
			}
			kib, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			most = max(most, kib>>10)
		}
	}
}
