package upload_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/schedule"
	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/flush/upload"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
)

// lab is a folder of this machine, a store, and an emulated drive.
type lab struct {
	*simtest.World
	t    *testing.T
	dir  string
	o    upload.Options
	last upload.Result
}

func newLab(t *testing.T, prepare func(*graphtest.Drive)) *lab {
	t.Helper()
	return labOf(t, simtest.New(t, graphtest.Options{}, prepare))
}

func labOf(t *testing.T, w *simtest.World) *lab {
	t.Helper()
	l := &lab{World: w, t: t, dir: filepath.Join(t.TempDir(), "up")}
	must(t, os.Mkdir(l.dir, 0o700))
	l.o = upload.Options{Store: w.Store, Service: w.Near, Folder: l.dir, Target: []string{"backup", "up"}, Host: "desk"}
	t.Cleanup(func() {
		for _, v := range w.Server.Violations() {
			t.Errorf("against the protocol: %s", v)
		}
		if n := w.Server.OpenSessions(); n > 0 {
			t.Errorf("%d upload sessions are left open", n)
		}
	})
	return l
}

func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// write makes a file that was changed a while ago, as far as its own times go.
func (l *lab) write(path, text string) {
	l.t.Helper()
	p := filepath.Join(l.dir, path)
	must(l.t, os.MkdirAll(filepath.Dir(p), 0o700), os.WriteFile(p, []byte(text), 0o600))
}

func (l *lab) remove(path string) {
	l.t.Helper()
	must(l.t, os.RemoveAll(filepath.Join(l.dir, path)))
}

// try uploads.
func (l *lab) try() (upload.Result, error) {
	l.t.Helper()
	d, err := l.Near.Drive(context.Background())
	must(l.t, err)
	l.o.Drive, l.o.Store = d, l.Store
	// The clock of the program is some seconds ahead, so that what a test has just written counts as settled.
	l.o.Now = func() time.Time { return time.Now().Add(10 * time.Second) }
	l.Server.ResetCounts()
	r, err := upload.Run(context.Background(), l.o)
	l.last = r
	return r, err
}

func (l *lab) upload() upload.Result {
	l.t.Helper()
	r, err := l.try()
	must(l.t, err)
	return r
}

// same fails the test unless folder and target are equal, by path and hash.
func (l *lab) same(except ...string) {
	l.t.Helper()
	here := map[string]string{}
	must(l.t, filepath.WalkDir(l.dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == l.dir {
			return err
		}
		sum := ""
		if d.Type().IsRegular() {
			text, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			h := sha256.Sum256(text)
			sum = hex.EncodeToString(h[:])
		}
		here[strings.TrimPrefix(p, l.dir)] = sum
		return nil
	}))
	there := l.there()
	for _, e := range except {
		if _, ok := there[e]; !ok {
			l.t.Errorf("%s is not there", e)
		}
		delete(there, e)
	}
	for p, sum := range here {
		if got, ok := there[p]; !ok || got != sum {
			l.t.Errorf("%s is not the same there (is there: %v)", p, ok)
		}
		delete(there, p)
	}
	for p := range there {
		l.t.Errorf("%s is there only", p)
	}
}

// there lists the target by path in it.
func (l *lab) there() map[string]string {
	l.t.Helper()
	all, err := l.Far.Walk()
	must(l.t, err)
	list := map[string]string{}
	for _, i := range all {
		if p, ok := strings.CutPrefix(i.Path, "/backup/up/"); ok {
			list["/"+p] = i.SHA256
		}
	}
	return list
}

func (l *lab) quiet(what string) {
	l.t.Helper()
	r := l.upload()
	c := l.Server.Counts()
	if c.Writes != 0 || c.BytesUp != 0 || r.Sent != 0 || r.InPart() || r.Receipt != "" {
		l.t.Errorf("%s: %d writes, %d bytes, result %+v", what, c.Writes, c.BytesUp, r)
	}
}

