package simtest_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
)

var (
	lives = flag.Int("lives", 60, "how many random lives to live in all")
	first = flag.Uint64("first", 1, "the seed of the first life of each sort")
	alone = flag.Uint64("life", 0, "live this one life of each sort alone")
	hunt  = flag.Bool("hunt", false, "live the sorts in turn and stop at the first life that fails")
)

// A life is random work by somebody here and by a colleague, with flushes and refreshes between,
// under, and in the midst of it. Every write has bytes of its own, a token. What the model knows is
// only this: a token may vanish if somebody who saw it overwrote or removed it, and not otherwise;
// a file that is written over or saved by rename keeps its item.
type life struct {
	*simtest.World
	t      *testing.T
	rnd    *rand.Rand
	kind   kind
	names  []string
	tokens int
	byHash map[graph.Hash]string       // tokens by their hash
	doomed map[string]bool             // tokens that somebody who saw them did away with
	raced  map[string][]graphtest.Info // tokens written under a deletion that was being sent: their folders' items
	items  map[string]graph.ItemID     // tokens that are to end up in an item
	left   map[string]leaving          // places that were vacated since the last flush
	open   []handle
	recent []string // paths that somebody has written lately
	log    []string

	// Of the flush or refresh under way.
	working atomic.Bool // a person is at it, not the program
	listing bool        // folders that are to be deleted have been listed
	// bringing: versions are being read, to bring back what was overwritten unseen.
	bringing bool
	unheard  map[string]bool // items that took bytes of which no flush has heard yet
	begun    string          // path that the last upload session is for
	killed   atomic.Bool
}

// leaving tells what a place had, and when it was vacated.
type leaving struct {
	item   graph.ItemID
	parent cache.Ino
	at     time.Time
}

// handle is a file that somebody has open.
type handle struct {
	*simtest.File
	path string
}

type kind struct {
	name   string
	lonely bool // no colleague
	faults bool // answers are lost, connections break, the feed lags, tokens die, the service throttles
	midst  bool // people work while a flush is under way
	kills  bool // the process dies in the midst of a flush or a refresh
	folder bool // hardly anything but folders that are moved
	clock  bool // the clock jumps
	full   bool // the disk is full now and then
	open   bool // files stay open
	evict  bool // clean bodies are dropped
	locks  bool // somebody opens files in Office now and then: writes of them are refused
	give   bool // changes are given up
	large  bool // some files are sent in several fragments
	twins  bool // the service has names that are one here
	after  bool // people also work between an answer of the service and what is recorded of it
	lose   bool // writes or their answers are lost, and the colleague writes over what they were about before anybody looks
	policy cache.Policy
}

var kinds = []kind{
	{name: "alone", lonely: true},
	{name: "with a colleague"},
	{name: "with faults", faults: true},
	{name: "in the midst", midst: true},
	{name: "killed", kills: true},
	{name: "folders", folder: true},
	{name: "folders in the midst", folder: true, midst: true},
	{name: "alone with faults and deaths", lonely: true, faults: true, kills: true},
	{name: "clock and disk", clock: true, full: true, evict: true},
	{name: "open files", open: true, midst: true, evict: true},
	{name: "everything", faults: true, midst: true, kills: true, clock: true, full: true, open: true, evict: true},
	{name: "in the midst and after", midst: true, after: true, open: true},
	{name: "lost and written over", midst: true, lose: true},
}

// more are sorts of lives that faults are not hunted in.
var more = []kind{
	{name: "refused and given up", locks: true, give: true, open: true},
	{name: "large files", large: true, midst: true, faults: true, kills: true},
	{name: "twins", twins: true, midst: true, open: true},
	{name: "twins and deaths", twins: true, faults: true, kills: true, evict: true},
	{name: "ours count", policy: cache.Mine, midst: true, open: true},
	{name: "theirs count", policy: cache.Theirs, midst: true, open: true},
	{name: "all that and everything", locks: true, give: true, large: true, faults: true, midst: true, kills: true, clock: true, full: true, open: true, evict: true},
}

