package graphtest_test

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/graph/graphtest"
)

func TestWhoAndWhichDrives(t *testing.T) {
	c := start(t, graphtest.Options{})
	me := c.s.Me()
	equal(t, "me", c.want(200, "GET", "/me", nil).at("userPrincipalName"), "alice@contoso.example")
	equal(t, "by upn", c.want(200, "GET", "/users/ALICE@contoso.example", nil).at("id"), me.ID)
	c.want(404, "GET", "/users/nobody@contoso.example", nil)
	id := me.Drive().ID()
	for _, u := range []string{"/me/drive", "/users/" + me.ID + "/drive", "/drives/" + id} {
		a := c.want(200, "GET", u, nil)
		equal(t, u, a.at("id"), id)
		equal(t, u, a.at("driveType"), "business")
	}
	equal(t, "drives", len(c.want(200, "GET", "/me/drives", nil).list()), 1)
	equal(t, "quota", c.want(200, "GET", "/me/drive?$select=quota", nil).at("quota/total"), fmt.Sprint(1<<40))

	site := c.want(200, "GET", "/sites/"+graphtest.SharePointHost+":/sites/engineering", nil)
	for _, u := range []string{"/sites/" + site.at("id") + "/drives", "/sites/" + graphtest.SharePointHost + ":/sites/Engineering:/drives"} {
		equal(t, u, c.want(200, "GET", u, nil).names(), "Documents,Archive")
	}
	equal(t, "search", len(c.want(200, "GET", "/sites?search=engin", nil).list()), 1)
	lib := c.want(200, "GET", "/sites/"+site.at("id")+"/drive", nil)
	equal(t, "type", lib.at("driveType"), "documentLibrary")
	c.want(200, "GET", "/groups/"+lib.at("owner/group/id")+"/drive", nil)
	c.want(404, "GET", "/sites/"+graphtest.SharePointHost+":/sites/none", nil)

	c.token = c.s.AccessToken("")
	c.want(400, "GET", "/me/drive", nil) // an app has no /me
	c.want(200, "GET", "/users/"+me.ID+"/drive", nil)
	c.noViolations()
}

func TestItemsAreFoundInEveryForm(t *testing.T) {
	c := start(t, graphtest.Options{})
	file := c.put("/Docs/a #1 50%.txt", "hello")
	docs, err := c.s.Drive("").Stat("/Docs")
	if err != nil {
		t.Fatal(err)
	}
	d := "/drives/" + c.s.Drive("").ID()
	name := url.PathEscape("a #1 50%.txt")
	for _, u := range []string{
		"/items/" + file.ID, "/root:/Docs/" + name, "/root:/DOCS/" + name + ":", "/items/" + docs.ID + ":/" + name,
		"/items/root:/Docs/" + name + ":/", "/items/" + docs.ID + "/children('" + name + "')",
	} {
		equal(t, u, c.want(200, "GET", d+u, nil).at("id"), file.ID)
	}
	equal(t, "me form", c.want(200, "GET", "/me/drive/root:/Docs:/children", nil).names(), "a #1 50%.txt")
	c.want(404, "GET", d+"/root:/Docs/none", nil)

	a := c.want(200, "GET", d+"/items/"+file.ID, nil)
	equal(t, "hash", a.at("file/hashes/quickXorHash"), "aCgDG9jwBgAAAAAABQAAAAAAAAA=")
	equal(t, "parent", a.at("parentReference/id"), docs.ID)
	equal(t, "path", a.at("parentReference/path"), d+"/root:/Docs")
	if !strings.HasPrefix(a.at("eTag"), `"{`) || !strings.HasPrefix(a.at("cTag"), `"c:{`) || !strings.HasPrefix(file.ID, "01") || len(file.ID) != 34 {
		t.Errorf("eTag %s, cTag %s, id %s are not of the real form", a.at("eTag"), a.at("cTag"), file.ID)
	}
	if a.at("@microsoft.graph.downloadUrl") == "" || strings.Contains(a.at("lastModifiedDateTime"), ".") {
		t.Errorf("download address or whole seconds missing: %s", a.raw)
	}
	root := c.want(200, "GET", d+"/root", nil)
	equal(t, "root's name", root.at("name"), "root")
	equal(t, "root's parent", root.at("parentReference/id"), "")
	equal(t, "folder's cTag", root.at("cTag"), "")

	for _, u := range []string{"?$select=id,name", "?select=id,name"} {
		a := c.want(200, "GET", d+"/items/"+file.ID+u, nil)
		equal(t, u+" keeps the name", a.at("name"), "a #1 50%.txt")
		equal(t, u+" drops the size", a.at("size"), "")
	}
	a = c.want(200, "GET", d+"/items/"+docs.ID+"?$expand=children", nil)
	if kids, ok := a.obj["children"].([]any); !ok || len(kids) != 1 {
		t.Errorf("expanded children: %v", a.obj["children"])
	}
	c.want(304, "GET", d+"/items/"+file.ID, nil, "If-None-Match: "+file.ETag)
	c.noViolations()
}

