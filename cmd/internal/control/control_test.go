package control

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/upload"
	"github.com/duskfs/duskfs/graph"
)

// daemon is an API that says what it is told to.
type daemon struct {
	status  Status
	flush   func(ctx context.Context, r FlushRequest, p func(flush.Progress)) (flush.Result, error)
	stopped chan struct{}
}

func (d *daemon) Status(context.Context) (Status, error) { return d.status, nil }
func (d *daemon) Refresh(context.Context) (flush.RefreshResult, error) {
	return flush.RefreshResult{}, &graph.Error{Op: "delta", Kind: graph.Offline, Message: "no route"}
}
func (d *daemon) Diff(_ context.Context, paths []string) ([]Change, error) {
	return []Change{{Kind: "new", Path: strings.Join(paths, "+"), Size: 5}}, nil
}
func (d *daemon) Discard(_ context.Context, r DiscardRequest) ([]Discarded, error) {
	if r.DryRun {
		return nil, &graph.Error{Op: "discard", Kind: graph.SignIn}
	}
	if len(r.Paths) == 2 {
		return []Discarded{{Trash: "/trash/a"}}, &graph.Error{Op: "discard", Item: r.Paths[1], Kind: graph.Offline}
	}
	return []Discarded{{Change: Change{Kind: "new", Path: r.Paths[0]}, Trash: "/trash/a"}}, nil
}
func (d *daemon) Conflicts(_ context.Context, paths []string) ([]Pair, error) {
	return []Pair{{Kind: "conflict", Path: strings.Join(paths, "+")}}, nil
}
func (d *daemon) Resolve(_ context.Context, r ResolveRequest) error {
	return &graph.Error{Op: "resolve", Item: r.Path, Kind: graph.NotExist, Message: r.Keep}
}
func (d *daemon) Pause(context.Context, PauseRequest) error { return nil }

func (d *daemon) Doctor(_ context.Context, r DoctorRequest) ([]Finding, error) {
	return []Finding{{Level: FindingOK, Kind: "bodies", Fixed: r.Scrub}}, nil
}
func (d *daemon) Unmount(context.Context) error { close(d.stopped); return nil }
func (d *daemon) Flush(ctx context.Context, r FlushRequest, p func(flush.Progress)) (flush.Result, error) {
	return d.flush(ctx, r, p)
}

func (d *daemon) Upload(_ context.Context, r UploadRequest, p func(flush.Progress)) (upload.Result, error) {
	p(flush.Progress{Name: r.Drive})
	return upload.Result{Folder: r.Folder, Sent: 3}, &graph.Error{Op: "upload", Kind: graph.Full}
}

