package push_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph/graphtest"
)

// in runs a test in a bubble, where waiting costs nothing.
func in(t *testing.T, files map[string]string, f func(t *testing.T, w *simtest.World)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := simtest.New(t, graphtest.Options{}, func(d *graphtest.Drive) {
			for p, data := range files {
				put(t, d, p, data)
			}
		})
		f(t, w)
		for _, v := range w.Server.Violations() {
			t.Errorf("against the protocol: %s", v)
		}
		if n := w.Server.OpenSessions(); n > 0 {
			t.Errorf("%d upload sessions are left open", n)
		}
	})
}

func must(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, d *graphtest.Drive, path, data string) {
	t.Helper()
	_, err := d.Put(path, []byte(data))
	must(t, err)
}

// once calls f when the n-th request that fits passes: before it, or after it was answered.
func once(w *simtest.World, method string, n int, after bool, f func()) {
	var mu sync.Mutex
	seen := 0
	w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
		mu.Lock()
		if r.Method == method {
			seen++
		}
		now := r.Method == method && seen == n
		mu.Unlock()
		if now && !after {
			f()
		}
		answer, err := under.RoundTrip(r)
		if now && after {
			f()
		}
		return answer, err
	})
}

func TestAWriterWhoMeetsAnUploadGoesOnAtOnce(t *testing.T) {
	for _, after := range []bool{false, true} { // the last fragment has not, or has, got through
		for _, base := range []map[string]string{nil, {"/a.bin": "old"}} {
			t.Run(fmt.Sprintf("after %v, based %v", after, base != nil), func(t *testing.T) {
				in(t, base, func(t *testing.T, w *simtest.World) {
					must(t, w.Write("/a.bin", simtest.Data("first", 900<<10)))
					var wrote error
					once(w, http.MethodPut, 3, after, func() { wrote = w.Write("/a.bin", simtest.Data("second", 500<<10)) })
					r := w.Flush()
					must(t, wrote)
					if r.Left != 1 || r.Conflicts > 0 || r.Busy+r.Sent == 0 {
						t.Errorf("flush: %+v", r)
					}
					w.Between(nil)
					if r := w.Flush(); r.Sent != 1 || r.Conflicts > 0 {
						t.Errorf("second flush: %+v", r)
					}
					if n := len(w.There()); n != 1 {
						t.Errorf("there: %d files", n)
					}
					w.Equal()
					w.Quiet()
				})
			})
		}
	}
}

func TestAFileThatIsBeingWrittenIsBusy(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		f, err := w.OpenFile("/log.txt", true)
		must(t, err)
		must(t, f.Write([]byte("line")))
		stop := make(chan struct{})
		var writing sync.WaitGroup
		writing.Go(func() {
			for {
				select {
				case <-stop:
					return
				case <-time.After(100 * time.Millisecond):
					_ = f.Write([]byte("another line"))
				}
			}
		})
		r := w.Flush()
		close(stop)
		writing.Wait()
		if r.Busy != 1 || r.Sent != 0 || r.Left != 1 {
			t.Errorf("flush: %+v", r)
		}
		must(t, f.Close())
		if r := w.Flush(); r.Sent != 1 {
			t.Errorf("flush: %+v", r)
		}
		w.Equal()
	})
}

func TestAnOpenFileThatIsQuietIsSent(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		f, err := w.OpenFile("/log.txt", true)
		must(t, err)
		must(t, f.Write([]byte("line")))
		if r := w.Flush(); r.Sent != 1 || r.Busy != 0 {
			t.Errorf("flush: %+v", r)
		}
		w.Equal()
		must(t, f.Write([]byte("more")), f.Close())
		if r := w.Flush(); r.Sent != 1 {
			t.Errorf("flush: %+v", r)
		}
		w.Equal()
		w.Quiet()
	})
}

func TestTheSameBytesAreNotSent(t *testing.T) {
	in(t, map[string]string{"/a.txt": "same", "/b.txt": "same"}, func(t *testing.T, w *simtest.World) {
		at := time.Date(1999, 5, 5, 5, 5, 5, 0, time.UTC)
		n, err := w.Store.Tree().Get(w.Ino("/b.txt"))
		must(t, err)
		must(t,
			w.Write("/a.txt", []byte("same")), w.Touch("/a.txt", at),
			w.Write("/b.txt", []byte("same")), w.Touch("/b.txt", n.Mtime),
		)
		w.Server.ResetCounts()
		w.Flush()
		c := w.Server.Counts()
		if c.BytesUp != 0 || c.Of(graphtest.OpUpdate) != 1 || c.Writes != 1 {
			t.Errorf("counts: %+v", c)
		}
		i, err := w.Far.Stat("/a.txt")
		must(t, err)
		if !i.ModTime.Equal(at) || i.Versions > 2 {
			t.Errorf("there: %+v", i)
		}
		w.Equal()
		w.Quiet()
	})
}