func TestAFolderIsBroughtUpAndOnlyOnce(t *testing.T) {
	l := newLab(t, nil)
	names := []string{"plain.txt", "a # % & + ' , b.txt", "100%25.txt", "two  spaces.txt", "smile 😀.txt", "e\u0301clair.txt", "Ünï.txt", "semi;=@[]{}()!$^~`.txt"}
	for _, n := range names {
		l.write(n, "text of "+n)
		l.write("deep # % dir/e\u0301/"+n, "deep text of "+n)
	}
	l.write("zero.bin", "")
	l.write("big.bin", strings.Repeat("0123456789abcdef", 80_000))
	must(t, os.MkdirAll(filepath.Join(l.dir, "empty/of all"), 0o700))
	at := time.Date(2021, 2, 3, 4, 5, 6, 0, time.UTC)
	must(t, os.Chtimes(filepath.Join(l.dir, "plain.txt"), at, at))
	r := l.upload()
	l.same()
	if r.Files != 2*len(names)+2 || r.Folders != 4 || r.Sent != r.Files+r.Folders+2 || r.Receipt == "" || r.InPart() {
		t.Errorf("result %+v", r)
	}
	i, err := l.Far.Stat("/backup/up/plain.txt")
	must(t, err)
	if !i.ModTime.Equal(at) || i.Versions != 1 {
		t.Errorf("there: %+v", i)
	}
	l.quiet("a second time")
	if c := l.Server.Counts(); c.Reads > 4 {
		t.Errorf("the second time took %d reads: %v", c.Reads, c.Kinds)
	}
	if l.last.Unchanged != r.Files {
		t.Errorf("unchanged: %+v", l.last)
	}
	l.write("plain.txt", "another text")
	l.write("new/one.txt", "new")
	l.remove("zero.bin") // without Delete it stays there
	if r := l.upload(); r.Sent != 3 || r.Unchanged != r.Files-2 {
		t.Errorf("result %+v", r)
	}
	l.same("/zero.bin")
	l.quiet("a fourth time")
}

func TestWithoutStateWhatIsThereIsFoundByHash(t *testing.T) {
	l := newLab(t, func(d *graphtest.Drive) {
		for i := range 40 {
			_, err := d.Put(fmt.Sprintf("/backup/up/d%d/file %d.txt", i%3, i), []byte(fmt.Sprint("text ", i)))
			must(t, err)
		}
	})
	for i := range 40 {
		l.write(fmt.Sprintf("d%d/file %d.txt", i%3, i), fmt.Sprint("text ", i))
	}
	l.quiet("the first time")
	if l.last.Unchanged != 40 {
		t.Errorf("result %+v", l.last)
	}
	l.quiet("the second time")
	l.write("d0/file 0.txt", "changed")
	if r := l.upload(); r.Sent != 1 || r.Conflicts != 0 {
		t.Errorf("result %+v", r)
	}
	l.same()
}

func TestATimeAloneCostsNoBody(t *testing.T) {
	l := newLab(t, nil)
	l.write("a.txt", "text")
	l.write("b.txt", "text")
	l.upload()
	at := time.Date(2020, 1, 1, 1, 1, 1, 0, time.UTC)
	must(t, os.Chtimes(filepath.Join(l.dir, "a.txt"), at, at))
	must(t, os.Chmod(filepath.Join(l.dir, "b.txt"), 0o640)) // its change time is another now
	r := l.upload()
	if c := l.Server.Counts(); c.BytesUp != 0 || c.Writes != 1 || r.Sent != 1 {
		t.Errorf("%+v, %+v", c, r)
	}
	i, err := l.Far.Stat("/backup/up/a.txt")
	must(t, err)
	if !i.ModTime.Equal(at) {
		t.Errorf("there: %v", i.ModTime)
	}
	l.quiet("afterwards")
}

func TestBytesThatChangeBehindAnUnchangedTimeAreSent(t *testing.T) {
	l := newLab(t, nil)
	l.write("a.txt", "one")
	st, err := os.Stat(filepath.Join(l.dir, "a.txt"))
	must(t, err)
	l.upload()
	l.write("a.txt", "two")
	must(t, os.Chtimes(filepath.Join(l.dir, "a.txt"), st.ModTime(), st.ModTime()))
	if r := l.upload(); r.Sent != 1 {
		t.Errorf("result %+v", r)
	}
	l.same()
}

