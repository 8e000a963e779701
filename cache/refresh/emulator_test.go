package refresh_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/cachetest"
	"github.com/duskfs/duskfs/cache/refresh"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

// TestADriveIsFollowedThroughALifeOfChanges lets a colleague do as people do, refreshes now and
// then, and compares everything each time. Nothing is changed here, so nothing may wait, conflict
// or be pending.
func TestADriveIsFollowedThroughALifeOfChanges(t *testing.T) {
	cases := []struct {
		about string
		o     graphtest.Options
		// compare: a deletion may be lost, so everything is compared before looking.
		compare bool
	}{
		{"plain", graphtest.Options{FeedPage: 7}, false},
		{"personal", graphtest.Options{Personal: true}, false},
		{"pages in any order", graphtest.Options{FeedPage: 5, ShuffleFeed: true, EmptyFirstPage: true, BareFeed: true}, false},
		{"all that is below a deleted folder is called deleted", graphtest.Options{TombstoneChildren: true}, false},
		{"old states come along", graphtest.Options{Quirks: graphtest.Quirks{DuplicateFeed: true, OddTimes: true}}, false},
		{"no hashes", graphtest.Options{Quirks: graphtest.Quirks{NoHashes: true}}, false},
		{"deletions get lost", graphtest.Options{Quirks: graphtest.Quirks{LoseTombstones: true}}, true},
	}
	for i, c := range cases {
		t.Run(c.about, func(t *testing.T) {
			t.Parallel()
			c.o.Seed = uint64(i)
			// In a bubble, where the client's waiting costs nothing.
			synctest.Test(t, func(t *testing.T) { live(t, c.o, c.compare) })
		})
	}
}

func live(t *testing.T, o graphtest.Options, compare bool) { liveUnder(t, o, compare) }

// liveUnder is live with quirks of the catalogue.
func liveUnder(t *testing.T, o graphtest.Options, compare bool, quirks ...graphtest.Quirk) {
	f := follow(t, o)
	f.ok(f.s.Switch(quirks...))
	f.compare = compare
	rnd := rand.New(rand.NewPCG(7, o.Seed))
	const rounds = 8
	for round := range rounds {
		for range 12 {
			f.colleague(rnd)
		}
		if rnd.IntN(5) == 0 {
			f.far.ForgetFeed("")
		}
		f.refresh(round == rounds-1)
	}
	for _, v := range f.s.Violations() {
		t.Errorf("against the protocol: %s", v)
	}
}

// follower is a store that follows a drive of the emulator.
type follower struct {
	t       *testing.T
	s       *graphtest.Server
	far     *graphtest.Drive
	near    *rest.Drive
	store   *cache.Store
	drive   cache.DriveInfo
	r       *refresh.Refresher
	compare bool
	made    int
}

func follow(t *testing.T, o graphtest.Options) *follower {
	t.Helper()
	f := &follower{t: t, s: graphtest.Start(t, o)}
	f.far = f.s.Me().Drive()
	client, err := rest.New(rest.Options{
		GraphURL: f.s.GraphURL(), Transport: f.s.Transport(), Tokens: graphtest.Tokens{Server: f.s}, User: f.s.Me().UPN,
	})
	f.ok(err)
	t.Cleanup(client.Close)
	f.near = client.Drive(graph.DriveID(f.far.ID()))
	f.store = cachetest.Open(t, cache.Options{})
	d, err := f.near.Drive(t.Context())
	f.ok(err)
	root, err := f.near.Root(t.Context())
	f.ok(err)
	f.drive, err = f.store.AddDrive(d, root)
	f.ok(err)
	f.r = refresh.New(refresh.Options{Store: f.store, Drive: f.drive.Num, Service: f.near})
	return f
}