func TestLives(t *testing.T) {
	if *hunt {
		for n := range *lives {
			k, seed := kinds[n%len(kinds)], *first+uint64(n/len(kinds))
			if !t.Run(fmt.Sprintf("life %d: %s", n+1, k.name), func(t *testing.T) { lived(t, k, seed) }) {
				return
			}
		}
		return
	}
	all := slices.Concat(kinds, more)
	each := uint64(max(1, *lives/len(all)))
	for _, k := range all {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			if *alone != 0 {
				lived(t, k, *alone)
				return
			}
			for s := *first; s < *first+each; s++ {
				if !lived(t, k, s) {
					return // one is enough to look at
				}
			}
		})
	}
}

// found are lives that once found a mistake in the product, or find a planted fault that was one.
var found = []struct {
	kind string
	seed uint64
	what string
}{
	{"open files", 61, "a file that became an heir while it was made there forgot what it inherited"},
	{"in the midst", 51, "a folder deleted without a fresh listing took the colleague's file along"},
	{"folders in the midst", 21, "a parked folder that was revived kept its temporary name"},
	{"alone with faults and deaths", 5, "a rename to another Unicode form of the name was sent for ever"},
	{"folders", 10065, "a file moved out of a folder that both sides removed kept an item that was gone"},
	{"folders in the midst", 10045, "a folder moved away while its deletion was sent came back empty"},
	{"folders in the midst", 10302, "the same, deeper"},
	{"everything", 10056, "no copy was made of overwritten bytes where the file had been saved by rename meanwhile"},
	{"with a colleague", 10169, "what was moved out of a deleted folder went with it if its new place needed a look"},
	{"killed", 10326, "the same, with deaths"},
	{"open files", 10686, "the same, with open files"},
	{"in the midst and after", 262, "the same, when the writer came while the versions were read"},
	{"in the midst and after", 285, "what kept a folder from being deleted was not asked for"},
	{"in the midst and after", 363, "bytes were overwritten unseen when a writer broke an upload off whose last bytes had got through"},
	{"refused and given up", 421, "the judge called lost what a discard put into the trash that had been moved there meanwhile"},
	{"everything", 235, "an item that waited when the feed began anew, and was gone, waited for ever"},
	{"ours count", 500144, "the judge called lost what was among the versions of a file that the colleague removed"},
	{"lost and written over", 2480, "a look that found a move arrived took in a colleague's bytes with it, and they were overwritten"},
	{"open files", 24558, "the copy of an overwritten version was seen before it had bytes"},
	{"folders", 24866, "a folder made anew turned out to be one that something moved into, and two had one name in it"},
	{"everything", 21488, "what waited when an enumeration began and was deleted since was believed to be there"},
	{"refused and given up", 22030, "a rename that was half sent and given up left its temporary name"},
	{"lost and written over", 23349, "a rename to another Unicode form of which an answer was lost left its temporary name"},
	{"large files", 24998, "a file whose answer was lost and that was moved before a look was made twice"},
	{"large files", 44558, "bytes were overwritten unseen when an answer was lost and the session's address ended before the look"},
	{"open files", 41544, "the judge called lost what was among the versions of a file that the colleague removed while they were read"},
	{"twins and deaths", 42413, "what was removed here and changed there waited for ever for a twin that had its name by then"},
	{"twins", 41200, "a rename to another Unicode form by the name of a twin that has gone was refused for ever"},
	{"twins", 41086, "two files had names that are one to the service, one of them that of a twin which had gone, and one was refused for ever"},
	{"lost and written over", 41749, "a version of the second in which a file was last seen, though older, counted as overwritten and came as a copy"},
	{"twins", 50426, "the same, where a folder that both have comes back"},
	{"twins", 63571, "the same, of a new file that is not found by its true name"},
	{"lost and written over", 51903, "the judge called lost what was among the versions of a file that the colleague removed before an answer was looked for"},
	{"lost and written over", 53938, "versions that came between were counted from the newest one, though somebody had written since"},
	{"in the midst and after", 81216, "the judge did not find what was in the bin of a folder that had been moved since"},
	{"all that and everything", 55607, "what was in a folder that the colleague had moved out of a deleted one came late, and was not asked for"},
	{"twins and deaths", 372, "bytes that were put at once and then dated were two versions, and one of them came as a copy"},
	{"twins", 90732, "the judge did not find what was in the bin of a folder of whose name there were two"},
	{"twins", 89, "the copy of an overwritten version of a twin had the name that the twin is shown under"},
	{"twins", 458, "what was made here under the true name of a twin that was none any more was refused for ever"},
}