func TestConflictsAreThoseOfAFlush(t *testing.T) {
	for _, c := range []struct {
		policy cache.Policy
		there  map[string]string // text by name, with COPY in place of the mark of a copy
		sent   int
	}{
		{cache.KeepBoth, map[string]string{"both.txt": "theirs", "both COPY.txt": "mine", "new.txt": "theirs too", "new COPY.txt": "mine too", "dir": "file"}, 4},
		{cache.Mine, map[string]string{"both.txt": "mine", "new.txt": "mine too"}, 4},
		{cache.Theirs, map[string]string{"both.txt": "theirs", "new.txt": "theirs too"}, 0},
	} {
		t.Run(c.policy.String(), func(t *testing.T) {
			l := newLab(t, nil)
			l.o.Policy = c.policy
			l.write("both.txt", "base")
			l.write("here.txt", "same")
			l.upload()
			l.write("both.txt", "mine")
			l.write("new.txt", "mine too")
			l.write("dir/inside.txt", "below a name that a file has there")
			for p, text := range map[string]string{"both.txt": "theirs", "new.txt": "theirs too", "dir": "file"} {
				_, err := l.Far.Put("/backup/up/"+p, []byte(text))
				must(t, err)
			}
			r := l.upload()
			if r.Conflicts != 3 || !r.InPart() || r.Sent != c.sent {
				t.Errorf("result %+v", r)
			}
			texts := map[string]string{}
			for p := range l.there() {
				text, err := l.Far.Read("/backup/up" + p)
				if err == nil {
					texts[p] = string(text)
				}
			}
			for want, text := range c.there {
				found := false
				for p, got := range texts {
					head, tail, _ := strings.Cut(want, " COPY")
					if strings.Contains(want, "COPY") && strings.HasPrefix(p, "/"+head+" (conflict desk ") && strings.HasSuffix(p, tail) || p == "/"+want {
						found = found || got == text
					}
				}
				if !found {
					t.Errorf("no %s with %q there: %q", want, text, texts)
				}
			}
			l.quiet("afterwards")
			// What stands as a copy goes on as one.
			l.write("both.txt", "mine again")
			r = l.upload()
			if want := map[cache.Policy]int{cache.Theirs: 1}[c.policy]; r.Conflicts != want {
				t.Errorf("after another change: %+v", r)
			}
			l.quiet("afterwards again")
		})
	}
}

// in runs a test in a bubble, where waiting costs nothing. Files change at the real time, which is long after that of
// the bubble: no stamp is trusted there, so that all is read again each time.
func in(t *testing.T, f func(t *testing.T, l *lab)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, newLab(t, nil)) })
}

func TestWhatTheRemoteLostIsSentAgain(t *testing.T) { in(t, testWhatTheRemoteLost) }

func testWhatTheRemoteLost(t *testing.T, l *lab) {
	for _, p := range []string{"a.txt", "dir/b.txt", "dir/sub/c.txt", "moved.txt", "kept.txt"} {
		l.write(p, "text of "+p)
	}
	l.upload()
	_, err := l.Far.Move("/backup/up/moved.txt", "/elsewhere.txt")
	must(t, err, l.Far.Delete("/backup/up/a.txt"), l.Far.Delete("/backup/up/dir"))
	if r := l.upload(); r.Sent != 5 {
		t.Errorf("result %+v", r)
	}
	l.write("moved.txt", "changed") // their place, our bytes
	if r := l.upload(); r.Sent != 1 || r.Conflicts != 0 {
		t.Errorf("result %+v", r)
	}
	text, err := l.Far.Read("/elsewhere.txt")
	must(t, err)
	if string(text) != "changed" {
		t.Errorf("there: %q", text)
	}
	must(t, os.Remove(filepath.Join(l.dir, "moved.txt")))
	l.same()
	// The same where the feed has forgotten us.
	must(t, l.Far.Delete("/backup/up/dir/b.txt"))
	l.Far.ForgetFeed("resyncChangesApplyDifferences")
	if r := l.upload(); r.Sent != 1 {
		t.Errorf("after a resync: %+v", r)
	}
	l.same()
	must(t, l.Far.Delete("/backup"))
	if r := l.upload(); r.Sent != 8 {
		t.Errorf("all gone: %+v", r)
	}
	l.same()
	l.quiet("at last")
}