// The service's hash is a checksum: two bytes that change places at the right distance leave it as it is. Such a
// change is one all the same, also where the answer to its upload is lost.
func TestOtherBytesOfTheSameHashAreSent(t *testing.T) {
	row := strings.Repeat("0123456789abcdef", 20)
	before := "#" + row[1:160] + "!" + row[161:]
	after := "!" + row[1:160] + "#" + row[161:]
	for _, fault := range []graphtest.Fault{{}, {Op: "write", Drop: graphtest.DropBefore}, {Op: "write", Skip: 1, Drop: graphtest.DropAfter}, {Op: "write", Skip: 1, Drop: graphtest.DropBefore}} {
		in(t, map[string]string{"/table.csv": before}, func(t *testing.T, w *simtest.World) {
			was, err := w.Far.Stat("/table.csv")
			must(t, err, w.Write("/table.csv", []byte(after)))
			if fault.Op != "" {
				w.Server.Inject(fault)
			}
			_, _ = w.Engine.Flush(t.Context(), flush.Request{})
			w.Server.ClearFaults()
			w.Flush()
			now, err := w.Far.Stat("/table.csv")
			must(t, err)
			if now.Hash != was.Hash {
				t.Fatal("the hash is another: this tests nothing")
			}
			if got, err := w.Far.Read("/table.csv"); err != nil || string(got) != after || fault.Op == "" && now.Versions != was.Versions+1 {
				t.Errorf("%s %d: there is %.10q, %d versions more, %v", fault.Drop, fault.Skip, got, now.Versions-was.Versions, err)
			}
			w.Equal()
			w.Quiet()
		})
	}
}

func TestAnETagThatCountsOnIsNoConflict(t *testing.T) {
	files := map[string]string{"/move.txt": "1", "/gone.txt": "2", "/edit.txt": "3", "/time.txt": "4"}
	in(t, files, func(t *testing.T, w *simtest.World) {
		must(t,
			w.Move("/move.txt", "/moved.txt"), w.Remove("/gone.txt"), w.Write("/edit.txt", []byte("33")),
			w.Touch("/time.txt", time.Date(1999, 5, 5, 5, 5, 5, 0, time.UTC)),
		)
		w.Server.SetFeedLag(time.Hour) // the refresh before the flush does not see what follows
		for p := range files {
			must(t, w.Far.Share(p, "bob@contoso.example", "read"))
		}
		if r := w.Flush(); r.Sent != 4 || r.Conflicts > 0 || r.Left > 0 {
			t.Errorf("flush: %+v", r)
		}
		w.Server.SetFeedLag(0)
		time.Sleep(2 * time.Hour)
		w.Equal()
		w.Quiet()
	})
}

func TestAChangeThatTheFeedHasNotToldYetIsNotOverwritten(t *testing.T) {
	files := map[string]string{"/edit.txt": "base", "/gone.txt": "base", "/move.txt": "base"}
	in(t, files, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/edit.txt", []byte("mine")), w.Remove("/gone.txt"), w.Move("/move.txt", "/moved.txt"), w.Write("/new.txt", []byte("mine")))
		w.Server.SetFeedLag(time.Minute)
		for _, p := range []string{"/edit.txt", "/gone.txt", "/move.txt", "/new.txt"} {
			put(t, w.Far, p, "theirs")
		}
		w.Flush()
		time.Sleep(2 * time.Minute)
		w.Server.SetFeedLag(0)
		w.Flush()
		w.Flush()
		there := w.There()
		theirs, mine := 0, 0
		for _, data := range there {
			theirs += strings.Count(data, "theirs")
			mine += strings.Count(data, "mine")
		}
		if theirs != 4 || mine != 2 {
			t.Errorf("there: %v", there)
		}
		w.Equal()
		w.Quiet()
	})
}

func TestAFullDriveStopsUploadsAndNothingElse(t *testing.T) {
	in(t, map[string]string{"/gone.txt": strings.Repeat("x", 1000), "/move.txt": "m"}, func(t *testing.T, w *simtest.World) {
		w.Far.SetQuota(2000)
		must(t, w.Move("/move.txt", "/moved.txt"), w.Remove("/gone.txt"), w.Mkdir("/d"))
		for i := range 6 {
			must(t, w.Write(fmt.Sprintf("/d/%d.txt", i), simtest.Data("x", 3000)))
		}
		w.Options.Parallel = 1
		w.Use(w.Near)
		w.Server.ResetCounts()
		r := w.Flush()
		if n := w.Server.Counts().Of(graphtest.OpCreateSession); n > 1 {
			t.Errorf("%d uploads were tried", n)
		}
		if r.Sent != 3 || r.Left != 6 || r.Deferred != 6 {
			t.Errorf("flush: %+v", r)
		}
		w.Far.SetQuota(1 << 30)
		if r := w.Flush(); r.Sent != 6 {
			t.Errorf("flush: %+v", r)
		}
		w.Equal()
		w.Quiet()
	})
}

