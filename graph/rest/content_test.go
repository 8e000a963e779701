package rest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

func TestContentWholeAndInPieces(t *testing.T) {
	simply(t, func(w *world) {
		data := noise(100_000, 1)
		i := w.put("/f", data)
		got, err := w.read(i, 0, i.Size)
		if err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		asked := w.counted(func() {
			for off := int64(0); off < i.Size; off += 10_000 {
				got, err := w.read(i, off, 10_000)
				if err != nil || !bytes.Equal(got, data[off:off+10_000]) {
					t.Fatalf("piece at %d: %d bytes, %v", off, len(got), err)
				}
			}
		}, graphtest.OpItem, graphtest.OpContent)
		if asked > 1 {
			t.Errorf("ten pieces asked %d times where the bytes are", asked)
		}
		if _, err := w.read(i, 99_999, 1); err != nil {
			t.Error(err)
		}
		_, err = w.read(i, 0, 0)
		wants(t, err, graph.Invalid)
		_, err = w.near.Content(w.ctx(), w.root(), graph.Version{}, 0, 1)
		wants(t, err, graph.Invalid)
		_, err = w.near.Content(w.ctx(), "nothing", graph.Version{}, 0, 1)
		wants(t, err, graph.NotExist)
	})
}

func TestBytesOfTwoVersionsAreNeverMixed(t *testing.T) {
	for _, kind := range []string{"business", "personal"} {
		t.Run(kind, func(t *testing.T) {
			in(t, graphtest.Options{Personal: kind == "personal"}, nil, func(w *world) {
				i := w.put("/f", noise(1000, 1))
				if _, err := w.read(i, 0, 500); err != nil {
					t.Fatal(err)
				}
				w.put("/f", noise(1000, 2)) // same size, other bytes
				_, err := w.read(i, 500, 500)
				wants(t, err, graph.Changed)
				_, err = w.read(i, 0, 1000)
				wants(t, err, graph.Changed)
			})
		})
	}
}

func TestBytesThatChangeDuringADownloadAreChanged(t *testing.T) {
	simply(t, func(w *world) {
		data := noise(100_000, 1)
		i := w.put("/f", data)
		w.Inject(graphtest.Fault{Op: graphtest.OpDownload, Drop: graphtest.DropBody, Truncate: 40_000})
		r, err := w.near.Content(w.ctx(), i.ID, i.Version(), 0, i.Size)
		must(t, err)
		defer r.Close()
		if _, err := io.ReadFull(r, make([]byte, 30_000)); err != nil {
			t.Fatal(err)
		}
		w.put("/f", noise(100_000, 2))
		_, err = io.ReadAll(r)
		wants(t, err, graph.Changed)
	})
}