func TestNothingIsDeletedUnasked(t *testing.T) {
	l := newLab(t, nil)
	for i := range 30 {
		l.write(fmt.Sprintf("a/f%d", i), "x")
		l.write(fmt.Sprintf("b/f%d", i), "x")
	}
	l.write("keep.txt", "x")
	l.write("stays.txt", "x")
	l.upload()
	_, err := l.Far.Put("/backup/up/b/theirs.txt", []byte("of a colleague"))
	must(t, err)
	l.remove("a")
	l.remove("b")
	l.quiet("without Delete")
	l.o.Delete = true
	r := l.upload()
	if r.Guarded != 62 || r.Sent != 0 || !r.InPart() {
		t.Errorf("with the guard: %+v", r)
	}
	l.o.DryRun = true
	if r := l.upload(); r.Guarded != 62 || len(r.Plan.Steps) != 0 {
		t.Errorf("dry: %+v", r)
	}
	l.o.AllowDeletes = true
	if r := l.upload(); len(r.Plan.Steps) != 2 || l.Server.Counts().Writes != 0 {
		t.Errorf("dry: %+v", r.Plan)
	}
	l.o.DryRun = false
	r = l.upload()
	if r.Deleted != 61 || r.Conflicts != 0 {
		t.Errorf("result %+v", r)
	}
	l.same("/b", "/b/theirs.txt")
	l.quiet("afterwards")
	// A file that somebody changed there stays.
	_, err = l.Far.Put("/backup/up/keep.txt", []byte("changed there"))
	must(t, err)
	l.write("other.txt", "x")
	l.remove("keep.txt")
	if r := l.upload(); r.Conflicts != 1 || r.Deleted != 0 {
		t.Errorf("result %+v", r)
	}
	if text, err := l.Far.Read("/backup/up/keep.txt"); err != nil || string(text) != "changed there" {
		t.Errorf("there: %q, %v", text, err)
	}
}

func TestAFileTakesTheNameOfAFolder(t *testing.T) {
	l := newLab(t, nil)
	l.write("x/inside.txt", "1")
	l.write("y", "file")
	l.upload()
	l.remove("x")
	l.remove("y")
	l.write("x", "a file now")
	l.write("y/inside.txt", "a folder now")
	l.o.Delete = true
	if r := l.upload(); r.InPart() {
		t.Errorf("result %+v", r)
	}
	l.same()
	l.quiet("afterwards")
}

func TestAnEmptyOrOtherFolderIsRefused(t *testing.T) {
	l := newLab(t, nil)
	if _, err := l.try(); !errors.Is(err, upload.ErrEmpty) {
		t.Errorf("empty: %v", err)
	}
	l.write(".DS_Store", "junk")
	if _, err := l.try(); !errors.Is(err, upload.ErrEmpty) {
		t.Errorf("nothing but junk: %v", err)
	}
	if l.Server.Counts().Writes != 0 {
		t.Error("something was written there")
	}
	l.write("a.txt", "x")
	l.upload()
	l.remove("a.txt")
	l.write("another disk.txt", "x")
	l.o.Delete = true
	if _, err := l.try(); !errors.Is(err, upload.ErrVanished) {
		t.Errorf("another disk: %v", err)
	}
	l.o.AllowEmpty = true
	if r := l.upload(); r.Deleted != 1 {
		t.Errorf("result %+v", r)
	}
	l.o.AllowEmpty = false
	l.o.Folder = filepath.Join(l.dir, "none")
	if _, err := l.try(); err == nil || !strings.Contains(err.Error(), "does not exist") {
		t.Errorf("none: %v", err)
	}
}

