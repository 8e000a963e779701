package graphtest_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/graph/graphtest"
)

// follow reads the feed from a link to its end and returns the state it tells, by id, the number of
// pages, and the link for later.
func (c *client) follow(link string) (state map[string]map[string]any, pages int, delta string) {
	c.t.Helper()
	state = map[string]map[string]any{}
	for link != "" {
		a := c.want(200, "GET", link, nil)
		for _, x := range a.list() {
			state[x["id"].(string)] = x
		}
		link, delta = a.at("@odata.nextLink"), a.at("@odata.deltaLink")
		if (link == "") == (delta == "") {
			c.t.Fatalf("a page has both links or none: %.200s", a.raw)
		}
		pages++
	}
	return state, pages, delta
}

func namesOf(state map[string]map[string]any) string {
	var out []string
	for _, x := range state {
		n := fmt.Sprint(x["name"])
		if x["deleted"] != nil {
			n = "-" + n
		}
		out = append(out, n)
	}
	slices.Sort(out)
	return strings.Join(out, ",")
}

func TestTheFeedTellsEverythingThenChanges(t *testing.T) {
	for _, o := range []graphtest.Options{
		{}, {FeedPage: 2}, {FeedPage: 1, ShuffleFeed: true, EmptyFirstPage: true}, {FeedPage: 3, TombstoneChildren: true}, {Personal: true, FeedPage: 2}, {BareFeed: true},
	} {
		t.Run(fmt.Sprintf("%+v", o), func(t *testing.T) {
			c := start(t, o)
			d := c.s.Drive("")
			c.put("/a/b/one.txt", "1")
			gone := c.put("/gone.txt", "2")
			if err := d.Delete("/gone.txt"); err != nil {
				t.Fatal(err)
			}
			two := c.put("/a/two.txt", "22")
			state, pages, link := c.follow("/me/drive/root/delta")
			equal(t, "all", namesOf(state), "a,b,one.txt,root,two.txt")
			if o.FeedPage == 1 && pages < 5 {
				t.Errorf("%d pages of one item", pages)
			}
			if x := state[two.ID]; (x["cTag"] == nil) != !o.Personal || (x["parentReference"].(map[string]any)["path"] == nil) != o.BareFeed {
				t.Errorf("cTag or path of a feed entry: %v", x)
			}
			state, _, link = c.follow(link)
			equal(t, "nothing new", namesOf(state), "")

			if _, err := d.Move("/a/two.txt", "/a/b/deux.txt"); err != nil {
				t.Fatal(err)
			}
			state, _, link = c.follow(link)
			equal(t, "a move, with the folders above", namesOf(state), "a,b,deux.txt,root")
			if _, err := d.Move("/a", "/z"); err != nil {
				t.Fatal(err)
			}
			state, _, link = c.follow(link)
			equal(t, "a folder's move", namesOf(state), "root,z")
			if err := d.Delete("/z/b"); err != nil {
				t.Fatal(err)
			}
			state, _, link = c.follow(link)
			var dead int
			for _, x := range state {
				if x["deleted"] != nil {
					dead++
					if (x["name"] != nil) != o.Personal || x["cTag"] != nil {
						t.Errorf("tombstone: %v", x)
					}
				}
			}
			want := 1
			if o.TombstoneChildren {
				want = 3
			}
			equal(t, "tombstones", dead, want)
			if err := d.Restore(gone.ID); err != nil {
				t.Fatal(err)
			}
			state, _, _ = c.follow(link)
			equal(t, "restored", namesOf(state), "gone.txt,root")
			c.noViolations()
		})
	}
}

