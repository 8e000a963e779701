package rest_test

import (
	"strings"
	"testing"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/graphtest/suite"
)

// TestTheClientPassesTheSuite runs what every service must show, on each kind of drive.
func TestTheClientPassesTheSuite(t *testing.T) {
	for _, kind := range []string{graphtest.Business, graphtest.Personal, graphtest.DocumentLibrary} {
		t.Run(kind, func(t *testing.T) {
			in(t, graphtest.Options{Personal: kind == graphtest.Personal, ListPage: 7, FeedPage: 5, ShuffleFeed: true, EmptyFirstPage: true}, nil, func(w *world) {
				if kind == graphtest.DocumentLibrary {
					w.far = w.Drive("Documents")
					w.near = w.client.Drive(graph.DriveID(w.far.ID()))
				}
				results := suite.Collect(w.ctx(), nil, func(c suite.T) { // no parts of a test begin inside a bubble
					suite.Run(c, suite.Options{Service: w.near, Folder: w.root(), Large: 2 << 20, Enumerate: true})
				})
				for _, r := range results {
					if r.Outcome != suite.Held {
						t.Errorf("%s: %s: %s", r.Name, r.Outcome, strings.Join(r.Notes, "; "))
					}
				}
				if len(results) != len(suite.Names()) {
					t.Errorf("%d results for %d behaviours", len(results), len(suite.Names()))
				}
			})
		})
	}
}