func TestTooLittleRoomIsFoundOutFirst(t *testing.T) {
	l := newLab(t, nil)
	l.write("small.txt", "x")
	l.write("big.bin", strings.Repeat("x", 1<<20))
	l.Far.SetQuota(1 << 19)
	_, err := l.try()
	if !errors.Is(err, graph.Full) || l.Server.Counts().Writes != 0 {
		t.Errorf("%v, %d writes", err, l.Server.Counts().Writes)
	}
	l.Far.SetQuota(1 << 30)
	l.upload()
	l.same()
}

func TestLinksAreLeftOutOrFollowed(t *testing.T) {
	l := newLab(t, nil)
	outside := t.TempDir()
	must(t, os.WriteFile(filepath.Join(outside, "far.txt"), []byte("far"), 0o600))
	l.write("real/a.txt", "a")
	must(t,
		os.Symlink("real/a.txt", filepath.Join(l.dir, "link.txt")),
		os.Symlink(outside, filepath.Join(l.dir, "out")),
		os.Symlink("..", filepath.Join(l.dir, "real", "up")),
		os.Symlink("real", filepath.Join(l.dir, "again")),
		os.Symlink("nowhere", filepath.Join(l.dir, "dangling")))
	r := l.upload()
	if r.Left.Links != 5 || len(l.there()) != 2 || r.InPart() {
		t.Errorf("left out: %+v, there %v", r, l.there())
	}
	l.o.Follow = true
	r = l.upload()
	there := l.there()
	for _, p := range []string{"/link.txt", "/out/far.txt", "/again/a.txt", "/real/a.txt"} {
		if there[p] == "" {
			t.Errorf("%s is not there: %v", p, there)
		}
	}
	if len(there) != 7 || r.Left.Links != 3 || r.Refused != 0 {
		t.Errorf("followed: %+v, there %v", r, there)
	}
	must(t, os.RemoveAll(filepath.Join(l.dir, "real", "up")), os.RemoveAll(filepath.Join(l.dir, "dangling")))
	l.quiet("afterwards")
}

func TestWhatADriveCannotHoldIsRefusedByItself(t *testing.T) {
	l := newLab(t, nil)
	for _, n := range []string{"good.txt", "a:b.txt", "CON", "trailing.", "A.txt", "a.txt", "~$lock.docx", strings.Repeat("long/", 85) + "x.txt"} {
		l.write(n, n)
	}
	must(t, os.WriteFile(filepath.Join(l.dir, "bad\xff.txt"), []byte("x"), 0o600))
	must(t, os.Truncate(filepath.Join(l.dir, "trailing."), 1))
	huge, err := os.Create(filepath.Join(l.dir, "huge.bin"))
	must(t, err)
	must(t, huge.Truncate(251<<30), huge.Close())
	r := l.upload()
	if r.Refused != 7 || r.Left.LocalOnly != 1 || !r.InPart() {
		t.Errorf("result %+v", r)
	}
	there := l.there()
	if there["/good.txt"] == "" || there["/A.txt"] == "" {
		t.Errorf("there: %v", there)
	}
}

func TestOnlyWhatIsTakenTakesPart(t *testing.T) {
	l := newLab(t, nil)
	for _, p := range []string{"a.txt", "b.tmp", "node_modules/x.js", "sub/c.tmp", "sub/d.txt", "none/e.tmp"} {
		l.write(p, p)
	}
	l.o.Take = func(p string, dir bool) bool { return dir && p != "node_modules" || strings.HasSuffix(p, ".txt") }
	l.o.Sparse = true
	r := l.upload()
	there := l.there()
	if len(there) != 3 || there["/sub/d.txt"] == "" || r.Left.Excluded != 4 {
		t.Errorf("result %+v, there %v", r, there)
	}
	l.quiet("afterwards")
	// What was sent and takes part no more is not deleted.
	l.o.Take = func(p string, dir bool) bool { return p == "a.txt" }
	l.o.Delete = true
	l.remove("sub")
	l.quiet("with another filter")
}