func TestListingsComeInPages(t *testing.T) {
	c := start(t, graphtest.Options{ListPage: 3})
	for i := range 8 {
		c.put(fmt.Sprintf("/f%d", i), "x")
	}
	var got []string
	next := "/me/drive/root/children?$select=name,id"
	for pages := 0; next != ""; pages++ {
		a := c.want(200, "GET", next, nil)
		got = append(got, a.names())
		next = a.at("@odata.nextLink")
		if pages == 0 {
			if err := c.s.Drive("").Delete("/f2"); err != nil { // the last one of the page before
				t.Fatal(err)
			}
		}
	}
	equal(t, "pages", strings.Join(got, "|"), "f0,f1,f2|f3,f4,f5|f6,f7")
	equal(t, "$top", c.want(200, "GET", "/me/drive/root/children?$top=1000", nil).names(), "f0,f1,f3,f4,f5,f6,f7")
	c.noViolations()
}

func TestFoldersAreMadeMovedAndDeleted(t *testing.T) {
	c := start(t, graphtest.Options{})
	d := "/drives/" + c.s.Drive("").ID()
	mk := func(status int, parent, name, behaviour string) answer {
		t.Helper()
		in := map[string]any{"name": name, "folder": map[string]any{}}
		if behaviour != "" {
			in["@microsoft.graph.conflictBehavior"] = behaviour
		}
		return c.want(status, "POST", d+parent+"/children", in)
	}
	a := mk(201, "/root", "Plans", "")
	equal(t, "code", mk(409, "/root", "PLANS", "").at("error/code"), "nameAlreadyExists")
	equal(t, "replace finds it", mk(200, "/root", "plans", "replace").at("id"), a.at("id"))
	equal(t, "rename", mk(201, "/root", "Plans", "rename").at("name"), "Plans 1")
	equal(t, "inner code", mk(400, "/root", "a:b", "").at("error/innerError/code"), "invalidPath")
	mk(404, "/items/01NONE", "x", "")
	deep := strings.Repeat("x", 200)
	b := mk(201, "/items/"+a.at("id"), deep, "")
	equal(t, "400 characters", mk(400, "/items/"+b.at("id"), deep, "").at("error/innerError/code"), "pathIsTooLong")

	one, two := mk(201, "/root", "one", ""), mk(201, "/root", "two", "")
	f := c.put("/one/f.txt", "12345")
	m := c.want(200, "PATCH", d+"/items/"+f.ID, map[string]any{"parentReference": map[string]any{"id": two.at("id")}, "name": "g.txt"}, "If-Match: "+f.ETag)
	equal(t, "id survives", m.at("id"), f.ID)
	equal(t, "place", m.at("parentReference/id"), two.at("id"))
	equal(t, "cTag survives", m.at("cTag"), f.CTag)
	if m.at("eTag") == f.ETag {
		t.Error("the eTag survived a move")
	}
	equal(t, "stale", c.want(412, "PATCH", d+"/items/"+f.ID, map[string]any{"name": "h"}, "If-Match: "+f.ETag).at("error/code"), "resourceModified")
	c.want(400, "PATCH", d+"/items/"+f.ID, map[string]any{"name": "h"}, "If-Match: nonsense")
	c.put("/two/taken.txt", "")
	c.want(409, "PATCH", d+"/items/"+f.ID, map[string]any{"name": "TAKEN.txt"})
	equal(t, "case only", c.want(200, "PATCH", d+"/items/"+f.ID, map[string]any{"name": "G.TXT"}).at("name"), "G.TXT")
	c.want(400, "PATCH", d+"/items/"+two.at("id"), map[string]any{"parentReference": map[string]any{"id": two.at("id")}})
	p := c.want(200, "PATCH", d+"/items/"+f.ID, map[string]any{"fileSystemInfo": map[string]any{"lastModifiedDateTime": "2020-02-03T04:05:06.789Z"}})
	equal(t, "mtime in whole seconds", p.at("fileSystemInfo/lastModifiedDateTime"), "2020-02-03T04:05:06Z")
	equal(t, "a dating makes a version", len(c.want(200, "GET", d+"/items/"+f.ID+"/versions", nil).list()), 2)

	size := c.want(200, "GET", d+"/root", nil).at("size")
	equal(t, "size of the root", size, "5")
	c.want(412, "DELETE", d+"/items/"+two.at("id"), nil, `If-Match: "{X},1"`)
	c.want(204, "DELETE", d+"/items/"+two.at("id"), nil)
	c.want(404, "GET", d+"/items/"+f.ID, nil)
	c.want(404, "DELETE", d+"/items/"+f.ID, nil)
	equal(t, "size of the root", c.want(200, "GET", d+"/root", nil).at("size"), "0")
	c.want(204, "DELETE", d+"/items/"+one.at("id"), nil)
	c.noViolations()
}