// serve registers a mount in a fresh state folder and returns a client of it.
func serve(t *testing.T, api *daemon) (*Client, *Server, Registry) {
	t.Helper()
	api.stopped = make(chan struct{})
	reg := NewRegistry(t.TempDir())
	l, undo, err := reg.Listen(t.Context(), "/mnt/a", []string{"me"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(undo)
	rec, err := reg.Find(t.Context(), "", "/")
	if err != nil {
		t.Fatal(err)
	}
	return NewClient(rec.Mount, rec.Socket), Serve(l, api, slog.New(slog.DiscardHandler)), reg
}

func TestAnUploadTellsHowFarItIs(t *testing.T) {
	c, s, _ := serve(t, &daemon{})
	defer s.Close(nil)
	heard := ""
	res, err := c.Upload(t.Context(), UploadRequest{Folder: "/up", Drive: "me"}, func(p flush.Progress) { heard = p.Name })
	if res.Folder != "/up" || res.Sent != 3 || heard != "me" || !errors.Is(err, graph.Full) {
		t.Errorf("%+v, %v, heard %q", res, err, heard)
	}
}

func TestStatusArrivesAsItWasSent(t *testing.T) {
	now := time.Now().UTC().Round(0)
	want := Status{Mount: "/mnt/a", Pending: Pending{Items: 3, Bytes: 7, Oldest: &now}, Auth: Auth{State: "ok", Account: "a"}}
	c, s, _ := serve(t, &daemon{status: want})
	defer s.Close(nil)
	got, err := c.Status(t.Context())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
}

func TestFlushStreamsProgressAndItsResult(t *testing.T) {
	api := &daemon{flush: func(_ context.Context, r FlushRequest, p func(flush.Progress)) (flush.Result, error) {
		p(flush.Progress{Phase: "plan"})
		p(flush.Progress{Phase: "send", Path: r.Paths[0]})
		return flush.Result{Drives: []flush.DriveResult{{Sent: 2}}}, nil
	}}
	c, s, _ := serve(t, api)
	defer s.Close(nil)
	var seen []string
	res, err := c.Flush(t.Context(), FlushRequest{Paths: []string{"/mnt/a/x"}}, func(p flush.Progress) { seen = append(seen, p.Phase+p.Path) })
	if err != nil || len(res.Drives) != 1 || res.Drives[0].Sent != 2 {
		t.Errorf("got %+v, %v", res, err)
	}
	if want := []string{"plan", "send/mnt/a/x"}; !reflect.DeepEqual(seen, want) {
		t.Errorf("progress %v, want %v", seen, want)
	}
}

func TestQuestionsAndAnswersArriveAsTheyWereSent(t *testing.T) {
	c, s, _ := serve(t, &daemon{})
	defer s.Close(nil)
	if got, err := c.Diff(t.Context(), []string{"/a", "/b"}); err != nil || !reflect.DeepEqual(got, []Change{{Kind: "new", Path: "/a+/b", Size: 5}}) {
		t.Errorf("diff: %+v, %v", got, err)
	}
	if got, err := c.Discard(t.Context(), DiscardRequest{Paths: []string{"/a"}}); err != nil || len(got) != 1 || got[0].Path != "/a" || got[0].Trash != "/trash/a" {
		t.Errorf("discard: %+v, %v", got, err)
	}
	got, err := c.Discard(t.Context(), DiscardRequest{Paths: []string{"/a", "/b"}})
	if !errors.Is(err, graph.Offline) || len(got) != 1 || got[0].Trash != "/trash/a" {
		t.Errorf("discard that ends early: %+v, %v", got, err)
	}
	if got, err := c.Discard(t.Context(), DiscardRequest{DryRun: true}); !errors.Is(err, graph.SignIn) || got != nil {
		t.Errorf("discard that does not begin: %+v, %v", got, err)
	}
	if got, err := c.Conflicts(t.Context(), []string{"/a", "/b"}); err != nil || len(got) != 1 || got[0].Path != "/a+/b" {
		t.Errorf("conflicts: %+v, %v", got, err)
	}
	if err := c.Resolve(t.Context(), ResolveRequest{Path: "/p", Keep: "mine"}); !errors.Is(err, graph.NotExist) || !strings.Contains(err.Error(), "/p") {
		t.Errorf("resolve: %v", err)
	}
	if err := c.Pause(t.Context(), PauseRequest{Paused: true}); err != nil {
		t.Errorf("pause: %v", err)
	}
}

func TestErrorsKeepTheirKind(t *testing.T) {
	api := &daemon{flush: func(context.Context, FlushRequest, func(flush.Progress)) (flush.Result, error) {
		return flush.Result{Drives: []flush.DriveResult{{Left: 4}}}, &graph.Error{Op: "sign in", Kind: graph.SignIn, Message: "wrong secret"}
	}}
	c, s, _ := serve(t, api)
	defer s.Close(nil)
	if _, err := c.Refresh(t.Context()); !errors.Is(err, graph.Offline) || !strings.Contains(err.Error(), "no route") {
		t.Errorf("refresh: %v", err)
	}
	res, err := c.Flush(t.Context(), FlushRequest{}, nil)
	if graph.KindOf(err) != graph.SignIn || len(res.Drives) != 1 || res.Drives[0].Left != 4 {
		t.Errorf("flush: %+v, %v", res, err)
	}
}

func TestAClientThatLeavesEndsItsFlush(t *testing.T) {
	began, ended := make(chan struct{}), make(chan struct{})
	api := &daemon{flush: func(ctx context.Context, _ FlushRequest, _ func(flush.Progress)) (flush.Result, error) {
		close(began)
		<-ctx.Done()
		close(ended)
		return flush.Result{}, ctx.Err()
	}}
	c, s, _ := serve(t, api)
	defer s.Close(nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	if _, err := c.Flush(ctx, FlushRequest{}, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-ended
}

func TestAFlushThatIsInterruptedTellsHowFarItCame(t *testing.T) {
	began, over := make(chan struct{}), false
	api := &daemon{flush: func(ctx context.Context, _ FlushRequest, _ func(flush.Progress)) (flush.Result, error) {
		close(began)
		<-ctx.Done()
		time.Sleep(10 * time.Millisecond) // its end takes a moment
		over = true
		return flush.Result{Drives: []flush.DriveResult{{Sent: 3}}}, ctx.Err()
	}}
	c, s, _ := serve(t, api)
	defer s.Close(nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-began; cancel() }()
	res, err := c.Flush(ctx, FlushRequest{}, nil)
	if !errors.Is(err, context.Canceled) || !over || len(res.Drives) != 1 || res.Drives[0].Sent != 3 {
		t.Errorf("%+v, %v, over: %v", res, err, over)
	}
}

func TestUnmountIsAnsweredWhenAllIsOver(t *testing.T) {
	for _, result := range []error{nil, errors.New("the disk is gone")} {
		api := &daemon{}
		c, s, _ := serve(t, api)
		over := false
		go func() {
			<-api.stopped
			s.Stop()
			over = true
			s.Close(result)
		}()
		err := c.Unmount(t.Context())
		if !over {
			t.Error("answered before the daemon had ended")
		}
		if (err == nil) != (result == nil) || err != nil && err.Error() != result.Error() {
			t.Errorf("got %v, want %v", err, result)
		}
		if _, err := c.Status(t.Context()); !errors.Is(err, ErrNoDaemon) {
			t.Errorf("afterwards: %v", err)
		}
	}
}

func TestStopCancelsWhatIsUnderWayAndRefusesMore(t *testing.T) {
	began := make(chan struct{})
	api := &daemon{flush: func(ctx context.Context, _ FlushRequest, _ func(flush.Progress)) (flush.Result, error) {
		close(began)
		<-ctx.Done()
		return flush.Result{}, &graph.Error{Op: "flush", Kind: graph.Lost}
	}}
	c, s, _ := serve(t, api)
	defer s.Close(nil)
	answer := make(chan error, 1)
	go func() { _, err := c.Flush(t.Context(), FlushRequest{}, nil); answer <- err }()
	<-began
	s.Stop()
	if err := <-answer; !errors.Is(err, graph.Lost) {
		t.Errorf("the flush under way: %v", err)
	}
	if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), "being unmounted") {
		t.Errorf("a new call: %v", err)
	}
}

func TestFilesOfTheSocketArePrivate(t *testing.T) {
	_, s, reg := serve(t, &daemon{})
	defer s.Close(nil)
	entries, err := os.ReadDir(reg.dir())
	if err != nil || len(entries) != 2 {
		t.Fatalf("%v, %v", entries, err)
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v, %v", e.Name(), info.Mode().Perm(), err)
		}
	}
	if info, err := os.Stat(reg.dir()); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("folder: %v, %v", info.Mode(), err)
	}
}