func TestAFileThatChangesWhileItIsReadIsTriedAgain(t *testing.T) { in(t, testAFileThatChanges) }

func testAFileThatChanges(t *testing.T, l *lab) {
	l.write("log.bin", strings.Repeat("first ", 200_000))
	l.write("other.txt", "x")
	var changed atomic.Bool // other.txt is sent at the same time
	l.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
		if r.Method == http.MethodPut && r.ContentLength > 300_000 && !changed.Swap(true) {
			l.write("log.bin", strings.Repeat("second ", 200_000))
		}
		return under.RoundTrip(r)
	})
	r := l.upload()
	if !changed.Load() || r.InPart() {
		t.Errorf("changed: %v, result %+v", changed.Load(), r)
	}
	l.same()
	l.quiet("afterwards")
}

func TestLimitsEndAnUploadThatTheNextGoesOnWith(t *testing.T) {
	l := newLab(t, nil)
	for i := range 10 {
		l.write(fmt.Sprintf("f%d.bin", i), strings.Repeat("x", 100_000+i))
	}
	l.o.Limits = flush.Limits{Bytes: 250_000}
	r := l.upload()
	if r.Over == 0 || r.Bytes > 400_000 || !r.InPart() {
		t.Errorf("result %+v", r)
	}
	l.o.Limits = flush.Limits{}
	if r := l.upload(); r.InPart() || r.Unchanged == 0 {
		t.Errorf("result %+v", r)
	}
	l.same()
}

func TestADryRunChangesNothing(t *testing.T) {
	l := newLab(t, func(d *graphtest.Drive) {
		_, err := d.Put("/backup/up/there.txt", []byte("there"))
		must(t, err)
	})
	l.write("there.txt", "there")
	l.write("new/a.txt", "new")
	l.o.DryRun = true
	for range 2 {
		r := l.upload()
		if l.Server.Counts().Writes != 0 || r.Plan == nil || len(r.Plan.Steps) != 2 || r.Plan.Bytes != 3 || r.Unchanged != 1 || r.Receipt != "" {
			t.Errorf("%+v, plan %+v", r, r.Plan)
		}
	}
	l.o.DryRun = false
	if r := l.upload(); r.Sent != 2 {
		t.Errorf("result %+v", r)
	}
}

func TestTheReceiptTellsOfEverything(t *testing.T) {
	l := newLab(t, nil)
	l.write("a.txt", "text")
	l.write("dir/b.txt", "text two")
	r := l.upload()
	text, err := os.ReadFile(r.Receipt)
	must(t, err)
	for _, want := range []string{`"folder": "` + l.dir + `"`, `"target": "/backup/up"`, `"op": "mkdir"`, `"path": "/backup/up/dir/b.txt"`, `"sent": 5`, `"bytes": 12`, `"hash": "`} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the receipt lacks %s:\n%s", want, text)
		}
	}
	if _, err := filepath.Glob(filepath.Join(filepath.Dir(r.Receipt), ".*")); err != nil {
		t.Error(err)
	}
}

func TestALargeFileIsGoneOnWith(t *testing.T) {
	l := newLab(t, nil)
	l.write("big.bin", strings.Repeat("0123456789abcdef", 160_000)) // 8 fragments
	l.write("small.txt", "x")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var fragments atomic.Int32
	l.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
		if r.Method == http.MethodPut && r.ContentLength > 100_000 && fragments.Add(1) == 6 {
			cancel()
		}
		return under.RoundTrip(r)
	})
	d, err := l.Near.Drive(ctx)
	must(t, err)
	l.o.Drive = d
	if r, err := upload.Run(ctx, l.o); !errors.Is(err, context.Canceled) || r.Error == "" {
		t.Fatalf("%+v, %v", r, err)
	}
	if got, err := flush.Receipts(l.Store.Dir(), 0); err != nil || len(got) != 1 || got[0].Error != "it was interrupted" {
		t.Errorf("receipts %+v, %v", got, err)
	}
	l.Between(nil)
	r := l.upload()
	if c := l.Server.Counts(); c.BytesUp > 4*327_680 || r.InPart() {
		t.Errorf("%d bytes were sent again, result %+v", c.BytesUp, r)
	}
	l.same()
	l.quiet("afterwards")
}