func (f *follower) ok(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// colleague does one thing that a person might do, if it can be done.
func (f *follower) colleague(rnd *rand.Rand) {
	f.t.Helper()
	all, err := f.far.Walk()
	f.ok(err)
	folders, things := []string{"/"}, []graphtest.Info{}
	for _, i := range all {
		if i.Folder {
			folders = append(folders, i.Path)
		}
		things = append(things, i)
	}
	folder := func() string { return folders[rnd.IntN(len(folders))] }
	f.made++
	name := path.Join(folder(), fmt.Sprintf("n%d.txt", f.made))
	if rnd.IntN(3) == 0 && len(things) > 0 {
		// A name that somebody had before, perhaps in another letter case.
		name = path.Join(folder(), strings.ToUpper(things[rnd.IntN(len(things))].Name))
	}
	if len(path.Clean(name)) > 200 {
		return
	}
	var thing graphtest.Info
	if len(things) > 0 {
		thing = things[rnd.IntN(len(things))]
	}
	// What cannot be done is not done: names that are taken, folders moved into themselves.
	switch k := rnd.IntN(10); {
	case k < 3 || thing.Path == "":
		_, _ = f.far.Put(name, fmt.Appendf(nil, "text %d %d", f.made, rnd.Uint64()))
	case k < 4:
		_, _ = f.far.Mkdir(strings.TrimSuffix(name, ".txt"))
	case k < 6 && !thing.Folder:
		_, _ = f.far.Put(thing.Path, fmt.Appendf(nil, "edited %d", f.made))
	case k < 8:
		_, _ = f.far.Move(thing.Path, name)
	case k < 9:
		_ = f.far.Delete(thing.Path)
		if rnd.IntN(3) == 0 {
			_ = f.far.Restore(thing.ID)
		}
	default:
		// Two change places.
		other := things[rnd.IntN(len(things))]
		aside := "/aside" + fmt.Sprint(f.made)
		if _, err := f.far.Move(thing.Path, aside); err == nil {
			_, _ = f.far.Move(other.Path, thing.Path)
			if _, err := f.far.Move(aside, other.Path); err != nil {
				_, _ = f.far.Move(aside, path.Join("/", fmt.Sprintf("back%d", f.made)))
			}
		}
	}
}

// refresh receives and applies, and compares: by what the nodes say, or with read by their bytes.
func (f *follower) refresh(read bool) {
	f.t.Helper()
	time.Sleep(time.Minute)
	if f.compare {
		time.Sleep(24 * time.Hour)
	}
	res, err := f.r.Run(f.t.Context())
	f.ok(err)
	if res.Waiting != 0 || res.Conflicts != 0 {
		f.t.Errorf("%+v", res)
	}
	want := map[string]string{}
	all, err := f.far.Walk()
	f.ok(err)
	for _, i := range all {
		want[i.Path] = fmt.Sprint(i.ETag, i.Size) + i.SHA256
		if i.Folder {
			want[i.Path] = "folder"
		} else if !read {
			want[i.Path] = fmt.Sprint(i.ETag, i.Size)
		}
	}
	got := map[string]string{}
	f.walk(f.drive.Root, "/", read, got)
	for p := range want {
		if got[p] != want[p] {
			f.t.Errorf("%s is %q here and %q there", p, got[p], want[p])
		}
	}
	for p := range got {
		if _, there := want[p]; !there {
			f.t.Errorf("%s is here alone", p)
		}
	}
	p, err := f.store.Outbox(f.drive.Num).Pending()
	f.ok(err)
	if p.Items != 0 {
		f.t.Errorf("pending: %+v", p)
	}
	if f.t.Failed() {
		f.t.FailNow()
	}
}

func (f *follower) walk(folder cache.Ino, prefix string, read bool, all map[string]string) {
	f.t.Helper()
	list, err := f.store.Tree().List(folder, 0, 10_000)
	f.ok(err)
	if !slices.IsSortedFunc(list, func(a, b cache.Node) int { return int(int64(a.Ino) - int64(b.Ino)) }) {
		f.t.Errorf("%s is not in order", prefix)
	}
	for _, n := range list {
		p := path.Join(prefix, n.Name)
		if n.Dir {
			all[p] = "folder"
			f.walk(n.Ino, p, read, all)
			continue
		}
		all[p] = fmt.Sprint(n.Base.ETag, n.Size)
		if read {
			all[p] += f.sha256(n)
		}
	}
}

// sha256 reads a file as the mount does.
func (f *follower) sha256(n cache.Node) string {
	f.t.Helper()
	file, err := f.store.Content().Version(uint64(n.Ino), n.Base.Version(), n.Mtime)
	f.ok(err)
	defer file.Close()
	src := func(ctx context.Context, off, k int64) (io.ReadCloser, error) {
		return f.near.Content(ctx, n.Base.Item, n.Base.Version(), off, k)
	}
	if err := file.Hydrate(f.t.Context(), src, 0, file.Size()); err != nil {
		f.t.Fatalf("read %s: %v", n.Name, err)
	}
	p := make([]byte, file.Size())
	if _, err := file.ReadAt(p, 0); err != nil && !errors.Is(err, io.EOF) {
		f.t.Fatal(err)
	}
	sum := sha256.Sum256(p)
	return hex.EncodeToString(sum[:])
}