func TestNamesInOtherUnicodeFormsCollide(t *testing.T) {
	c := start(t, graphtest.Options{})
	c.put("/caf\u00e9.txt", "1")
	nfd := url.PathEscape("cafe\u0301.txt")
	c.want(200, "GET", "/me/drive/root:/"+nfd, nil)
	c.want(409, "PUT", "/me/drive/root:/"+nfd+":/content?@microsoft.graph.conflictBehavior=fail", "2")
	a := c.want(200, "GET", "/me/drive/root:/"+nfd, nil)
	c.want(409, "PATCH", "/me/drive/items/"+a.at("id"), map[string]any{"name": "cafe\u0301.txt"}) // collides with itself
}

func TestSmallFilesArePutInOnePiece(t *testing.T) {
	c := start(t, graphtest.Options{})
	a := c.want(201, "PUT", "/me/drive/root:/New/Folder/a.txt:/content", "one")
	equal(t, "size", a.at("size"), "3")
	b := c.want(200, "PUT", "/me/drive/items/"+a.at("id")+"/content", "two!", "If-Match: "+a.at("eTag"))
	equal(t, "id", b.at("id"), a.at("id"))
	if a.at("cTag") == b.at("cTag") {
		t.Error("the cTag survived new content")
	}
	c.want(412, "PUT", "/me/drive/items/"+a.at("id")+"/content", "three", "If-Match: "+a.at("eTag"))
	c.want(412, "PUT", "/me/drive/root:/New/Folder/a.txt:/content", "three", "If-None-Match: *")
	c.want(409, "PUT", "/me/drive/root:/New/Folder/A.TXT:/content?@microsoft.graph.conflictBehavior=fail", "three")
	equal(t, "rename", c.want(201, "PUT", "/me/drive/root:/New/Folder/a.txt:/content?@microsoft.graph.conflictBehavior=rename", "x").at("name"), "a 1.txt")
	c.want(201, "PUT", "/me/drive/root:/empty:/content", "")
	got, err := c.s.Drive("").Read("/New/Folder/a.txt")
	if err != nil || string(got) != "two!" {
		t.Errorf("read %q, %v", got, err)
	}
	v := c.want(200, "GET", "/me/drive/items/"+a.at("id")+"/versions", nil)
	equal(t, "versions", len(v.list()), 2)
	loc := c.want(302, "GET", "/me/drive/items/"+a.at("id")+"/versions/1.0/content", nil).header.Get("Location")
	equal(t, "old bytes", string(c.want(200, "GET", loc, nil).raw), "one")
	c.s.Drive("").SetQuota(8)
	equal(t, "full", c.want(507, "PUT", "/me/drive/root:/big:/content", "123456789").at("error/code"), "quotaLimitReached")
	c.noViolations()
}

