package cli

import (
	"io"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/vbauerster/mpb/v8"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cmd/internal/control"
	"github.com/duskfs/duskfs/flush"
)

func TestProgressInWords(t *testing.T) {
	for _, c := range []struct {
		p    flush.Progress
		want string
	}{
		{flush.Progress{Phase: "refresh"}, "looking for remote changes"},
		{flush.Progress{Phase: "send", Steps: 30, Done: 12, Bytes: 10_000_000, Sent: 3_400_000, Rate: 1_200_000, Left: 6 * time.Second, Files: []string{"/a/x.docx", "/b"}},
			"12 of 30 changes, 3.4 MB of 10 MB, 1.2 MB/s, 6s left: x.docx and 1 more"},
		{flush.Progress{Phase: "send", Steps: 1, Path: "/a/x.docx"}, "0 of 1 change, 0 B of 0 B: x.docx"},
		{flush.Progress{Phase: "wait", Pause: "waiting for the refresh that runs"}, "waiting for the refresh that runs"},
		{flush.Progress{Phase: "wait", Steps: 30, Done: 12, Bytes: 10, Sent: 3, Pause: "waiting for the flush that runs"}, "waiting for the flush that runs: 12 of 30 changes, 3 B of 10 B"},
		{flush.Progress{Phase: "send", Steps: 30, Done: 12, Pause: "the service asks to wait 20 s"}, "12 of 30 changes; the service asks to wait 20 s"},
	} {
		if got := progress(c.p); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// page is a writer that several goroutines may use.
type page struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

func TestWhatIsSaidMeanwhileStandsInLinesAboveTheBars(t *testing.T) {
	var out page
	all := mpb.New(mpb.WithOutput(&out), mpb.WithWidth(24), mpb.WithAutoRefresh())
	b := &bars{all: all, one: map[cache.DriveNum]*bar{}, above: &above{bars: all, then: &out}}
	b.show(flush.Progress{Drive: 1, Name: "OneDrive", Phase: "send", Steps: 2, Done: 1})
	for _, part := range []string{"one ", "line\nand", " another\nno end"} {
		if n, err := io.WriteString(b.err(), part); n != len(part) || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	b.end()
	if _, err := io.WriteString(b.err(), "later\n"); err != nil {
		t.Error(err)
	}
	got := regexp.MustCompile("\x1b\\[[0-9]*[A-Z]").ReplaceAllString(out.text.String(), "")
	for _, want := range []string{"one line", "and another", "no end", "later"} {
		if !slices.Contains(strings.Split(got, "\n"), want) {
			t.Errorf("%q is no line of its own in %q", want, got)
		}
	}
}

func TestWithoutATerminalALineComesEveryTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out page
		l := startLines(&out, plainEvery)
		l.show(flush.Progress{Drive: 1, Name: "OneDrive", Phase: "refresh"})
		time.Sleep(9 * time.Second)
		if got := out.text.String(); got != "" {
			t.Errorf("a short flush says %q", got)
		}
		for i := range 20 {
			l.show(flush.Progress{Drive: 1, Name: "OneDrive", Phase: "send", Steps: 20, Done: i + 1})
			time.Sleep(time.Second)
		}
		l.show(flush.Progress{Drive: 1, Phase: "done"})
		l.end()
		if got := strings.Count(out.text.String(), "OneDrive: "); got != 2 {
			t.Errorf("%d lines:\n%s", got, out.text.String())
		}
	})
}

func TestWhoWaitsForAnotherIsToldAtOnceAndThenEveryTenSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out page
		l := startLines(&out, plainEvery)
		for i := range 25 {
			l.show(flush.Progress{Drive: 1, Name: "OneDrive", Phase: "wait", Pause: "waiting"})
			if want := 1 + i/10; i%10 == 1 && strings.Count(out.text.String(), "OneDrive: waiting\n") != want {
				t.Errorf("after %d s it says %q, want %d lines", i, out.text.String(), want)
			}
			time.Sleep(time.Second)
		}
		l.end()
	})
}

func TestEventsTellWhatIsNewAndNotMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		e := &events{last: map[cache.DriveNum]event{}, print: func(v any) error {
			p := v.(event)
			seen = append(seen, p.Event+" "+p.Phase+" "+strings.Repeat("*", p.Done))
			return nil
		}}
		e.show(flush.Progress{Phase: "refresh"})
		e.show(flush.Progress{Phase: "plan"})
		e.show(flush.Progress{Phase: "send", Steps: 2})
		e.show(flush.Progress{Phase: "send", Steps: 2, Sent: 1})
		time.Sleep(time.Second)
		e.show(flush.Progress{Phase: "send", Steps: 2, Sent: 2})
		e.show(flush.Progress{Phase: "send", Steps: 2, Done: 1})
		e.show(flush.Progress{Phase: "done", Steps: 2, Done: 2})
		e.end()
		want := []string{"progress send ", "progress send ", "progress send *", "progress done **"}
		if !reflect.DeepEqual(seen, want) {
			t.Errorf("got %q", seen)
		}
	})
}

func TestWhoUsesAMountIsFound(t *testing.T) {
	proc := t.TempDir()
	process := func(pid, name string, links map[string]string) {
		dir := filepath.Join(proc, pid)
		if err := os.MkdirAll(filepath.Join(dir, "fd"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "comm"), []byte(name+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for at, to := range links {
			if err := os.Symlink(to, filepath.Join(dir, at)); err != nil {
				t.Fatal(err)
			}
		}
	}
	process("30000001", "vim", map[string]string{"cwd": "/home", "exe": "/usr/bin/vim", "fd/0": "/dev/tty", "fd/3": "/m/a.txt"})
	process("30000002", "bash", map[string]string{"cwd": "/m/sub", "exe": "/usr/bin/bash"})
	process("30000003", "other", map[string]string{"cwd": "/mnt", "exe": "/usr/bin/other", "fd/0": "/mx/a"})
	process("30000004", "tool", map[string]string{"cwd": "/", "exe": "/m/bin/tool"})
	process("30000005", "less", map[string]string{"cwd": "/", "exe": "/usr/bin/less", "fd/1": "/m/b.txt (deleted)"})
	process("self", "nobody", nil)
	var got []string
	for _, h := range holders(proc, "/m") {
		got = append(got, h.String())
	}
	want := []string{
		"vim (process 30000001, has /m/a.txt open)", "bash (process 30000002, works in it)",
		"tool (process 30000004, runs /m/bin/tool)", "less (process 30000005, has /m/b.txt (deleted) open)",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q", got)
	}
	if got := holders(filepath.Join(proc, "none"), "/m"); got != nil {
		t.Errorf("without /proc: %v", got)
	}
}

func TestAChangeIsOneLine(t *testing.T) {
	for want, c := range map[string]control.Change{
		"new      /m/a (5 B)":                           {Kind: "new", Path: "/m/a", Size: 5},
		"new      /m/d/":                                {Kind: "new", Path: "/m/d", Dir: true},
		"modified /m/a (7 B, was 5 B)":                  {Kind: "modified", Path: "/m/a", Size: 7, OldSize: 5},
		"renamed  /m/b (from /m/a)":                     {Kind: "renamed", Path: "/m/b", From: "/m/a"},
		"deleted  /m/d/ (3 items)":                      {Kind: "deleted", Path: "/m/d", Dir: true, Items: 3},
		"deleted  /m/a (5 B)":                           {Kind: "deleted", Path: "/m/a", OldSize: 5},
		"modified /m/a (7 B, was 5 B): locked by Bernd": {Kind: "modified", Path: "/m/a", Size: 7, OldSize: 5, Reason: "locked by Bernd"},
		"dated    /m/a":                                 {Kind: "dated", Path: "/m/a"},
	} {
		if got := change(c); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}
