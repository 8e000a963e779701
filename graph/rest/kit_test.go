package rest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

// world is the emulator and a client of it, in one synctest bubble.
type world struct {
	*graphtest.Server
	t      *testing.T
	far    *graphtest.Drive // the drive as the service has it
	near   *rest.Drive      // the same through the client
	client *rest.Client
	tokens *tokens
	logs   *logs
}

// in runs a test in a bubble, where waiting costs nothing. When it ends, nothing may have gone
// against the protocol and no secret may have been logged.
func in(t *testing.T, o graphtest.Options, shape func(*rest.Options), f func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := graphtest.Start(t, o)
		w := &world{Server: s, t: t, far: s.Me().Drive(), tokens: &tokens{s: s}, logs: &logs{}}
		opts := rest.Options{GraphURL: s.GraphURL(), Tokens: w.tokens, Transport: s.Transport(), User: s.Me().UPN, Version: "1.2.3", Fragment: fragment,
			Logger: slog.New(slog.NewTextHandler(w.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))}
		if shape != nil {
			shape(&opts)
		}
		var err error
		if w.client, err = rest.New(opts); err != nil {
			t.Fatal(err)
		}
		w.near = w.client.Drive(graph.DriveID(w.far.ID()))
		f(w)
		for _, v := range s.Violations() {
			t.Errorf("against the protocol: %s", v)
		}
		if text := w.logs.String(); strings.Contains(text, "SECRET-") {
			t.Errorf("the log holds a secret:\n%s", text)
		}
	})
}

// simply is in with an ordinary service.
func simply(t *testing.T, f func(w *world)) { t.Helper(); in(t, graphtest.Options{}, nil, f) }

func (w *world) ctx() context.Context { return w.t.Context() }

func (w *world) put(path string, data []byte) graph.Item {
	w.t.Helper()
	if _, err := w.far.Put(path, data); err != nil {
		w.t.Fatal(err)
	}
	return w.at(path)
}

// at reads an item by path with the client.
func (w *world) at(path string) graph.Item {
	w.t.Helper()
	info, err := w.far.Stat(path)
	if err != nil {
		w.t.Fatal(err)
	}
	i, err := w.near.Item(w.ctx(), graph.ItemID(info.ID))
	if err != nil {
		w.t.Fatal(err)
	}
	return i
}

func (w *world) root() graph.ItemID {
	w.t.Helper()
	i, err := w.near.Root(w.ctx())
	if err != nil {
		w.t.Fatal(err)
	}
	return i.ID
}

// holds checks what the service has at a path.
func (w *world) holds(path string, want []byte) {
	w.t.Helper()
	got, err := w.far.Read(path)
	if err != nil {
		w.t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		w.t.Errorf("%s holds %d other bytes than the %d expected", path, len(got), len(want))
	}
}

// counted returns how often something was asked while f ran.
func (w *world) counted(f func(), kinds ...string) int {
	w.ResetCounts()
	f()
	return w.Counts().Of(kinds...)
}

func (w *world) read(i graph.Item, off, n int64) ([]byte, error) {
	r, err := w.near.Content(w.ctx(), i.ID, i.Version(), off, n)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// wants checks the kind of an error, and that it gives nothing away.
func wants(t *testing.T, err error, kind graph.Kind) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Errorf("got error %v, want kind %q", err, kind)
	}
	if err != nil && strings.Contains(err.Error(), "SECRET-") {
		t.Errorf("the error holds a secret: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// tokens is a sign-in without a login host.
type tokens struct {
	s *graphtest.Server

	mu        sync.Mutex
	kept      string
	refreshes int
	claims    []string
	fixed     bool // always the same worthless token
	failures  []error
}

func (k *tokens) Token(context.Context) (string, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.failures) > 0 {
		err := k.failures[0]
		k.failures = k.failures[1:]
		return "", err
	}
	if k.fixed {
		return "worthless", nil
	}
	if k.kept == "" {
		k.kept = k.s.AccessToken("")
	}
	return k.kept, nil
}

func (k *tokens) Refresh(ctx context.Context, refused, claims string) (string, error) {
	k.mu.Lock()
	if k.kept == refused {
		k.kept = ""
	}
	k.refreshes++
	if claims != "" {
		k.claims = append(k.claims, claims)
	}
	k.mu.Unlock()
	return k.Token(ctx)
}

// logs collects what is logged.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// carrier is a transport of one's own.
type carrier func(*http.Request) (*http.Response, error)

func (c carrier) RoundTrip(r *http.Request) (*http.Response, error) { return c(r) }

// noise makes bytes that no two places of share.
func noise(n int, seed uint64) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16)}).Read(b) // never fails
	return b
}

func hashOf(b []byte) graph.Hash {
	h := graph.NewQuickXor()
	h.Write(b)
	return graph.HashOf(h)
}

// fragment is the size of fragments in tests: small, to be quick.
const fragment = 640 << 10

var yesterday = time.Date(1999, 12, 31, 23, 59, 58, 0, time.UTC)

// must is must for what the colleague does.
func (w *world) must(_ graphtest.Info, err error) {
	w.t.Helper()
	must(w.t, err)
}