func TestASecondDaemonForAMountpointIsRefused(t *testing.T) {
	_, s, reg := serve(t, &daemon{})
	defer s.Close(nil)
	if _, _, err := reg.Listen(t.Context(), "/mnt/a", nil); err == nil || !strings.Contains(err.Error(), "mounted already") {
		t.Errorf("got %v", err)
	}
}

func TestWhatAKilledDaemonLeftIsCleared(t *testing.T) {
	reg := NewRegistry(t.TempDir())
	l, _, err := reg.Listen(t.Context(), "/mnt/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if live, err := reg.List(t.Context()); err != nil || len(live) != 0 {
		t.Errorf("listed %v, %v", live, err)
	}
	if left, _ := os.ReadDir(reg.dir()); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
	if _, err := reg.Find(t.Context(), "", "/"); !errors.Is(err, ErrNoDaemon) {
		t.Errorf("found: %v", err)
	}
}

func TestAKilledDaemonsMountpointCanBeTakenAgain(t *testing.T) {
	reg := NewRegistry(t.TempDir())
	l, _, err := reg.Listen(t.Context(), "/mnt/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	again, undo, err := reg.Listen(t.Context(), "/mnt/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer undo()
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

func TestFindTakesThePathThenTheWorkingDirectoryThenTheOnlyOne(t *testing.T) {
	reg := NewRegistry(t.TempDir())
	for _, m := range []string{"/mnt/a", "/mnt/a/b", "/mnt/c"} {
		l, undo, err := reg.Listen(t.Context(), m, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { undo(); _ = l.Close() })
	}
	for _, c := range []struct{ path, work, want string }{
		{"/mnt/a", "/", "/mnt/a"}, {"/mnt/a/x/y", "/mnt/c", "/mnt/a"}, {"/mnt/a/b/x", "/", "/mnt/a/b"},
		{"", "/mnt/c/x", "/mnt/c"}, {"/mnt/ab", "/mnt/c", ""}, {"", "/mnt", ""},
	} {
		rec, err := reg.Find(t.Context(), c.path, c.work)
		if rec.Mount != c.want || (err == nil) != (c.want != "") {
			t.Errorf("Find(%q, %q) = %q, %v; want %q", c.path, c.work, rec.Mount, err, c.want)
		}
	}
}

func TestALongStateFolderGetsAShortSocket(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("TMPDIR", "/tmp")
	reg := NewRegistry(filepath.Join(t.TempDir(), strings.Repeat("long", 30)))
	l, undo, err := reg.Listen(t.Context(), "/mnt/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer undo()
	defer func() { _ = l.Close() }()
	rec, err := reg.Find(t.Context(), "/mnt/a", "/")
	if err != nil || len(rec.Socket) > 103 {
		t.Errorf("socket %s, %v", rec.Socket, err)
	}
}
