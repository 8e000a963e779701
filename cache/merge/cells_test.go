package merge_test

import (
	"fmt"
	"testing"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/cache/merge"
)

// What may have happened to a file here, and there.
var (
	heres = []struct {
		about              string
		do                 []func(*cache.Case)
		bytes, moved, time bool
	}{
		{about: "nothing"},
		{about: "new bytes", do: []func(*cache.Case){ourBytes}, bytes: true},
		{about: "another name", do: []func(*cache.Case){ourName}, moved: true},
		{about: "another folder", do: []func(*cache.Case){ourFolder}, moved: true},
		{about: "another time", do: []func(*cache.Case){ourTime}, time: true},
		{about: "new bytes and another name", do: []func(*cache.Case){ourBytes, ourName}, bytes: true, moved: true},
		{about: "new bytes and another folder", do: []func(*cache.Case){ourBytes, ourFolder}, bytes: true, moved: true},
		{about: "another name and time", do: []func(*cache.Case){ourName, ourTime}, moved: true, time: true},
	}
	theres = []struct {
		about                 string
		do                    []func(*cache.Case)
		bytes, moved, deleted bool
	}{
		{about: "another eTag alone"},
		{about: "another time", do: []func(*cache.Case){func(c *cache.Case) { c.Incoming.ModTime = noon }}},
		{about: "new bytes", do: []func(*cache.Case){theirBytes}, bytes: true},
		{about: "another name", do: []func(*cache.Case){theirName("b.txt")}, moved: true},
		{about: "another letter case", do: []func(*cache.Case){theirName("A.TXT")}, moved: true},
		{about: "another Unicode form", do: []func(*cache.Case){theirName("a\u0301.txt")}, moved: true},
		{about: "another folder", do: []func(*cache.Case){theirFolder}, moved: true},
		{about: "new bytes and another name", do: []func(*cache.Case){theirBytes, theirName("b.txt")}, bytes: true, moved: true},
		{about: "new bytes and another folder", do: []func(*cache.Case){theirBytes, theirFolder}, bytes: true, moved: true},
		{about: "gone", do: []func(*cache.Case){tombstone}, deleted: true},
	}
	policies = []cache.Policy{cache.KeepBoth, cache.Mine, cache.Theirs}
)

// TestEveryCell goes through the whole table: what was done here against what was done there, open and closed,
// under each policy. What must come out is said once more here, in the words of the promise.
func TestEveryCell(t *testing.T) {
	cells := 0
	for _, policy := range policies {
		for _, here := range heres {
			for _, there := range theres {
				for _, isOpen := range []bool{false, true} {
					about := fmt.Sprintf("%v: here %s, there %s", policy, here.about, there.about)
					c := known(here.do...)
					c = with(c, there.do...)
					c.Policy, c.Open, c.Confirmed = policy, isOpen, true
					c.LocalHash, c.LocalSize = "H9", 333
					if isOpen {
						about += ", open"
					}
					t.Run(about, func(t *testing.T) {
						var want cache.Ruling
						switch {
						case there.deleted && here.bytes:
							want = revive // bytes that exist only here stay
						case there.deleted && isOpen:
							want = waits
						case there.deleted && (here.moved || here.time):
							want = dropGone
						case there.deleted:
							want = drop
						case there.bytes && here.bytes && policy == cache.KeepBoth:
							want = split
						case there.bytes && here.bytes && policy == cache.Mine:
							want = cache.Ruling{Verb: cache.Agree, Report: "mine"}
						case there.bytes && isOpen:
							want = waits // who has it open goes on with the bytes that it has
						case there.bytes && here.bytes:
							want = theirsWins
						case there.bytes:
							want = take
						default:
							want = cache.Ruling{Verb: cache.Agree, ModTime: !here.bytes && !here.time}
						}
						if want.Verb == cache.Agree && there.moved {
							switch {
							case !here.moved:
								want.Place = true
							case want.Report == "":
								want.Report = "moved" // ours counts, and people hear of it
							}
						}
						if got := merge.Decide(c); got != want {
							t.Errorf("ruled %+v\nwant  %+v", got, want)
						}
					})
					cells++
				}
			}
		}
	}
	if cells < 400 {
		t.Errorf("%d cells", cells)
	}
}

// TestEveryCellOfAFolder does the same for folders, which have neither bytes nor a time of their own.
func TestEveryCellOfAFolder(t *testing.T) {
	for _, policy := range policies {
		for _, here := range heres {
			if here.bytes || here.time {
				continue
			}
			for _, there := range theres {
				if there.bytes {
					continue
				}
				for _, below := range []string{"", "unsent work", "open files"} {
					c := known(folder)
					c = with(c, here.do...)
					c = with(c, there.do...)
					c.Policy, c.Confirmed = policy, true
					want := cache.Ruling{Verb: cache.Agree}
					switch below {
					case "unsent work":
						c.DirtyBelow = 1
					case "open files":
						c.OpenBelow = 1
					}
					switch {
					case there.deleted && below == "open files":
						want = waits
					case there.deleted && below == "unsent work":
						want = dropRest
					case there.deleted && here.moved:
						want = dropGone
					case there.deleted:
						want = drop
					case there.moved && here.moved:
						want.Report = "moved"
					case there.moved:
						want.Place = true
					}
					t.Run(fmt.Sprintf("%v: here %s, there %s, below it %s", policy, here.about, there.about, below), func(t *testing.T) {
						if got := merge.Decide(c); got != want {
							t.Errorf("ruled %+v\nwant  %+v", got, want)
						}
					})
				}
			}
		}
	}
}