func TestWhatTheServiceMakesOfOfficeFilesIsNoChange(t *testing.T) { in(t, testOffice) }

func testOffice(t *testing.T, l *lab) {
	l.o.Policy = cache.KeepBoth
	l.Server.SetOfficeRewrite(5 * time.Second)
	l.write("a.docx", "document")
	l.upload()
	time.Sleep(time.Minute)
	l.quiet("after the service has rewritten it")
	l.write("a.docx", "another document")
	if r := l.upload(); r.Sent != 1 || r.Conflicts != 0 {
		t.Errorf("result %+v", r)
	}
	if n := len(l.there()); n != 1 {
		t.Errorf("%d files are there", n)
	}
}

func TestNobodyIsToldTwice(t *testing.T) {
	l := newLab(t, nil)
	l.write("locked.txt", "x")
	l.upload()
	must(t, l.Far.Lock("/backup/up/locked.txt", 423))
	l.write("locked.txt", "y")
	l.write("other.txt", "z")
	r := l.upload()
	if r.Deferred != 1 || r.Sent != 1 || len(r.Problems) != 1 || r.Problems[0].Path != "locked.txt" {
		t.Errorf("result %+v", r)
	}
}

func TestADeadlineEndsAnUpload(t *testing.T) { in(t, testADeadline) }

func testADeadline(t *testing.T, l *lab) {
	for i := range 8 {
		l.write(fmt.Sprintf("f%d.bin", i), strings.Repeat("x", 700_000+i))
	}
	l.Server.SetBandwidth(100_000)
	l.o.Limits = flush.Limits{Time: 8 * time.Second}
	began := time.Now()
	r := l.upload()
	if took := time.Since(began); r.Over == 0 || !r.InPart() || r.Error != "" || took > 12*time.Second {
		t.Errorf("after %v: %+v", took, r)
	}
	l.Server.SetBandwidth(0)
	l.o.Limits = flush.Limits{}
	if r := l.upload(); r.InPart() {
		t.Errorf("result %+v", r)
	}
	l.same()
}

func TestADeadlineEndsAnUploadThatIsHeldBack(t *testing.T) { in(t, testADeadlineAndARate) }

func testADeadlineAndARate(t *testing.T, l *lab) {
	l.write("big.bin", strings.Repeat("x", 2_000_000))
	rate, err := schedule.ParseRate("100kB")
	must(t, err)
	l.o.Limits = flush.Limits{Time: 8 * time.Second, Rate: rate}
	r := l.upload()
	if r.Over == 0 || r.Deferred != 0 || len(r.Problems) != 0 {
		t.Errorf("result %+v", r)
	}
	l.o.Limits = flush.Limits{}
	if r := l.upload(); r.InPart() || l.Server.Counts().BytesUp > 1_700_000 {
		t.Errorf("%d bytes up, result %+v", l.Server.Counts().BytesUp, r)
	}
	l.same()
}

func TestABandwidthIsKept(t *testing.T) { in(t, testABandwidth) }

func testABandwidth(t *testing.T, l *lab) {
	l.write("a.bin", strings.Repeat("x", 1_000_000))
	rate, err := schedule.ParseRate("100kB")
	must(t, err)
	l.o.Limits.Rate = rate
	began := time.Now()
	l.upload()
	if took := time.Since(began); took < 9*time.Second || took > 15*time.Second {
		t.Errorf("1 MB at 100 kB a second took %v", took)
	}
}