func TestANewFolderMeetsOneOfThatName(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		must(t, w.Mkdir("/d"), w.Write("/d/mine.txt", []byte("mine")), w.Write("/d/both.txt", []byte("both")))
		w.Server.SetFeedLag(time.Minute)
		put(t, w.Far, "/d/theirs.txt", "theirs")
		put(t, w.Far, "/d/both.txt", "both")
		if r := w.Flush(); r.Conflicts > 0 {
			t.Errorf("flush: %+v", r)
		}
		time.Sleep(2 * time.Minute)
		w.Server.SetFeedLag(0)
		w.Flush()
		if n := len(w.There()); n != 4 {
			t.Errorf("there: %v", w.There())
		}
		w.Equal()
		w.Quiet()
	})
}

func TestBytesOfADeletedFileThatIsStillOpenAreFetchedFirst(t *testing.T) {
	in(t, map[string]string{"/a.txt": "wanted"}, func(t *testing.T, w *simtest.World) {
		f, err := w.OpenFile("/a.txt", false)
		must(t, err)
		must(t, w.Remove("/a.txt"))
		if r := w.Flush(); r.Sent != 1 {
			t.Errorf("flush: %+v", r)
		}
		data, err := f.Read()
		if err != nil || string(data) != "wanted" {
			t.Errorf("read %q, %v", data, err)
		}
		must(t, f.Close())
		w.Equal()
		w.Quiet()
	})
}

func TestAFileInTheTrashOfThisMachineKeepsItsBytes(t *testing.T) {
	in(t, map[string]string{"/a.txt": "wanted", "/d/b.txt": "wanted too"}, func(t *testing.T, w *simtest.World) {
		must(t, w.Mkdir("/.Trashes"), w.Move("/a.txt", "/.Trashes/a.txt"), w.Move("/d", "/.Trashes/d"))
		if r := w.Flush(); r.Left != 0 || r.Deferred > 0 {
			t.Errorf("flush: %+v", r)
		}
		if n := len(w.There()); n != 0 {
			t.Errorf("there: %v", w.There())
		}
		for p, want := range map[string]string{"/.Trashes/a.txt": "wanted", "/.Trashes/d/b.txt": "wanted too"} {
			if data, err := w.Read(p); err != nil || string(data) != want {
				t.Errorf("%s: %q, %v", p, data, err)
			}
		}
		w.Quiet()
	})
}

func TestAnUploadThatTheNetworkBrokeGoesOnWhereItWas(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/a.bin", simtest.Data("abc", 8*320<<10)))
		once(w, http.MethodPut, 6, true, func() { w.Server.SetOffline(true) })
		if _, err := w.Engine.Flush(t.Context(), flush.Request{}); err == nil {
			t.Error("the flush did not mind")
		}
		w.Between(nil)
		w.Server.SetOffline(false)
		w.Server.ResetCounts()
		if r := w.Flush(); r.Sent != 1 {
			t.Errorf("flush: %+v", r)
		}
		if up := w.Server.Counts().BytesUp; up > 3*320<<10 {
			t.Errorf("%d bytes sent again", up)
		}
		w.Equal()
		w.Quiet()
	})
}

func TestASessionOfBytesThatChangedIsGivenUp(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		must(t, w.Write("/a.bin", simtest.Data("abc", 8*320<<10)))
		once(w, http.MethodPut, 6, true, func() { w.Server.SetOffline(true) })
		if _, err := w.Engine.Flush(t.Context(), flush.Request{}); err == nil {
			t.Error("the flush did not mind")
		}
		w.Between(nil)
		w.Server.SetOffline(false)
		must(t, w.Write("/a.bin", simtest.Data("xyz", 5*320<<10)))
		if r := w.Flush(); r.Sent != 1 {
			t.Errorf("flush: %+v", r)
		}
		w.Equal()
		w.Quiet()
	})
}