func TestLivesThatFoundSomething(t *testing.T) {
	for _, f := range found {
		all := slices.Concat(kinds, more)
		i := slices.IndexFunc(all, func(k kind) bool { return k.name == f.kind })
		t.Run(fmt.Sprintf("%s %d: %s", f.kind, f.seed, f.what), func(t *testing.T) { lived(t, all[i], f.seed) })
	}
}

// lived lives one life and reports whether all was well.
func lived(t *testing.T, k kind, seed uint64) bool {
	return t.Run(fmt.Sprint(seed), func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) { live(t, k, seed) })
	})
}

func live(t *testing.T, k kind, seed uint64) {
	l := &life{
		t: t, rnd: rand.New(rand.NewPCG(seed, 77)), kind: k, names: []string{"a", "b", "c", "A"},
		byHash: map[graph.Hash]string{}, doomed: map[string]bool{}, raced: map[string][]graphtest.Info{},
		items: map[string]graph.ItemID{}, left: map[string]leaving{}, unheard: map[string]bool{},
	}
	if l.rnd.IntN(3) == 0 {
		l.names = []string{"a", "\u00e9", "e\u0301", "B", "b"}
	}
	l.World = simtest.NewWith(t, graphtest.Options{}, k.policy, func(d *graphtest.Drive) {
		for range 6 {
			s := l.token("before")
			if _, err := d.Put(fmt.Sprintf("%s/%d", l.path(), l.tokens), []byte(s)); err != nil {
				l.doomed[s] = true
			}
		}
	})
	l.Options.Parallel = 3
	if k.kills {
		l.Options.Parallel = 1 // what a kill leaves is copied, and must not change meanwhile
	}
	l.Use(l.Near)
	defer func() {
		if t.Failed() {
			t.Logf("the life:\n%s", strings.Join(l.log, "\n"))
		}
	}()
	for range 10 + l.rnd.IntN(40) {
		time.Sleep(time.Duration(l.rnd.IntN(40)) * time.Second)
		switch n := l.rnd.IntN(20); {
		case n < 10:
			l.here()
		case n < 15:
			l.there()
		case n < 17:
			l.refresh()
		case n < 19:
			l.flush()
		default:
			l.nature()
		}
	}
	l.end()
}

func (l *life) note(format string, args ...any) {
	l.log = append(l.log, time.Now().Format("15:04:05 ")+fmt.Sprintf(format, args...))
}

// excuse lets pass what faults explain.
func (l *life) excuse(err error) {
	if err == nil {
		return
	}
	l.note("  %v", err)
	switch {
	case l.kind.faults || l.kind.kills || l.kind.lose:
	case l.kind.full && errors.Is(err, cache.ErrNoSpace):
	default:
		l.t.Errorf("without a fault: %v", err)
	}
}

func (l *life) token(who string) string {
	l.tokens++
	n := l.rnd.IntN(30)
	if l.kind.large && l.rnd.IntN(3) == 0 {
		n += (1 + l.rnd.IntN(3)) * 300 << 10
	}
	s := fmt.Sprintf("%s %d %s", who, l.tokens, strings.Repeat("x", n))
	h := graph.NewQuickXor()
	h.Write([]byte(s))
	l.byHash[graph.HashOf(h)] = s
	return s
}

func (l *life) path() string {
	if n := len(l.recent); n > 0 && l.rnd.IntN(3) == 0 {
		return l.recent[l.rnd.IntN(n)]
	}
	if l.kind.twins && l.World != nil && l.Store != nil && l.rnd.IntN(2) == 0 {
		if all := people(l.Shown()); len(all) > 0 { // what is shown as a twin is touched too
			return all[l.rnd.IntN(len(all))]
		}
	}
	p := ""
	for range 1 + l.rnd.IntN(3) {
		p += "/" + l.names[l.rnd.IntN(len(l.names))]
	}
	return p
}

// people returns those of some paths that people use, in order.
func people[T any](paths map[string]T) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(paths)), temporary)
}

// temporary reports whether a path has a name that only a flush under way gives.
func temporary(p string) bool { return strings.Contains(p, ".duskfs-") }

// wrote makes a path one to which people come back soon.
func (l *life) wrote(p string) {
	l.recent = append(l.recent, p)
	l.recent = l.recent[max(0, len(l.recent)-4):]
}

