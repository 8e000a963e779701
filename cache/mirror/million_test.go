package mirror_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"iter"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache/mirror"
	"github.com/duskfs/duskfs/graph"
)

var items = flag.Int("items", 0, "mirror so many items (empty files) and measure memory")

// vast is a library that is made up as it is asked for: folders of 99 empty files.
type vast struct {
	folders int
	renamed int // this folder has another name, 0 for none
}

const vastPage = 1000

func (v *vast) item(n int) graph.Item {
	if n == 0 {
		return graph.Item{ID: "root", Root: true, Type: graph.Folder, ETag: "1"}
	}
	folder, file := (n-1)/100, (n-1)%100
	i := graph.Item{ETag: "\"{00000000-0000-0000-0000-000000000000},1\"", ModTime: time.Unix(1e9+int64(n), 0).UTC()}
	id := func(n int) graph.ItemID { return graph.ItemID(fmt.Sprintf("01VASTVASTVASTVASTVASTVAST%08d", n)) }
	i.ID = id(n)
	if file == 0 {
		i.Type, i.Parent, i.Name = graph.Folder, "root", fmt.Sprintf("a folder of the library %d", folder)
		if folder == v.renamed && folder > 0 {
			i.Name, i.ETag = "renamed", "2"
		}
		return i
	}
	i.Type, i.Parent, i.Name = graph.File, id(folder*100+1), fmt.Sprintf("a document with a name %d.docx", file)
	i.Hash = "AAAAAAAAAAAAAAAAAAAAAAAAAAA="
	return i
}

func (v *vast) Delta(_ context.Context, from graph.Link) (graph.Page, error) {
	if from == "/changes" {
		p := graph.Page{Next: from, Done: true}
		if v.renamed > 0 {
			p.Items = append(p.Items, v.item(v.renamed*100+1))
		}
		return p, nil
	}
	start := 0
	if from != graph.Start {
		start, _ = strconv.Atoi(strings.TrimPrefix(string(from), "/"))
	}
	var p graph.Page
	for n := start; n < start+vastPage && n <= v.folders*100; n++ {
		p.Items = append(p.Items, v.item(n))
	}
	if p.Next = graph.Link(fmt.Sprintf("/%d", start+vastPage)); start+vastPage > v.folders*100 {
		p.Next, p.Done = "/changes", true
	}
	return p, nil
}

func (v *vast) PermissionsOf(_ context.Context, ids []graph.ItemID) []graph.Grants {
	out := make([]graph.Grants, len(ids))
	for n, id := range ids {
		out[n] = graph.Grants{Item: id}
		for k := range 6 {
			out[n].All = append(out[n].All, graph.Permission{Roles: []string{"read"}, To: []graph.Identity{{Name: fmt.Sprintf("Group %s %d", string(id[len(id)-2:]), k)}}})
		}
	}
	return out
}

func (v *vast) Permissions(ctx context.Context, id graph.ItemID) ([]graph.Permission, error) {
	g := v.PermissionsOf(ctx, []graph.ItemID{id})
	return g[0].All, nil
}

func (v *vast) Item(context.Context, graph.ItemID) (graph.Item, error) {
	return graph.Item{}, graph.NotExist
}
func (v *vast) Root(context.Context) (graph.Item, error) { return v.item(0), nil }
func (v *vast) Child(context.Context, graph.ItemID, string) (graph.Item, error) {
	return graph.Item{}, graph.NotExist
}
func (v *vast) Children(context.Context, graph.ItemID) iter.Seq2[graph.Item, error] { return nil }
func (v *vast) Content(context.Context, graph.ItemID, graph.Version, int64, int64) (io.ReadCloser, error) {
	return nil, graph.NotExist
}

// peak reads how much memory this process had at most, in MiB, of this machine's memory: all of it, what is mapped
// included.
func peak(t *testing.T) int {
	t.Helper()
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("there is no /proc")
	}
	for line := range strings.SplitSeq(string(b), "\n") {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimSpace(rest), " kB"))
			return kib >> 10
		}
	}
	return 0
}

// TestMemoryIsBounded mirrors a large library. Run it alone: what other tests needed counts too.
func TestMemoryIsBounded(t *testing.T) {
	if *items == 0 {
		t.Skip("-items is not given")
	}
	debug.SetMemoryLimit(96 << 20) // as the command does
	dir := t.TempDir()
	v := &vast{folders: *items / 100}
	o := mirror.Options{Service: v, Folder: dir + "/copy", State: dir + "/state", AllowDeletes: true}
	last := ""
	o.Progress = func(p mirror.Progress) {
		if p.Phase != last {
			last = p.Phase
			t.Logf("%s: %s, %d MiB", time.Now().Format(time.TimeOnly), p.Phase, peak(t))
		}
	}
	for _, c := range []struct {
		about   string
		renamed int
	}{{"the first run", 0}, {"no change", 0}, {"a folder with another name", 7}} {
		v.renamed = c.renamed
		began := time.Now()
		r, err := mirror.New(o).Sync(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %v, %d added, %d deleted, %d in all, at most %d MiB", c.about, time.Since(began).Round(time.Second), r.Added, r.Deleted, r.Total, peak(t))
		if r.Total != v.folders*99 || r.InPart() {
			t.Errorf("%+v", r)
		}
	}
	if got := peak(t); got > 200 {
		t.Errorf("%d MiB", got)
	}
}