func TestSmallStepsShareRequests(t *testing.T) {
	files := map[string]string{}
	for i := range 50 {
		files[fmt.Sprintf("/old/%d", i)] = "x"
		files[fmt.Sprintf("/gone/%d", i)] = "x"
	}
	files["/stay/x"], files["/gone/stays"] = "x", "x"
	in(t, files, func(t *testing.T, w *simtest.World) {
		must(t, w.Mkdir("/new"))
		for i := range 50 {
			must(t, w.Mkdir(fmt.Sprintf("/new/%d", i)), w.Move(fmt.Sprintf("/old/%d", i), fmt.Sprintf("/new/%d/f", i)), w.Remove(fmt.Sprintf("/gone/%d", i)))
		}
		w.Server.ResetCounts()
		if r := w.Flush(); r.Sent != 151 || r.Left != 0 {
			t.Errorf("flush: %+v", r)
		}
		c := w.Server.Counts()
		if n := c.Kinds[graphtest.OpBatch]; n < 8 || n > 20 {
			t.Errorf("%d batches; %v", n, c.Kinds)
		}
		w.Equal()
		w.Quiet()
	})
}

func TestEachStepOfABatchIsJudgedByItself(t *testing.T) {
	files := map[string]string{}
	for i := range 10 {
		files[fmt.Sprintf("/%d.txt", i)] = fmt.Sprint(i)
	}
	in(t, files, func(t *testing.T, w *simtest.World) {
		for i := range 10 {
			must(t, w.Move(fmt.Sprintf("/%d.txt", i), fmt.Sprintf("/n%d.txt", i)))
		}
		w.Server.Inject(
			graphtest.Fault{Op: graphtest.OpUpdate, Place: "/3.txt", Status: 423, Code: "resourceLocked"},
			graphtest.Fault{Op: graphtest.OpUpdate, Place: "/5.txt", Status: 429, RetryAfter: 2},
		)
		must(t, w.Far.Touch("/7.txt", time.Unix(1e9, 0))) // another tag, the same bytes
		r := w.Flush()
		if r.Sent != 9 || r.Deferred != 1 || r.Left != 1 {
			t.Errorf("flush: %+v", r)
		}
		w.Flush()
		w.Equal()
		w.Quiet()
	})
}

func TestALostBatchIsLookedUp(t *testing.T) {
	in(t, map[string]string{"/a": "a", "/b": "b", "/gone": "x"}, func(t *testing.T, w *simtest.World) {
		must(t, w.Move("/a", "/a2"), w.Move("/b", "/b2"), w.Mkdir("/d"), w.Remove("/gone"))
		w.Server.Inject(graphtest.Fault{Op: graphtest.OpBatch, Drop: graphtest.DropAfter})
		if r := w.Flush(); r.Left != 0 || r.Conflicts > 0 || r.Sent != 4 {
			t.Errorf("flush: %+v", r)
		}
		w.Equal()
		w.Quiet()
	})
}

func TestAFileThatWritersMeetAgainAndAgainIsSentFromACopy(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		f, err := w.OpenFile("/big.log", true)
		must(t, err, f.Write(simtest.Data("0", 900<<10+7)))
		last := ""
		meddle := func(n int) { // a writer comes into every upload
			once(w, http.MethodPut, 2, false, func() {
				last = fmt.Sprint(n)
				must(t, f.Write(simtest.Data(last, 900<<10+7)))
			})
		}
		for n := 1; n <= 2; n++ {
			meddle(n)
			if r := w.Flush(); r.Busy != 1 {
				t.Errorf("flush %d: %+v", n, r)
			}
		}
		must(t, w.Touch("/big.log", time.Now().Add(-20*time.Second))) // files have the machine's time, which is no bubble's
		meddle(3)
		if r := w.Flush(); r.Sent != 1 || r.Busy != 0 || r.Left != 1 {
			t.Errorf("third flush: %+v", r)
		}
		if got := w.There()["/big.log"]; got != string(simtest.Data("2", 900<<10+7)) {
			t.Errorf("there: %.10q…, %d bytes", got, len(got))
		}
		w.Between(nil)
		must(t, f.Close())
		if r := w.Flush(); r.Sent != 1 {
			t.Errorf("fourth flush: %+v, %+v", r, r.Receipt)
		}
		w.Equal()
		w.Quiet()
	})
}

func TestAReplacementWaitsForWhoReadsTheOldBytes(t *testing.T) {
	old := string(simtest.Data("old bytes ", 3<<20))
	in(t, map[string]string{"/a.bin": old}, func(t *testing.T, w *simtest.World) {
		f, err := w.OpenFile("/a.bin", false)
		must(t, err)
		must(t, w.Write("/new.bin", []byte("new")), w.Move("/new.bin", "/a.bin"))
		if r := w.Flush(); r.Sent != 1 {
			t.Errorf("flush: %+v", r)
		}
		w.Server.SetOffline(true)
		if got, err := f.Read(); err != nil || string(got) != old {
			t.Errorf("read %d bytes, %v", len(got), err)
		}
		w.Server.SetOffline(false)
		must(t, f.Close())
		w.Equal()
	})
}