func TestTheFeedCanBeEnteredAnywhere(t *testing.T) {
	c := start(t, graphtest.Options{})
	c.put("/old.txt", "1")
	for _, u := range []string{"/me/drive/root/delta?token=latest", "/me/drive/root/delta(token='latest')"} {
		state, _, link := c.follow(u)
		equal(t, u, len(state), 0)
		if link == "" {
			t.Error("no link")
		}
	}
	_, _, link := c.follow("/me/drive/root/delta?token=latest")
	c.put("/new.txt", "2")
	_, tok, _ := strings.Cut(link, "token=")
	plain, err := url.QueryUnescape(tok)
	if err != nil {
		t.Fatal(err)
	}
	state, _, _ := c.follow("/me/drive/root/delta(token='" + plain + "')")
	equal(t, "function form", namesOf(state), "new.txt,root")
	at := url.QueryEscape(time.Now().Add(-time.Hour).UTC().Format(time.RFC3339))
	state, _, _ = c.follow("/me/drive/root/delta?token=" + at)
	equal(t, "timestamp", namesOf(state), "new.txt,old.txt,root")
	state, _, next := c.follow("/me/drive/root/delta?$select=id,name&$top=1")
	for _, x := range state {
		if x["size"] != nil || x["id"] == nil {
			t.Errorf("$select: %v", x)
		}
	}
	c.put("/newer.txt", "3")
	state, _, _ = c.follow(next)
	for _, x := range state {
		if x["size"] != nil {
			t.Errorf("$select is forgotten by the link: %v", x)
		}
	}
	c.want(400, "GET", "/me/drive/root/delta?token=rubbish", nil)
	sub, err := c.s.Drive("").Mkdir("/sub")
	if err != nil {
		t.Fatal(err)
	}
	c.put("/sub/in.txt", "4")
	state, _, _ = c.follow("/me/drive/items/" + sub.ID + "/delta")
	equal(t, "below a folder", namesOf(state), "in.txt,root,sub")
}

func TestAForgottenTokenAnswers410(t *testing.T) {
	c := start(t, graphtest.Options{})
	_, _, link := c.follow("/me/drive/root/delta")
	c.s.Drive("").ForgetFeed("")
	a := c.want(410, "GET", link, nil)
	equal(t, "code", a.at("error/code"), "resyncRequired")
	equal(t, "inner", a.at("error/innerError/code"), "")
	_, _, link = c.follow(a.header.Get("Location"))
	c.s.Drive("").ForgetFeed("resyncChangesUploadDifferences")
	equal(t, "inner", c.want(410, "GET", link, nil).at("error/innerError/code"), "resyncChangesUploadDifferences")
}

func TestATokenOfAnotherServiceAnswers410(t *testing.T) {
	_, _, link := start(t, graphtest.Options{}).follow("/me/drive/root/delta")
	_, query, _ := strings.Cut(link, "?")
	other := start(t, graphtest.Options{}) // with the same ids
	other.want(410, "GET", "/me/drive/root/delta?"+query, nil)
}

func TestTheFeedLags(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, graphtest.Options{FeedLag: 30 * time.Second})
		time.Sleep(time.Minute)
		_, _, link := c.follow("/me/drive/root/delta")
		c.put("/late.txt", "1")
		state, _, link := c.follow(link)
		equal(t, "at once", namesOf(state), "")
		c.want(200, "GET", "/me/drive/root:/late.txt", nil)
		time.Sleep(31 * time.Second)
		state, _, _ = c.follow(link)
		equal(t, "later", namesOf(state), "late.txt,root")
	})
}

func TestOfficeFilesAreRewritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, graphtest.Options{OfficeRewrite: 3 * time.Second})
		a := c.want(201, "PUT", "/me/drive/root:/a.docx:/content", "words")
		b := c.want(201, "PUT", "/me/drive/root:/a.txt:/content", "words")
		time.Sleep(4 * time.Second)
		now := c.want(200, "GET", "/me/drive/items/"+a.at("id"), nil)
		if now.at("size") == a.at("size") || now.at("cTag") == a.at("cTag") || now.at("file/hashes/quickXorHash") == a.at("file/hashes/quickXorHash") {
			t.Error("the document was not rewritten")
		}
		equal(t, "plain text stays", c.want(200, "GET", "/me/drive/items/"+b.at("id"), nil).at("eTag"), b.at("eTag"))
	})
}

func TestTheFeedTellsTheLatestStateOnce(t *testing.T) {
	c := start(t, graphtest.Options{FeedPage: 1})
	_, _, link := c.follow("/me/drive/root/delta")
	c.put("/a.txt", "1")
	c.put("/b.txt", "1")
	f := c.put("/a.txt", "22")
	seen := 0
	for link != "" {
		a := c.want(200, "GET", link, nil)
		for _, x := range a.list() {
			if x["id"] == f.ID {
				seen++
				equal(t, "tag", fmt.Sprint(x["eTag"]), f.ETag)
			}
		}
		link = a.at("@odata.nextLink")
	}
	equal(t, "entries", seen, 1)
}