// key is the model's own rule of which paths are the same there: case does not count, nor does how
// an é is written.
func key(p string) string {
	return strings.ReplaceAll(strings.ToLower(p), "e\u0301", "\u00e9")
}

func (l *life) doom(tokens []string) {
	for _, s := range tokens {
		l.doomed[s] = true
	}
}

// nature does what neither of the two does.
func (l *life) nature() {
	var can []func()
	if l.kind.clock {
		can = append(can, func() {
			d := time.Duration(l.rnd.IntN(96)-24) * time.Hour
			l.note("the clock jumps by %v", d)
			l.Skip(d)
		})
	}
	if l.kind.full {
		can = append(can, func() {
			full := l.rnd.IntN(2) == 0
			l.note("the disk is full: %v", full)
			l.Full(full)
		})
	}
	if l.kind.evict {
		can = append(can, func() {
			p := l.path()
			n, err := l.Store.Tree().Resolve(l.Root, strings.Trim(p, "/"))
			if err == nil {
				_, err = l.Store.Content().Evict(uint64(n.Ino))
				l.note("evict %s: %v", p, err)
			}
		})
	}
	if l.kind.locks {
		can = append(can, func() {
			p, form := l.path(), l.rnd.IntN(5)-2
			l.note("lock %s %d: %v", p, form, l.Far.Lock(p, form))
		})
	}
	if l.kind.give {
		can = append(can, l.giveUp, l.giveUp)
	}
	if len(can) > 0 {
		can[l.rnd.IntN(len(can))]()
	}
}

// end lets everything settle and looks at what is left.
func (l *life) end() {
	l.note("end")
	l.closeAll()
	l.Full(false)
	l.Server.ClearFaults()
	l.Server.SetFeedLag(0)
	l.Server.SetOffline(false)
	l.unlock()
	// What the feed brought must do, but for clocks that went back. A day later everything is compared.
	if !l.kind.clock {
		l.settle(20 * time.Minute)
		l.Equal()
	}
	l.settle(30 * time.Hour)
	l.Quiet()
	r, err := l.Engine.Refresh(context.Background())
	if err != nil || r.Drives[0].Received+r.Drives[0].Applied+r.Drives[0].Waiting > 0 {
		l.t.Errorf("a refresh that should do nothing: %+v %v", r, err)
	}
	l.Equal()
	l.judge()
}

// settle flushes until there is nothing more to do.
func (l *life) settle(skip time.Duration) {
	for range 8 {
		l.Skip(skip)
		r, err := l.Engine.Flush(context.Background(), everything)
		if err != nil {
			l.t.Fatalf("the last flush: %v", err)
		}
		d := r.Drives[0]
		l.tell(d)
		if d.Sent+d.Deferred+d.Conflicts+d.Left == 0 {
			break
		}
	}
}

// judge compares what is there with what the model knows.
func (l *life) judge() {
	there := l.There()
	count, same := map[string]int{}, map[string]string{}
	for p, data := range there {
		if !strings.HasSuffix(p, "/") {
			count[data]++
		}
		if q, twice := same[key(strings.TrimSuffix(p, "/"))]; twice && !l.kind.twins {
			l.t.Errorf("two of one name: %s and %s", p, q)
		}
		same[key(strings.TrimSuffix(p, "/"))] = p
		if temporary(p) {
			l.t.Errorf("left over: %s", p)
		}
		if l.kind.lonely && strings.Contains(p, "(conflict") {
			l.t.Errorf("a conflict with nobody: %s", p)
		}
	}
	if l.kind.lonely {
		l.judgeItems()
	}
	var lost []string
	for _, s := range l.byHash {
		if count[s] == 0 && !l.doomed[s] {
			lost = append(lost, s)
		}
		if count[s] > 1 {
			l.t.Errorf("%d times: %q", count[s], s)
		}
	}
	if v := l.Server.Violations(); len(v) > 0 {
		slices.Sort(v)
		l.t.Logf("against the protocol: %s", strings.Join(v, "; "))
	}
	if len(lost) > 0 {
		slices.Sort(lost)
		l.judgeLost(lost)
	}
}