func TestBytesComeFromTheStorageHost(t *testing.T) {
	c := start(t, graphtest.Options{DownloadLife: time.Hour})
	f := c.put("/a.txt", "0123456789")
	loc := c.want(302, "GET", "/me/drive/items/"+f.ID+"/content", nil).header.Get("Location")
	if strings.HasPrefix(loc, c.s.GraphURL()) {
		t.Fatal("the bytes are on the Graph host")
	}
	a := c.want(200, "GET", loc, nil)
	equal(t, "whole", string(a.raw), "0123456789")
	equal(t, "tag", a.header.Get("ETag"), f.ETag)
	for spec, want := range map[string]string{"bytes=2-4": "234 bytes 2-4/10", "bytes=7-": "789 bytes 7-9/10", "bytes=-2": "89 bytes 8-9/10", "bytes=8-99": "89 bytes 8-9/10"} {
		a := c.want(206, "GET", loc, nil, "Range: "+spec)
		equal(t, spec, string(a.raw)+" "+a.header.Get("Content-Range"), want)
	}
	equal(t, "beyond", c.want(416, "GET", loc, nil, "Range: bytes=10-").header.Get("Content-Range"), "bytes */10")
	c.want(401, "GET", loc+"0", nil)
	c.want(304, "GET", "/me/drive/items/"+f.ID+"/content", nil, "If-None-Match: "+f.CTag)
	c.noViolations()
	c.want(401, "GET", loc, nil, "Authorization: Bearer "+c.token)
	if v := c.s.Violations(); len(v) != 1 || !strings.Contains(v[0], "Authorization") {
		t.Errorf("violations: %q", v)
	}
	equal(t, "downloads", c.s.Counts().Of(graphtest.OpDownload), 8)
	equal(t, "bytes", c.s.Counts().BytesDown, int64(10+3+3+2+2))
	equal(t, "writes", c.s.Counts().Writes, 0)
}

func TestGrantsAreListed(t *testing.T) {
	c := start(t, graphtest.Options{})
	f := c.put("/Shared/a.txt", "x")
	if err := c.s.Drive("").Share("/Shared", "bob@contoso.example", "write"); err != nil {
		t.Fatal(err)
	}
	a := c.want(200, "GET", "/me/drive/items/"+f.ID+"/permissions", nil)
	if len(a.list()) != 2 {
		t.Fatalf("grants: %s", a.raw)
	}
	if _, ok := a.list()[1]["inheritedFrom"]; !ok {
		t.Errorf("an inherited grant does not say so: %s", a.raw)
	}
}

func TestCopiesAreMonitored(t *testing.T) {
	c := start(t, graphtest.Options{})
	c.put("/from/a.txt", "hello")
	from, _ := c.s.Drive("").Stat("/from")
	a := c.want(202, "POST", "/me/drive/items/"+from.ID+"/copy", map[string]any{"name": "to"})
	m := c.want(200, "GET", a.header.Get("Location"), nil)
	equal(t, "status", m.at("status"), "completed")
	got, err := c.s.Drive("").Read("/to/a.txt")
	if err != nil || string(got) != "hello" {
		t.Errorf("the copy is %q, %v", got, err)
	}
	a = c.want(202, "POST", "/me/drive/items/"+from.ID+"/copy", map[string]any{"name": "to"})
	equal(t, "clash", c.want(200, "GET", a.header.Get("Location"), nil).at("status"), "failed")
	c.noViolations()
}

