package flush_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

type given string

func (g given) Token(context.Context) (string, error) { return string(g), nil }
func (g given) Refresh(context.Context, string, string) (string, error) {
	return "", errors.New("there is no other token")
}

// A drive that is asleep costs no request until somebody looks into it, and is followed from then on.
func TestADriveSleepsUntilSomebodyLooks(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		w.Server.SetTokenLife(24 * time.Hour)
		client, err := rest.New(rest.Options{GraphURL: w.Server.GraphURL(), Tokens: given(w.Server.AccessToken("")), Transport: w.Server.Transport()})
		must(t, err)
		defer client.Close()
		var drives []flush.Drive
		var infos []cache.DriveInfo
		var libs []*graphtest.Drive
		for n := range 3 {
			lib := w.Server.AddSite(fmt.Sprintf("sites/s%d", n), fmt.Sprint("S", n), "Documents")[0]
			put(t, lib, "/d/f", "before")
			near := client.Drive(graph.DriveID(lib.ID()))
			d, err := near.Drive(t.Context())
			must(t, err)
			root, err := near.Root(t.Context())
			must(t, err)
			info, err := w.Store.AddDrive(d, root)
			must(t, err)
			infos, libs = append(infos, info), append(libs, lib)
			drives = append(drives, flush.Drive{Num: info.Num, Name: fmt.Sprint("S", n, "/Documents"), ReadOnly: true, Asleep: true, Service: near})
		}
		e := flush.New(flush.Options{Store: w.Store, Drives: drives, Poll: time.Minute})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- e.Run(ctx) }()
		w.Server.ResetCounts()
		time.Sleep(time.Hour)
		_, err = e.Refresh(t.Context())
		must(t, err)
		if c := w.Server.Counts(); len(c.Kinds) > 0 {
			t.Errorf("asleep, they asked %v", c.Kinds)
		}
		for _, s := range e.Status().Drives {
			if !s.Asleep || s.Stale {
				t.Errorf("status %+v", s)
			}
		}
		// Somebody looks into one; what changes at that very moment is not missed.
		must(t, e.List(t.Context(), infos[1].Root))
		put(t, libs[1], "/new", "after")
		time.Sleep(2 * time.Minute)
		nodes, err := w.Store.Tree().List(infos[1].Root, 0, 10)
		names := ""
		for _, n := range nodes {
			names += n.Name + " "
		}
		if err != nil || names != "d new " {
			t.Errorf("it holds %q, %v", names, err)
		}
		for _, r := range w.Server.Log(0) {
			if strings.Contains(r.Path, libs[0].ID()) && r.At.After(time.Now().Add(-time.Hour)) {
				t.Errorf("another was asked %s %s", r.Method, r.Kind)
			}
		}
		if st := e.Status().Drives; !st[0].Asleep || st[1].Asleep || !st[2].Asleep {
			t.Errorf("status %+v", st)
		}
		// Where the service is out of reach it stays asleep, and the next look wakes it.
		w.Server.SetOffline(true)
		if err := e.List(t.Context(), infos[2].Root); err == nil || !e.Status().Drives[2].Asleep {
			t.Errorf("without a network: %v", err)
		}
		w.Server.SetOffline(false)
		must(t, e.List(t.Context(), infos[2].Root))
		cancel()
		must(t, <-ended)
	})
}