// judgeItems looks whether the items stayed with the files that should have them.
func (l *life) judgeItems() {
	infos, err := l.Far.Walk()
	if err != nil {
		l.t.Fatal(err)
	}
	for _, i := range infos {
		if i.Folder {
			continue
		}
		data, err := l.Far.Read(i.Path)
		if err != nil {
			l.t.Fatal(err)
		}
		if want, ok := l.items[string(data)]; ok && want != graph.ItemID(i.ID) {
			l.t.Errorf("%s, %q, is another item than it was", i.Path, data)
		}
	}
}

// judgeLost judges tokens that are gone though nobody did away with them. One that the colleague
// put into a folder between its last listing and its deletion is in the recycle bin: the service has
// no deletion that fails if a folder is not empty (DESIGN: order of a plan).
func (l *life) judgeLost(lost []string) {
	kept := map[string]bool{}
	if l.kind.give || l.kind.policy != cache.KeepBoth {
		l.inTrash(kept) // also of what came to a place that is given up only while that was asked for
	}
	if l.kind.policy != cache.KeepBoth {
		l.amongVersions(kept)
	}
	lost = slices.DeleteFunc(lost, func(s string) bool { return kept[s] })
	for _, s := range lost {
		for _, i := range l.raced[s] {
			if _, err := l.Far.StatID(i.ID); err == nil || l.Far.Restore(i.ID) == nil {
				continue
			}
			at := i.Path
			if p, err := l.Far.StatID(i.Parent); err == nil { // which may have been moved since
				at = path.Join(p.Path, i.Name)
			}
			for n := range 3 { // more than one if they are twins
				if _, err := l.Far.Move(at, fmt.Sprintf("%s aside %d %d", at, len(s), n)); err != nil || l.Far.Restore(i.ID) == nil {
					break
				}
			}
		}
	}
	count := map[string]int{}
	for _, data := range l.There() {
		count[data]++
	}
	for _, s := range lost {
		if count[s] == 0 {
			l.t.Errorf("lost: %q", s)
		}
	}
}

// giveUp gives up what is unsent at a path. It goes to the local trash, so nothing of it is lost.
func (l *life) giveUp() {
	p := l.path()
	before := l.unsentBelow(p)
	done, err := l.Engine.Discard(context.Background(), false, flush.Path{Drive: l.Num, Path: p})
	for _, d := range done {
		l.note("  gave up %s %s: %s", d.Change.Kind, d.Change.Path, d.Refused)
	}
	l.note("discard %s: %v", p, err)
	l.doom(before)
	l.left = map[string]leaving{}
	if err != nil && !errors.Is(err, cache.ErrNoSpace) {
		l.excuse(err)
	}
}

// unsentBelow returns the tokens of local work at and below a path, here, and where it came from.
func (l *life) unsentBelow(p string) []string {
	var all []string
	list, err := l.Engine.Changes(flush.Path{Drive: l.Num, Path: p})
	if err != nil {
		l.t.Fatal(err)
	}
	for _, d := range list {
		for _, c := range d.Changes {
			if n, err := l.Store.Tree().Get(c.Ino); c.Ino != 0 && err == nil && n.Written {
				all = append(all, l.seen(c.Path)...)
			}
		}
	}
	return all
}

// unlock lets everything be written again.
func (l *life) unlock() {
	infos, err := l.Far.Walk()
	if err != nil {
		l.t.Fatal(err)
	}
	for _, i := range infos {
		if i.Path != "/" {
			if err := l.Far.Lock(i.Path, -1); err != nil {
				l.t.Fatal(err)
			}
		}
	}
}

// inTrash adds what is in the local trash.
func (l *life) inTrash(kept map[string]bool) {
	err := filepath.WalkDir(filepath.Join(l.Dir, "trash"), func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(p)
		kept[string(data)] = true
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.t.Fatal(err)
	}
}

// amongVersions adds what a policy has put among the versions of files.
func (l *life) amongVersions(kept map[string]bool) {
	infos, err := l.Far.Walk()
	if err != nil {
		l.t.Fatal(err)
	}
	for _, i := range infos {
		for n := range i.Versions {
			data, err := l.Far.ReadVersion(i.Path, n)
			if err != nil {
				l.t.Fatal(err)
			}
			kept[string(data)] = true
		}
	}
	// Who removes a file removes what a policy has put among its versions; they are in the bin with it. Its last bytes do not
	// count: nobody may remove those unseen.
	past, err := l.Far.PastInBin()
	if err != nil {
		l.t.Fatal(err)
	}
	for _, data := range past {
		kept[string(data)] = true
	}
}
