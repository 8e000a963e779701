package refresh_test

import (
	"fmt"
	"testing"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/cachetest"
	"github.com/duskfs/duskfs/cache/refresh"
	"github.com/duskfs/duskfs/graph"
)

// crowd fills a service with folders of a hundred files.
func crowd(items int) *service {
	s := newService()
	s.page = 200
	folder := graph.ItemID("")
	for i := range items {
		id := graph.ItemID(fmt.Sprintf("I%06d", i))
		if i%100 == 0 {
			folder = id
			s.folder(id, "root", "folder "+string(id))
			continue
		}
		s.file(id, folder, "file "+string(id)+".txt", "x")
	}
	return s
}

func BenchmarkFirstRun(b *testing.B) {
	const items = 20_000
	there := crowd(items)
	there.page = items + 1
	for b.Loop() {
		b.StopTimer()
		store := cachetest.Open(b, cache.Options{})
		d := cachetest.AddDrive(b, store, "d1")
		r := refresh.New(refresh.Options{Store: store, Drive: d.Num, Service: there})
		b.StartTimer()
		if res, err := r.Run(b.Context()); err != nil || res.Received < items {
			b.Fatal(res, err)
		}
	}
	b.ReportMetric(float64(items)*float64(b.N)/b.Elapsed().Seconds(), "items/s")
}

func BenchmarkIdleRun(b *testing.B) {
	there := crowd(20_000)
	there.page = 20_001
	store := cachetest.Open(b, cache.Options{})
	d := cachetest.AddDrive(b, store, "d1")
	r := refresh.New(refresh.Options{Store: store, Drive: d.Num, Service: there})
	for range 2 {
		if _, err := r.Run(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if _, err := r.Run(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkManyChanges is a run that brings a change to each of many files.
func BenchmarkManyChanges(b *testing.B) {
	const items = 5_000
	there := crowd(items)
	there.page = items + 1
	store := cachetest.Open(b, cache.Options{})
	d := cachetest.AddDrive(b, store, "d1")
	r := refresh.New(refresh.Options{Store: store, Drive: d.Num, Service: there})
	if _, err := r.Run(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		b.StopTimer()
		for id, i := range there.items {
			if i.Type == graph.File {
				there.write(id, fmt.Sprint("y", there.clock))
			}
		}
		b.StartTimer()
		if res, err := r.Run(b.Context()); err != nil || res.Applied < items*9/10 {
			b.Fatal(res, err)
		}
	}
	b.ReportMetric(float64(items)*float64(b.N)/b.Elapsed().Seconds(), "items/s")
}
