package graphtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/graph/graphtest"
)

// rows shows each row of the catalogue on the wire: it is switched on for two strikes, and a
// function looks for it. Afterwards the service must be itself again.
var rows = map[int]func(q *quirk){
	1: func(q *quirk) {
		q.want(404, "GET", "/me/drive/items/"+q.old.ID, nil)
		q.want(404, "GET", "/me/drive/root:/old.txt", nil)
		q.want(200, "GET", "/me/drive/items/"+q.old.ID, nil)
	},
	2: func(q *quirk) {
		f := q.put("/young", "x")
		q.want(200, "GET", "/me/drive/items/"+q.old.ID, nil)
		q.want(200, "GET", "/me/drive/root:/young", nil)
		q.want(404, "GET", "/me/drive/items/"+f.ID, nil)
		time.Sleep(5 * time.Second)
		q.want(200, "GET", "/me/drive/items/"+f.ID, nil)
		q.want(404, "GET", "/me/drive/items/"+q.put("/younger", "x").ID, nil)
	},
	3: func(q *quirk) {
		at := q.want(302, "GET", "/me/drive/items/"+q.old.ID+"/content", nil).header.Get("Location")
		q.want(401, "GET", at, nil)
		q.want(401, "GET", at, nil)
		q.want(200, "GET", at, nil)
	},
	4: func(q *quirk) {
		date := object{"fileSystemInfo": object{"lastModifiedDateTime": "2001-01-01T00:00:00Z"}}
		id := q.want(201, "PUT", "/me/drive/root:/young:/content", "x").at("id")
		q.want(404, "PATCH", "/me/drive/items/"+id, date)
		q.want(502, "PATCH", "/me/drive/items/"+id, date)
		q.want(200, "PATCH", "/me/drive/items/"+q.old.ID, date)
	},
	5: func(q *quirk) {
		for _, name := range []string{"a", "b"} {
			a := q.want(201, "POST", "/me/drive/root/children", object{"name": name, "folder": object{}})
			equal(q.t, "body", string(a.raw), "")
			q.want(200, "GET", "/me/drive/root:/"+name, nil)
		}
	},
	6: func(q *quirk) {
		if _, err := q.d.Move("/old.txt", "/new.txt"); err != nil {
			q.t.Fatal(err)
		}
		q.want(404, "GET", "/me/drive/root:/new.txt", nil)
		q.want(200, "GET", "/me/drive/items/"+q.old.ID, nil)
		time.Sleep(119 * time.Second)
		q.want(404, "GET", "/me/drive/root:/new.txt", nil)
		q.want(200, "GET", "/me/drive/root:/new.txt", nil)
	},
	7: func(q *quirk) {
		q.want(404, "DELETE", "/me/drive/items/"+q.old.ID, nil)
		q.want(200, "GET", "/me/drive/root:/old.txt", nil)
		q.want(404, "DELETE", "/me/drive/items/"+q.old.ID, nil)
		q.want(204, "DELETE", "/me/drive/items/"+q.old.ID, nil)
	},
	8: func(q *quirk) {
		f := q.put("/young", "x")
		for range 2 {
			if q.seen(f.ID) {
				q.t.Error("the feed knows what it should not yet")
			}
		}
		if !q.seen(f.ID) {
			q.t.Error("the feed never tells")
		}
	},
	9: func(q *quirk) {
		lose := q.put("/lose", "x")
		_, _, link := q.follow(q.link)
		if err := q.d.Delete("/lose"); err != nil {
			q.t.Fatal(err)
		}
		state, _, link := q.follow(link)
		equal(q.t, "told", state[lose.ID] == nil, true)
		state, _, _ = q.follow(link)
		equal(q.t, "told later", state[lose.ID] == nil, true)
		if err := q.d.Delete("/old.txt"); err != nil {
			q.t.Fatal(err)
		}
		if q.link = link; q.seen(q.old.ID) {
			q.t.Error("told")
		}
	},
	10: func(q *quirk) {
		q.put("/z", "x")
		_, _, link := q.follow(q.link)
		if err := q.d.Delete("/old.txt"); err != nil {
			q.t.Fatal(err)
		}
		q.put("/old.txt", "again")
		page := q.want(200, "GET", link, nil).list()
		last := page[len(page)-1]
		if last["id"] != q.old.ID || last["deleted"] == nil {
			q.t.Errorf("last comes %v", last)
		}
	},
	11: func(q *quirk) {
		page := q.want(200, "GET", "/me/drive/root/delta", nil)
		equal(q.t, "entries", page.names(), "root,before old.txt,old.txt")
		q.want(200, "GET", "/me/drive/root/delta", nil)
	},
	12: func(q *quirk) {
		q.put("/a b", "x")
		if names := q.want(200, "GET", "/me/drive/root/delta", nil).names(); names != "root,old.txt,a%20b" && names != "root,old.txt,a b" {
			q.t.Errorf("names %s", names)
		}
		q.want(200, "GET", "/me/drive/root/delta", nil)
	},
	13: func(q *quirk) {
		for _, want := range []bool{true, true, false} {
			equal(q.t, "no hash", q.want(200, "GET", "/me/drive/items/"+q.old.ID, nil).at("file/hashes") == "", want)
		}
	},
	14: func(q *quirk) {
		for range 2 {
			id := q.do("PUT", "/me/drive/root:/a.docx:/content", "words").at("id")
			equal(q.t, "size", q.want(200, "GET", "/me/drive/items/"+id, nil).at("size"), "5")
			time.Sleep(2 * time.Second)
			if q.want(200, "GET", "/me/drive/items/"+id, nil).at("size") == "5" {
				q.t.Error("not rewritten")
			}
		}
	},
	15: func(q *quirk) {
		f := q.put("/p.heic", "12345")
		for _, want := range []string{"2212", "2212", "5"} {
			equal(q.t, "size", q.want(200, "GET", "/me/drive/items/"+f.ID, nil).at("size"), want)
		}
	},
	16: func(q *quirk) {
		for _, want := range []bool{false, false, true} {
			equal(q.t, "full id", q.want(200, "GET", "/me/drive/items/"+q.old.ID, nil).at("parentReference/driveId") == q.d.ID(), want)
		}
	},
	17: func(q *quirk) {
		q.token = q.s.AccessToken(q.s.Me().ID)
		q.want(403, "GET", "/me/drives", nil)
		time.Sleep(5 * time.Second)
		equal(q.t, "drives", len(q.want(200, "GET", "/me/drives", nil).list()), 3)
		equal(q.t, "drives", len(q.want(200, "GET", "/me/drives", nil).list()), 1)
	},
	18: func(q *quirk) {
		for n := range 2 {
			q.switchOn(1)
			data := make([]byte, 2*unit)
			u := q.session(fmt.Sprintf("/s%d", n), "replace")
			if _, err := q.try("PUT", u, data[:unit], fmt.Sprintf("Content-Range: bytes 0-%d/%d", unit-1, len(data))); err == nil {
				q.t.Error("the answer came")
			}
			q.fragment(416, u, data[:unit], 0, len(data))
			equal(q.t, "expected", q.want(200, "GET", u, nil).at("nextExpectedRanges"), fmt.Sprintf("[%d-%d]", unit, len(data)-1))
			q.want(204, "DELETE", u, nil)
		}
	},
	19: func(q *quirk) {
		for range 2 {
			tag := q.want(200, "GET", "/me/drive/items/"+q.old.ID, nil).at("eTag")
			u := q.want(200, "POST", "/me/drive/items/"+q.old.ID+"/createUploadSession", object{}, "If-Match: "+tag).at("uploadUrl")
			if q.want(200, "GET", "/me/drive/items/"+q.old.ID, nil).at("eTag") == tag {
				q.t.Error("the eTag stayed")
			}
			q.fragment(412, u, []byte("xyz"), 0, 3)
			q.want(204, "DELETE", u, nil)
		}
	},
	20: func(q *quirk) {
		for range 2 {
			q.want(409, "POST", "/me/drive/root:/s:/createUploadSession", object{})
		}
		u := q.session("/s", "fail")
		q.fragment(202, u, make([]byte, unit), 0, 2*unit)
		q.d.SetQuota(unit + 100)
		q.want(201, "PUT", "/me/drive/root:/fits:/content", "x")
		if err := q.s.Switch(graphtest.Quirk{Name: "Q20", Chance: 1e-9}); err != nil {
			q.t.Fatal(err)
		}
		q.want(507, "PUT", "/me/drive/root:/more:/content", make([]byte, 100))
		q.want(204, "DELETE", u, nil)
		q.want(201, "PUT", "/me/drive/root:/more:/content", make([]byte, 90))
		q.s.SwitchOff("session-held")
	},
	21: func(q *quirk) {
		for range 2 {
			began := time.Now()
			q.want(200, "GET", "/me/drive/items/"+q.old.ID, nil)
			equal(q.t, "took", time.Since(began), 3*time.Minute)
		}
	},
	22: func(q *quirk) {
		a := q.want(302, "GET", "/me/drive/items/"+q.old.ID, nil)
		equal(q.t, "to", a.header.Get("Location"), q.s.GraphURL()+"/v1.0/me/drive/items/"+q.old.ID)
		equal(q.t, "body", len(q.want(204, "PATCH", "/me/drive/items/"+q.old.ID, object{"name": "renamed"}).raw), 0)
		equal(q.t, "done", q.want(200, "GET", "/me/drive/items/"+q.old.ID, nil).at("name"), "renamed")
		q.switchOn(2)
		at := q.want(302, "GET", "/me/drive/items/"+q.old.ID+"/content", nil).header.Get("Location")
		equal(q.t, "to", q.want(308, "GET", at, nil).header.Get("Location"), "")
		u := q.session("/s", "fail")
		equal(q.t, "kind", q.fragment(503, u, []byte("x"), 0, 1).header.Get("Content-Type"), "text/html")
		q.fragment(201, u, []byte("x"), 0, 1)
	},
	23: func(q *quirk) {
		if _, err := q.d.Mkdir("/ro"); err != nil {
			q.t.Fatal(err)
		}
		if err := q.d.Protect("/ro", true); err != nil {
			q.t.Fatal(err)
		}
		for range 2 {
			q.want(404, "PUT", "/me/drive/root:/ro/f:/content", "x")
			q.want(403, "POST", "/me/drive/root:/ro/f:/createUploadSession", object{})
		}
		q.want(403, "PUT", "/me/drive/root:/ro/f:/content", "x")
		q.want(403, "POST", "/me/drive/root:/ro:/children", object{"name": "x", "folder": object{}})
	},
	24: func(q *quirk) {
		id := q.want(201, "POST", "/me/drive/root/children", object{"name": "p", "folder": object{}}).at("id")
		q.want(404, "POST", "/me/drive/items/"+id+"/children", object{"name": "c", "folder": object{}})
		q.want(404, "PUT", "/me/drive/items/"+id+":/f:/content", "x")
		q.want(201, "PUT", "/me/drive/items/"+id+":/f:/content", "x")
	},
	25: func(q *quirk) {
		var got []string
		for range 2 {
			got = append(got, q.want(200, "GET", "/me/drive/items/"+q.old.ID, nil).at("fileSystemInfo/lastModifiedDateTime"))
		}
		equal(q.t, "times", strings.Join(got, ","), "0001-01-01T00:00:00Z,")
	},
	26: func(q *quirk) {
		for range 2 {
			list := q.want(200, "GET", "/me/drive/root/children", nil).list()
			last := list[len(list)-1]
			if p, _ := last["package"].(map[string]any); p["type"] != "oneNote" || last["file"] != nil || last["folder"] != nil {
				q.t.Errorf("a notebook: %v", last)
			}
		}
	},
	27: func(q *quirk) {
		q.want(400, "GET", "/me/drive/sharedWithMe", nil)
		q.want(400, "GET", "/me/drive/sharedWithMe", nil)
		q.want(200, "GET", "/me/drive/sharedWithMe", nil)
	},
	28: func(q *quirk) {
		for range 2 {
			equal(q.t, "wait", q.want(429, "GET", "/me/drive/items/"+q.old.ID, nil).header.Get("Retry-After"), "5")
			q.want(200, "GET", "/me", nil)
			time.Sleep(5 * time.Second)
		}
		q.want(200, "GET", "/users/bob@contoso.example/drive/root", nil)
	},
	29: func(q *quirk) {
		body := object{"requests": []object{{"id": "a", "method": "GET", "url": "/me/drive"}, {"id": "b", "method": "GET", "url": "/me/drive"}, {"id": "c", "method": "GET", "url": "/me/drive"}}}
		var got []string
		for _, r := range q.want(200, "POST", "/$batch", body).obj["responses"].([]any) {
			r := r.(map[string]any)
			got = append(got, fmt.Sprintf("%v %v", r["status"], r["headers"].(map[string]any)["Retry-After"]))
		}
		equal(q.t, "inner", strings.Join(got, ","), "429 1,404 <nil>,200 <nil>")
		time.Sleep(2 * time.Second)
	},
	30: func(q *quirk) {
		for n := range 2 {
			if err := q.d.Touch(fmt.Sprintf("/%s", []string{"old.txt", "0"}[n]), time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil {
				q.t.Fatal(err)
			}
			a := q.want(200, "PATCH", "/me/drive/items/"+q.old.ID, object{"name": fmt.Sprint(n)})
			if strings.HasPrefix(a.at("fileSystemInfo/lastModifiedDateTime"), "2001") {
				q.t.Error("the time stayed")
			}
		}
	},
	31: func(q *quirk) {
		f := q.put("/d/f", "x")
		q.want(403, "DELETE", "/me/drive/items/"+f.Parent, nil)
		q.want(403, "DELETE", "/me/drive/items/"+f.Parent, nil)
		q.want(204, "DELETE", "/me/drive/items/"+f.Parent, nil)
	},
	32: func(q *quirk) {
		q.switchOn(3)
		var got []string
		for range 3 {
			a := q.want(423, "PATCH", "/me/drive/items/"+q.old.ID, object{"name": "x"})
			got = append(got, a.at("error/code")+" "+a.at("error/innerError/code"))
		}
		equal(q.t, "forms", strings.Join(got, ","), "resourceLocked ,accessDenied ,notAllowed resourceLocked")
	},
	33: func(q *quirk) {
		q.put("/ærø", "x")
		for range 2 {
			equal(q.t, "inner", q.want(409, "PUT", "/me/drive/root:/aero:/content", "y").at("error/innerError/code"), "similarRelationshipNameAlreadyExists")
		}
		q.want(201, "PUT", "/me/drive/root:/aero:/content", "y")
	},
}

// quirk is one row at work: a client, a drive with an old file, and a link of the feed.
type quirk struct {
	*client
	d    *graphtest.Drive
	old  graphtest.Info
	link string
	row  graphtest.Row
}

func (q *quirk) switchOn(times int) {
	q.t.Helper()
	if err := q.s.Switch(graphtest.Quirk{Name: fmt.Sprintf("Q%d", q.row.Number), Times: times}); err != nil {
		q.t.Fatal(err)
	}
}

// seen reports whether the feed tells of an item.
func (q *quirk) seen(id string) bool {
	state, _, link := q.follow(q.link)
	q.link = link
	return state[id] != nil
}

func TestEveryRowOfTheCatalogueIsSeenOnTheWire(t *testing.T) {
	for _, row := range graphtest.Catalogue() {
		t.Run(fmt.Sprintf("Q%d %s", row.Number, row.Name), func(t *testing.T) {
			show := rows[row.Number]
			if show == nil {
				t.Fatal("no function shows it")
			}
			synctest.Test(t, func(t *testing.T) {
				c := start(t, graphtest.Options{Personal: row.Number == 16, Seed: 5})
				q := &quirk{client: c, d: c.s.Drive(""), row: row}
				if row.Number == 16 { // an id with a leading zero or a capital letter, as most have
					equal(t, "upper case", strings.ToLower(q.d.ID()) != q.d.ID(), true)
				}
				q.old = c.put("/old.txt", "old")
				time.Sleep(10 * time.Minute)
				_, _, q.link = c.follow("/me/drive/root/delta?token=latest")
				q.switchOn(2)
				show(q)
				if left := c.s.Switched(); len(left) != 0 && row.Number != 10 && row.Number != 12 && row.Number != 30 {
					t.Errorf("it did not strike twice: %+v", left)
				}
				c.noViolations()
			})
		})
	}
}

func TestTheCatalogueIsThatOfTheNotes(t *testing.T) {
	var names []string
	for n, row := range graphtest.Catalogue() {
		equal(t, "number", row.Number, n+1)
		if !regexp.MustCompile(`^[a-z0-9-]+$`).MatchString(row.Name) || row.Does == "" {
			t.Errorf("%+v", row)
		}
		names = append(names, row.Name)
	}
	slices.Sort(names)
	equal(t, "rows", len(slices.Compact(names)), 33)
}

func TestQuirksAreSwitchedByTheAdminEndpoint(t *testing.T) {
	c := start(t, graphtest.Options{})
	f := c.put("/f", "x")
	admin := c.s.GraphURL() + "/_emulator/"
	c.want(200, "POST", admin+"quirk", []object{{"name": "missing-read", "times": 1}, {"name": "Q8", "for": "1h"}})
	c.want(200, "POST", admin+"quirk", object{"name": "no-hash"})
	c.want(400, "POST", admin+"quirk", object{"name": "Q34"})
	on := func() (out []graphtest.Quirk) {
		t.Helper()
		if err := json.Unmarshal(c.want(200, "GET", admin+"quirk", nil).raw, &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	equal(t, "on", fmt.Sprint(on()), fmt.Sprint([]graphtest.Quirk{{Name: "Q1", Times: 1}, {Name: "Q8", For: graphtest.Duration(time.Hour)}, {Name: "Q13"}}))
	c.want(404, "GET", "/me/drive/items/"+f.ID, nil)
	for range 3 {
		equal(t, "hash", c.want(200, "GET", "/me/drive/items/"+f.ID, nil).at("file/hashes"), "")
	}
	c.want(200, "DELETE", admin+"quirk?name=Q13", nil)
	equal(t, "on", len(on()), 1)
	c.want(200, "DELETE", admin+"quirk", nil)
	equal(t, "on", len(on()), 0)
	var all []graphtest.Row
	if err := json.Unmarshal(c.want(200, "GET", admin+"catalogue", nil).raw, &all); err != nil || len(all) != 33 {
		t.Errorf("%d rows, %v", len(all), err)
	}
}

func TestQuirksStrikeNowAndThen(t *testing.T) {
	c := start(t, graphtest.Options{Seed: 7})
	f := c.put("/f", "x")
	if err := c.s.Switch(graphtest.Quirk{Name: "Q1", Chance: 0.3}); err != nil {
		t.Fatal(err)
	}
	hit := 0
	for range 500 {
		if c.do("GET", "/me/drive/items/"+f.ID, nil).status == http.StatusNotFound {
			hit++
		}
	}
	if hit < 100 || hit > 200 {
		t.Errorf("struck %d times in 500 at a chance of 0.3", hit)
	}
}
