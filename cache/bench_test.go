package cache_test

import (
	"fmt"
	"testing"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/cachetest"
	"github.com/duskfs/duskfs/graph"
)

// pages are n files in folders of 100.
func pages(n int) []graph.Item {
	var items []graph.Item
	for i := range n {
		if i%100 == 0 {
			items = append(items, cachetest.Folder(folderID(i), cachetest.RootItem, fmt.Sprintf("folder %d", i/100)))
		}
		id := graph.ItemID(fmt.Sprintf("01ABCDEFGHIJKLMNOPQRSTUVWXYZ%06d", i))
		items = append(items, cachetest.File(id, folderID(i), fmt.Sprintf("Report %d of the year.docx", i), "x"))
	}
	return items
}

func folderID(i int) graph.ItemID {
	return graph.ItemID(fmt.Sprintf("01FOLDERFOLDERFOLDERFOLDER%06d", i/100))
}

func bench(b *testing.B) (*cache.Store, cache.DriveInfo) {
	s, err := cache.Open(b.TempDir(), cache.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s, cachetest.AddDrive(b, s, "d1")
}

func BenchmarkEnumerate100k(b *testing.B) {
	items := pages(100_000)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		s, d := bench(b)
		b.StartTimer()
		in := s.Inbox(d.Num)
		if err := in.Begin(true, cachetest.Time); err != nil {
			b.Fatal(err)
		}
		for i := 0; i < len(items); i += 200 {
			p := graph.Page{Items: items[i:min(i+200, len(items))], Next: "l", Done: i+200 >= len(items)}
			if err := in.Receive(p); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(len(items)*b.N)/b.Elapsed().Seconds(), "items/s")
}

func BenchmarkLookup(b *testing.B) {
	s, d := bench(b)
	cachetest.Enumerate(b, s, d.Num, pages(100_000)...)
	t := s.Tree()
	f, err := t.Lookup(d.Root, "folder 500")
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := t.Lookup(f.Ino, "Report 50042 of the year.docx"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkList50k(b *testing.B) {
	s, d := bench(b)
	var items []graph.Item
	for i := range 50_000 {
		items = append(items, cachetest.File(graph.ItemID(fmt.Sprintf("item%d", i)), cachetest.RootItem, fmt.Sprintf("f%d", i), "x"))
	}
	cachetest.Enumerate(b, s, d.Num, items...)
	t := s.Tree()
	for b.Loop() {
		for after, n := cache.Ino(0), 1; n > 0; {
			list, err := t.List(d.Root, after, 1000)
			if err != nil {
				b.Fatal(err)
			}
			if n = len(list); n > 0 {
				after = list[n-1].Ino
			}
		}
	}
	b.ReportMetric(float64(50_000*b.N)/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkCreate(b *testing.B) {
	s, d := bench(b)
	cachetest.Enumerate(b, s, d.Num)
	t := s.Tree()
	for i := 0; b.Loop(); i++ {
		if _, err := t.Create(d.Root, fmt.Sprintf("file %d", i), cache.New{}); err != nil {
			b.Fatal(err)
		}
	}
}
