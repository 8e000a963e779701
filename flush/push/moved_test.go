package push_test

import (
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph"
)

// The answer to the making of a file is lost, and a colleague moves the file before anybody here has looked: it is
// found where it is, and not made once more.
func TestAFileThatIsMovedBeforeItsAnswerCameIsNotMadeTwice(t *testing.T) {
	ends := map[string]func(w *simtest.World) error{
		"the connection breaks": func(w *simtest.World) error { w.Flush(); return nil },
		"the network is gone": func(w *simtest.World) error {
			_, err := w.Engine.Flush(w.T.Context(), flush.Request{})
			if !errors.Is(err, graph.Offline) {
				return fmt.Errorf("flush: %w", err)
			}
			return nil
		},
		"the process ends": func(w *simtest.World) error {
			kept := filepath.Join(simtest.Folder(w.T), "kept")
			_, _ = w.Engine.Flush(w.T.Context(), flush.Request{})
			w.Keep(kept)
			w.Open(kept)
			return nil
		},
	}
	moves := map[string]func(w *simtest.World) error{
		"moved":   func(w *simtest.World) error { _, err := w.Far.Move("/a.bin", "/d/a.bin"); return err },
		"renamed": func(w *simtest.World) error { _, err := w.Far.Move("/a.bin", "/b.bin"); return err },
		"moved, and the name used again": func(w *simtest.World) error {
			_, err := w.Far.Move("/a.bin", "/d/a.bin")
			if err == nil {
				_, err = w.Far.Put("/a.bin", []byte("theirs"))
			}
			return err
		},
	}
	for end, run := range ends {
		for move, moved := range moves {
			t.Run(end+", "+move, func(t *testing.T) {
				in(t, nil, func(t *testing.T, w *simtest.World) {
					_, err := w.Far.Mkdir("/d")
					must(t, err)
					w.Refresh()
					time.Sleep(time.Hour)
					must(t, w.Write("/a.bin", simtest.Data("ours", 700<<10)))
					ours := w.Here()["/a.bin"]
					time.Sleep(time.Minute)
					broken, silent := false, end != "the connection breaks"
					w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
						if broken && silent {
							return nil, errors.New("no network")
						}
						answer, err := under.RoundTrip(r)
						if err != nil || broken || r.Method != http.MethodPut || answer.StatusCode != http.StatusCreated {
							return answer, err
						}
						broken = true
						must(t, moved(w))
						answer.Body.Close()
						return nil, errors.New("the connection breaks")
					})
					must(t, run(w))
					if !broken {
						t.Fatal("no answer was lost")
					}
					w.Between(nil)
					w.Flush()
					times := 0
					for _, data := range w.There() {
						if data == ours {
							times++
						}
					}
					if times != 1 {
						t.Errorf("it is there %d times: %v", times, len(w.There()))
					}
					w.Equal()
					w.Quiet()
				})
			})
		}
	}
}

// A new file never reached the service, and a colleague has just put the same bytes with the same time into another
// folder, out of the same archive: that is another file, which neither moves ours nor has our next words written over it,
// nor goes when ours does.
func TestWhatAColleagueUnpackedIsNotTakenForWhatWasSentHere(t *testing.T) {
	for what, then := range map[string]func(w *simtest.World) error{
		"nothing":            func(*simtest.World) error { return nil },
		"it is written over": func(w *simtest.World) error { return w.Write("/a.bin", []byte("more")) },
		"it is removed":      func(w *simtest.World) error { return w.Remove("/a.bin") },
	} {
		t.Run(what, func(t *testing.T) {
			in(t, nil, func(t *testing.T, w *simtest.World) {
				_, err := w.Far.Mkdir("/d")
				must(t, err)
				w.Refresh()
				time.Sleep(time.Hour)
				data, at := simtest.Data("archive", 4<<10), w.Now().Add(-30*time.Minute).Truncate(time.Second)
				must(t, w.Write("/a.bin", data), w.Touch("/a.bin", at))
				broken := false
				w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
					switch {
					case r.Method == http.MethodPut || broken:
						broken = true // it never arrives, and then the network is gone
						return nil, errors.New("no network")
					}
					return under.RoundTrip(r)
				})
				_, err = w.Engine.Flush(t.Context(), flush.Request{})
				if !errors.Is(err, graph.Offline) || !broken {
					t.Fatalf("flush: %v", err)
				}
				w.Between(nil)
				time.Sleep(time.Minute)
				put(t, w.Far, "/d/a.bin", string(data))
				must(t, w.Far.Touch("/d/a.bin", at), then(w))
				w.Flush()
				if got, err := w.Far.Read("/d/a.bin"); err != nil || string(got) != string(data) {
					t.Errorf("the colleague's file: %d bytes, %v", len(got), err)
				}
				if _, here := w.Here()["/a.bin"]; here != (what != "it is removed") {
					t.Errorf("ours is where it was made: %v", here)
				}
				w.Equal()
				w.Quiet()
			})
		})
	}
}
