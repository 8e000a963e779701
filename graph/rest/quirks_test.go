package rest_test

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

// TestADayUnderEachQuirk makes, lists, reads, replaces, moves and deletes files while the service is
// odd in one way after the other, and in all ways at once.
func TestADayUnderEachQuirk(t *testing.T) {
	var all graphtest.Quirks
	kinds := reflect.TypeOf(all)
	days := map[string]graphtest.Quirks{}
	for n := range kinds.NumField() {
		var one graphtest.Quirks
		reflect.ValueOf(&one).Elem().Field(n).SetBool(true)
		reflect.ValueOf(&all).Elem().Field(n).SetBool(true)
		days[kinds.Field(n).Name] = one
	}
	days["all"] = all
	for name, quirks := range days {
		for _, personal := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				in(t, graphtest.Options{Personal: personal, ListPage: 2}, nil, func(w *world) {
					w.SetQuirks(quirks)
					dir, err := w.near.Mkdir(w.ctx(), w.root(), "d %41")
					must(t, err)
					data := noise(2*fragment, 1)
					i, err := w.near.Upload(w.ctx(), upload(graph.Upload{Parent: dir.ID, Name: "a %41.txt"}, data))
					must(t, err)
					got, err := w.read(w.at("/d %41/a %41.txt"), 0, i.Size)
					if err != nil || !bytes.Equal(got, data) {
						t.Errorf("read: %d bytes, %v", len(got), err)
					}
					data = noise(fragment/2, 2)
					j, err := w.near.Upload(w.ctx(), upload(graph.Upload{ID: i.ID, Base: i.Version()}, data))
					if err != nil || j.ID != i.ID || !quirks.OddTimes && !j.ModTime.Equal(yesterday) {
						t.Errorf("replaced: %+v, %v", j, err)
					}
					w.holds("/d %41/a %41.txt", data)
					_, err = w.near.Upload(w.ctx(), upload(graph.Upload{ID: i.ID, Base: i.Version()}, data))
					wants(t, err, graph.Changed)
					empty, err := w.near.Upload(w.ctx(), upload(graph.Upload{Parent: dir.ID, Name: "empty"}, nil))
					must(t, err)
					names := map[string]bool{}
					for i, err := range w.near.Children(w.ctx(), dir.ID) {
						must(t, err)
						names[i.Name] = true
					}
					if len(names) != 2 || !names["a %41.txt"] || !names["empty"] {
						t.Errorf("children %v", names)
					}
					moved, err := w.near.Update(w.ctx(), i.ID, graph.Change{Parent: w.root(), Name: "b", ModTime: yesterday}, "")
					if err != nil || moved.Name != "b" || !quirks.OddTimes && !moved.ModTime.Equal(yesterday) {
						t.Errorf("moved: %+v, %v", moved, err)
					}
					items, link, _ := w.follow(graph.Start)
					if len(items) < 4 {
						t.Errorf("feed %+v", items)
					}
					must(t, w.near.Delete(w.ctx(), empty.ID, ""))
					must(t, w.near.Delete(w.ctx(), dir.ID, ""))
					w.follow(link)
					if _, err := w.client.Drives(w.ctx(), ""); err != nil {
						t.Error(err)
					}
				})
			})
		}
	}
}

func TestFilesListedWithAnotherSizeAreNotCutShort(t *testing.T) {
	simply(t, func(w *world) {
		w.SetQuirks(graphtest.Quirks{WrongSizes: true})
		i := w.put("/photo.heic", noise(10_000, 1))
		for _, part := range [][2]int64{{0, i.Size}, {0, 100}, {i.Size - 100, 100}} {
			_, err := w.read(i, part[0], part[1])
			wants(t, err, graph.Failed)
			var size *rest.SizeError
			if !errors.As(err, &size) || size.Actual != 10_000 || size.Listed != i.Size {
				t.Errorf("part %v: got %v", part, err)
			}
		}
	})
}

// What the service takes for malware is refused with words that say so, by an address known before too.
func TestMalwareIsRefused(t *testing.T) {
	simply(t, func(w *world) {
		i := w.put("/virus.exe", noise(10, 1))
		_, err := w.read(i, 0, i.Size)
		must(t, err)
		must(t, w.far.Infect("/virus.exe"))
		for _, i := range []graph.Item{i, w.at("/virus.exe")} {
			_, err := w.read(i, 0, i.Size)
			wants(t, err, graph.Denied)
			if err == nil || !strings.Contains(err.Error(), "malware") {
				t.Errorf("said: %v", err)
			}
		}
	})
}