func TestAKilledUploadLeavesItsReceiptToTheNext(t *testing.T) {
	l := newLab(t, nil)
	l.write("a.txt", "text")
	c, err := l.Store.Copy(cache.CopyKey{Drive: graph.DriveID(l.Far.ID()), Folder: l.dir, Target: "/backup/up"})
	must(t, err)
	p, err := flush.BeginReceipt(l.Store.Dir(), flush.Receipt{Schema: flush.ReceiptSchema, Started: time.Now(), Folder: l.dir})
	must(t, err)
	p.Add(flush.ReceiptItem{Op: "create", Path: "/backup/up/before.txt", Outcome: "sent", Bytes: 7})
	p.Flush()
	info, err := c.Info()
	must(t, err)
	info.Receipt = p.ID
	must(t, c.SetInfo(info))
	l.upload()
	text, err := os.ReadFile(flush.ReceiptPath(l.Store.Dir(), p.ID))
	must(t, err)
	for _, want := range []string{"before.txt", `"sent": 1`, `"bytes": 7`, "the process ended before the upload had"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("the receipt lacks %s:\n%s", want, text)
		}
	}
	left, err := filepath.Glob(filepath.Join(l.Store.Dir(), "receipts", ".*"))
	must(t, err)
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func TestWhatIsSentIsOnRecordAtOnce(t *testing.T) {
	l := newLab(t, nil)
	const files = 12
	for i := range files {
		l.write(fmt.Sprintf("f%02d.txt", i), strings.Repeat("x", 10+i))
	}
	l.o.Parallel = 1
	uploads, recorded := 0, 0
	l.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
		if r.Method == http.MethodPut {
			if uploads++; uploads == files { // a kill now would leave this
				parts, err := filepath.Glob(filepath.Join(l.Store.Dir(), "receipts", ".*"))
				if err != nil || len(parts) != 1 {
					t.Errorf("%d receipts are begun, %v", len(parts), err)
					return under.RoundTrip(r)
				}
				text, err := os.ReadFile(parts[0])
				if err != nil {
					t.Error(err)
				}
				recorded = strings.Count(string(text), `"op":"create"`)
			}
		}
		return under.RoundTrip(r)
	})
	l.upload()
	if recorded != files-1 {
		t.Errorf("%d of %d files were on record before the last was sent", recorded, files)
	}
}

func TestALibraryTakesAFolderToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := labOf(t, simtest.NewLibrary(t, nil))
		l.Far.SetRules(graphtest.Rules{RequireColumns: true})
		l.write("a.docx", "document")
		l.write("sub/b.txt", "text")
		// The first try ends when a file has got there, and its answer has not come back.
		l.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
			answer, err := under.RoundTrip(r)
			if r.Method == http.MethodPut && err == nil {
				answer.Body.Close()
				l.Server.SetOffline(true)
				return nil, errors.New("the connection breaks")
			}
			return answer, err
		})
		if _, err := l.try(); !errors.Is(err, graph.Offline) {
			t.Errorf("try: %v", err)
		}
		l.Between(nil)
		l.Server.SetOffline(false)
		r := l.upload()
		if r.InPart() {
			t.Errorf("result %+v", r)
		}
		l.same()
		l.quiet("afterwards")
		infos, err := l.Far.Walk()
		must(t, err)
		for _, i := range infos {
			if i.Folder {
				continue
			}
			if out, err := l.Near.(graph.CheckIner).CheckedOut(t.Context(), graph.ItemID(i.ID)); out || err != nil {
				t.Errorf("%s: checked out %v, %v", i.Path, out, err)
			}
		}
	})
}

func TestThrottlingAndLostAnswersAreSatOut(t *testing.T) { in(t, testThrottling) }

func testThrottling(t *testing.T, l *lab) {
	for i := range 20 {
		l.write(fmt.Sprintf("d%d/f%d.txt", i%4, i), fmt.Sprint("text ", i))
	}
	l.Server.Inject(
		graphtest.Fault{Op: "write", Status: http.StatusTooManyRequests, RetryAfter: 7, Skip: 3, Times: 4},
		graphtest.Fault{Op: "write", Method: http.MethodPut, Status: http.StatusServiceUnavailable, Work: true, Skip: 4, Times: 3},
	)
	r := l.upload()
	if r.InPart() || r.Files != 20 {
		t.Errorf("result %+v", r)
	}
	l.same()
	l.Server.ClearFaults()
	l.quiet("afterwards")
}