func TestBatches(t *testing.T) {
	c := start(t, graphtest.Options{})
	f := c.put("/a.txt", "x")
	c.s.Inject(graphtest.Fault{Place: "/slow", Status: 429, RetryAfter: 7})
	type m = map[string]any
	a := c.want(200, "POST", "/$batch", m{"requests": []m{
		{"id": "1", "method": "GET", "url": "/me/drive/items/" + f.ID},
		{"id": "2", "method": "GET", "url": "me/drive/root:/none"},
		{"id": "3", "method": "GET", "url": "/me", "dependsOn": []string{"2"}},
		{"id": "4", "method": "GET", "url": "/me/drive/root:/slow"},
		{"id": "5", "method": "POST", "url": "/me/drive/root/children", "headers": m{"Content-Type": "application/json"}, "body": m{"name": "made", "folder": m{}}},
		{"id": "6", "method": "PUT", "url": "/me/drive/root:/b.txt:/content", "headers": m{"Content-Type": "text/plain"}, "body": base64.StdEncoding.EncodeToString([]byte("bytes"))},
		{"id": "7", "method": "GET", "url": "/me/drive/items/" + f.ID + "/content"},
	}})
	var got []string
	for _, r := range a.obj["responses"].([]any) {
		got = append(got, fmt.Sprintf("%v:%v", r.(m)["id"], r.(m)["status"]))
	}
	equal(t, "statuses", strings.Join(got, " "), "1:200 2:404 3:424 4:429 5:201 6:201 7:302")
	slow := a.obj["responses"].([]any)[3].(m)
	equal(t, "inner header", fmt.Sprint(slow["headers"].(m)["Retry-After"]), "7")
	many := make([]m, 21)
	for i := range many {
		many[i] = m{"id": fmt.Sprint(i), "method": "GET", "url": "/me"}
	}
	c.want(400, "POST", "/$batch", m{"requests": many})
	c.want(400, "POST", "/$batch", m{"requests": []m{many[0], many[0]}})
	c.noViolations()
}

func TestFolderSizesFollowTheirFiles(t *testing.T) {
	c := start(t, graphtest.Options{})
	size := func() string { t.Helper(); return c.want(200, "GET", "/me/drive/root", nil).at("size") }
	c.put("/a/b/f.txt", "12345")
	c.put("/a/b/f.txt", "12")
	equal(t, "replaced", size(), "2")
	if _, err := c.s.Drive("").Move("/a/b", "/b"); err != nil {
		t.Fatal(err)
	}
	equal(t, "moved", size(), "2")
	equal(t, "left", c.want(200, "GET", "/me/drive/root:/a", nil).at("size"), "0")
}

func TestDownloadAddressesExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, graphtest.Options{DownloadLife: time.Minute})
		f := c.put("/a.txt", "x")
		loc := c.want(302, "GET", "/me/drive/items/"+f.ID+"/content", nil).header.Get("Location")
		time.Sleep(59 * time.Second)
		c.want(200, "GET", loc, nil)
		time.Sleep(time.Second)
		c.want(401, "GET", loc, nil)
		c.put("/a.txt", "newer")
		loc = c.want(302, "GET", "/me/drive/items/"+f.ID+"/content", nil).header.Get("Location")
		equal(t, "current bytes", string(c.want(200, "GET", loc, nil).raw), "newer")
		if err := c.s.Drive("").Delete("/a.txt"); err != nil {
			t.Fatal(err)
		}
		c.want(404, "GET", loc, nil)
	})
}