func TestARenameMeanwhileDoesNotDisturbReading(t *testing.T) {
	simply(t, func(w *world) {
		data := noise(1000, 1)
		i := w.put("/f", data)
		if _, err := w.read(i, 0, 500); err != nil {
			t.Fatal(err)
		}
		_, err := w.far.Move("/f", "/g")
		must(t, err)
		got, err := w.read(i, 500, 500)
		if err != nil || !bytes.Equal(got, data[500:]) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

func TestDownloadsGoOnWhereTheyBroke(t *testing.T) {
	for name, fault := range map[string]graphtest.Fault{
		"broken":   {Drop: graphtest.DropBody, Truncate: 40_000, Times: 2},
		"refused":  {Drop: graphtest.DropBefore, Times: 2},
		"stalled":  {Stall: graphtest.Duration(time.Hour), Times: 2},
		"no head":  {Delay: graphtest.Duration(time.Hour), Times: 2},
		"busy":     {Status: 429, RetryAfter: 60, Times: 2},
		"down":     {Status: 503, Body: "<html>", Times: 2},
		"expired":  {Status: 401, Body: "401 UNAUTHORIZED"},
		"gone":     {Status: 410},
		"missing":  {Status: 404, Body: "404 FILE NOT FOUND"},
		"expired!": {Status: 401, Times: 2},
	} {
		t.Run(name, func(t *testing.T) {
			simply(t, func(w *world) {
				data := noise(100_000, 1)
				i := w.put("/f", data)
				fault.Op = graphtest.OpDownload
				w.Inject(fault)
				got, err := w.read(i, 1000, i.Size-1000)
				if err != nil || !bytes.Equal(got, data[1000:]) {
					t.Errorf("%d bytes, %v", len(got), err)
				}
				if left := w.ClearFaults(); left > 0 {
					t.Errorf("%d faults were not met", left)
				}
			})
		})
	}
}

func TestAnAddressThatRanOutIsFetchedAnew(t *testing.T) {
	in(t, graphtest.Options{DownloadLife: time.Minute}, nil, func(w *world) {
		data := noise(1000, 1)
		i := w.put("/f", data)
		for off := int64(0); off < 1000; off += 100 {
			got, err := w.read(i, off, 100)
			if err != nil || !bytes.Equal(got, data[off:off+100]) {
				t.Errorf("piece at %d: %v", off, err)
			}
			time.Sleep(45 * time.Second)
		}
	})
}

func TestRefusedDownloadsSaySo(t *testing.T) {
	simply(t, func(w *world) {
		i := w.put("/f", []byte("x"))
		for status, kind := range map[int]graph.Kind{403: graph.Denied, 401: graph.Denied, 404: graph.NotExist, 500: graph.Failed, 503: graph.Offline} {
			w.Inject(graphtest.Fault{Op: graphtest.OpDownload, Status: status, Times: -1})
			_, err := w.read(i, 0, 1)
			wants(t, err, kind)
			w.ClearFaults()
		}
	})
}

func TestAShortBodyIsAnError(t *testing.T) {
	simply(t, func(w *world) {
		i := w.put("/f", noise(1000, 1))
		w.Inject(graphtest.Fault{Op: graphtest.OpDownload, Drop: graphtest.DropBody, Truncate: 0, Times: -1})
		_, err := w.read(i, 0, 1000)
		wants(t, err, graph.Offline)
		w.ClearFaults()
		// A body that ends politely before its time.
		w.Inject(graphtest.Fault{Op: graphtest.OpDownload, Status: 200, Body: "short", Times: -1})
		_, err = w.read(i, 0, 1000)
		if err == nil {
			t.Error("a short body passed for the whole")
		}
	})
}

func TestAHostThatIgnoresRangesIsReadFromTheStart(t *testing.T) {
	in(t, graphtest.Options{}, func(o *rest.Options) {
		inner := o.Transport
		o.StorageTransport = carrier(func(r *http.Request) (*http.Response, error) {
			r.Header.Del("Range")
			return inner.RoundTrip(r)
		})
	}, func(w *world) {
		data := noise(100_000, 1)
		i := w.put("/f", data)
		got, err := w.read(i, 70_000, 20_000)
		if err != nil || !bytes.Equal(got, data[70_000:90_000]) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

func TestAnswersWithoutAnAddressAreRedirected(t *testing.T) {
	in(t, graphtest.Options{}, func(o *rest.Options) {
		inner := o.Transport
		o.Transport = carrier(func(r *http.Request) (*http.Response, error) {
			resp, err := inner.RoundTrip(r)
			if err == nil && resp.StatusCode == 200 && r.URL.Host != "" {
				body, _ := io.ReadAll(resp.Body)
				body = bytes.ReplaceAll(body, []byte("@microsoft.graph.downloadUrl"), []byte("left.out"))
				resp.Body = io.NopCloser(bytes.NewReader(body))
			}
			return resp, err
		})
		o.StorageTransport = inner
	}, func(w *world) {
		data := noise(1000, 1)
		i := w.put("/f", data)
		got, err := w.read(i, 0, 1000)
		if err != nil || !bytes.Equal(got, data) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		if n := w.Counts().Of(graphtest.OpContent); n != 1 {
			t.Errorf("%d redirects", n)
		}
	})
}

func TestADownloadEndsWithItsContext(t *testing.T) {
	simply(t, func(w *world) {
		i := w.put("/f", noise(1000, 1))
		ctx, stop := context.WithCancel(w.ctx())
		w.Inject(graphtest.Fault{Op: graphtest.OpDownload, Drop: graphtest.DropBody, Truncate: 10})
		r, err := w.near.Content(ctx, i.ID, i.Version(), 0, 1000)
		must(t, err)
		stop()
		if _, err := io.ReadAll(r); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		must(t, r.Close())
		must(t, r.Close())
	})
}

func TestAnOpenDownloadHoldsUpNoUpload(t *testing.T) {
	in(t, graphtest.Options{}, func(o *rest.Options) { o.Concurrency = 1 }, func(w *world) {
		i := w.put("/f", noise(1000, 1))
		r, err := w.near.Content(w.ctx(), i.ID, i.Version(), 0, 1000)
		must(t, err)
		defer r.Close()
		ctx, stop := context.WithTimeout(w.ctx(), time.Minute)
		defer stop()
		if _, err := w.near.Upload(ctx, upload(graph.Upload{Parent: i.Parent, Name: "g"}, []byte("x"))); err != nil {
			t.Error(err)
		}
	})
}

func TestPlacesAreGivenBack(t *testing.T) {
	in(t, graphtest.Options{}, func(o *rest.Options) { o.Concurrency = 1 }, func(w *world) {
		i := w.put("/f", noise(1000, 1))
		for range 5 {
			r, err := w.near.Content(w.ctx(), i.ID, i.Version(), 0, 1000)
			must(t, err)
			must(t, r.Close())
		}
		w.Inject(graphtest.Fault{Op: graphtest.OpDownload, Status: 403, Times: 2})
		_, _ = w.read(i, 0, 10)
		if _, err := w.read(i, 0, 10); graph.KindOf(err) == graph.Offline {
			t.Error(err)
		}
		w.ClearFaults()
		if _, err := w.read(i, 0, 10); err != nil {
			t.Error(err)
		}
	})
}

// untagged is a storage host that tells no tags, and calls before every download.
func untagged(inner http.RoundTripper, before func(), spoil bool) carrier {
	return func(r *http.Request) (*http.Response, error) {
		before()
		resp, err := inner.RoundTrip(r)
		if err != nil || r.Method != http.MethodGet {
			return resp, err
		}
		resp.Header.Del("ETag")
		if spoil {
			body, _ := io.ReadAll(resp.Body)
			body[0] ^= 1
			resp.Body = io.NopCloser(bytes.NewReader(body))
		}
		return resp, nil
	}
}

func TestAWholeFileIsCheckedByItsHash(t *testing.T) {
	before := func() {}
	in(t, graphtest.Options{}, func(o *rest.Options) {
		o.StorageTransport = untagged(o.Transport, func() { before() }, false)
	}, func(w *world) {
		i := w.put("/f", noise(1000, 1))
		before = func() { w.put("/f", noise(1000, 2)) } // after the look at the version
		_, err := w.read(i, 0, 1000)
		wants(t, err, graph.Changed)
	})
}

func TestAFileThatGrowsBetweenLookAndReadIsChanged(t *testing.T) {
	before := func() {}
	in(t, graphtest.Options{}, func(o *rest.Options) {
		o.StorageTransport = untagged(o.Transport, func() { before() }, false)
	}, func(w *world) {
		for _, off := range []int64{0, 900} {
			i := w.put("/f", noise(1000, 1))
			before = func() { w.put("/f", noise(800, 2)) }
			_, err := w.read(i, off, 100)
			wants(t, err, graph.Changed)
			before = func() {}
		}
	})
}

func TestWhatTheServiceListsWronglyIsReadAllTheSame(t *testing.T) {
	in(t, graphtest.Options{}, func(o *rest.Options) { o.StorageTransport = untagged(o.Transport, func() {}, true) }, func(w *world) {
		data := noise(1000, 1)
		i := w.put("/photo.heic", data)
		got, err := w.read(i, 0, 1000)
		if err != nil || len(got) != 1000 {
			t.Errorf("%d bytes, %v", len(got), err)
		}
	})
}

func TestPiecesWithoutTagsAskForTheVersionEachTime(t *testing.T) {
	in(t, graphtest.Options{}, func(o *rest.Options) { o.StorageTransport = untagged(o.Transport, func() {}, false) }, func(w *world) {
		i := w.put("/f", noise(1000, 1))
		if _, err := w.read(i, 0, 500); err != nil {
			t.Fatal(err)
		}
		w.put("/f", noise(1000, 2))
		_, err := w.read(i, 500, 500)
		wants(t, err, graph.Changed)
	})
}
