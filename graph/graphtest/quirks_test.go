package graphtest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/graph/graphtest"
)

func TestQuirksAreMadeOnDemand(t *testing.T) {
	c := start(t, graphtest.Options{Personal: true})
	d := c.s.Drive("")
	f := c.put("/a b.docx", "words")
	get := func() answer { t.Helper(); return c.want(200, "GET", "/me/drive/items/"+f.ID, nil) }
	feed := func() []map[string]any { t.Helper(); return c.want(200, "GET", "/me/drive/root/delta", nil).list() }

	c.s.SetQuirks(graphtest.Quirks{NoHashes: true})
	equal(t, "no hash", get().at("file/hashes"), "")
	c.s.SetQuirks(graphtest.Quirks{WrongSizes: true})
	if a := get(); a.at("size") == "5" || a.at("file/hashes/quickXorHash") == f.Hash {
		t.Errorf("the true size: %s", a.raw)
	}
	c.s.SetQuirks(graphtest.Quirks{OddTimes: true})
	equal(t, "time", get().at("fileSystemInfo/lastModifiedDateTime"), "0001-01-01T00:00:00Z")
	c.s.SetQuirks(graphtest.Quirks{ShortDriveIDs: true})
	short := get().at("parentReference/driveId")
	if short == d.ID() || !strings.EqualFold("0"+short, d.ID()) && !strings.EqualFold("00"+short, d.ID()) {
		t.Errorf("%s for %s", short, d.ID())
	}
	c.want(200, "GET", "/drives/"+short+"/items/"+f.ID, nil)
	c.s.SetQuirks(graphtest.Quirks{PhantomDrives: true})
	drives := c.want(200, "GET", "/me/drives", nil).list()
	equal(t, "drives", len(drives), 3)
	c.want(404, "GET", "/drives/"+drives[2]["id"].(string), nil)
	c.s.SetQuirks(graphtest.Quirks{EncodedNames: true, DuplicateFeed: true})
	var names []string
	for _, x := range feed() {
		names = append(names, x["name"].(string))
	}
	equal(t, "feed", strings.Join(names, ","), "root,before a%20b.docx,a%20b.docx")

	c.s.SetQuirks(graphtest.Quirks{MoveResetsTime: true})
	if err := d.Touch("/a b.docx", time.Date(2001, 1, 1, 0, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	if a := c.want(200, "PATCH", "/me/drive/items/"+f.ID, object{"name": "c.docx"}); strings.HasPrefix(a.at("fileSystemInfo/lastModifiedDateTime"), "2001") {
		t.Error("the move kept the time")
	}
	c.s.SetQuirks(graphtest.Quirks{HoldFolders: true})
	in := c.put("/held/in.txt", "x")
	c.want(403, "DELETE", "/me/drive/items/"+in.Parent, nil)
	c.want(204, "DELETE", "/me/drive/items/"+in.ID, nil)
	c.want(204, "DELETE", "/me/drive/items/"+in.Parent, nil)
	c.s.SetQuirks(graphtest.Quirks{Collation: true})
	c.put("/ærø", "x")
	a := c.want(409, "PUT", "/me/drive/root:/aero:/content", "y")
	equal(t, "inner", a.at("error/innerError/code"), "similarRelationshipNameAlreadyExists")

	_, _, link := c.follow("/me/drive/root/delta")
	c.s.SetQuirks(graphtest.Quirks{LoseTombstones: true})
	if err := d.Delete("/c.docx"); err != nil {
		t.Fatal(err)
	}
	state, _, _ := c.follow(link)
	equal(t, "lost tombstone", len(state), 0)

	n, err := d.MakePackage("/Notebook")
	if err != nil {
		t.Fatal(err)
	}
	a = c.want(200, "GET", "/me/drive/items/"+n.ID, nil)
	equal(t, "package", a.at("package/type")+a.at("folder")+a.at("file"), "oneNote")
	bob := c.s.Drive("bob@contoso.example")
	if _, err := bob.Put("/theirs/x.txt", []byte("x")); err != nil {
		t.Fatal(err)
	}
	sc, err := d.MakeShortcut("/Bob's", bob, "/theirs")
	if err != nil {
		t.Fatal(err)
	}
	a = c.want(200, "GET", "/me/drive/items/"+sc.ID, nil)
	equal(t, "shortcut", a.at("remoteItem/parentReference/driveId")+a.at("folder"), bob.ID())
	equal(t, "follow it", c.want(200, "GET", "/drives/"+bob.ID()+"/items/"+a.at("remoteItem/id")+"/children", nil).names(), "x.txt")

	bad := c.put("/virus.exe", "x")
	given := c.want(200, "GET", "/me/drive/items/"+bad.ID, nil).at("@microsoft.graph.downloadUrl")
	if err := d.Infect("/virus.exe"); err != nil {
		t.Fatal(err)
	}
	equal(t, "malware", c.want(403, "GET", "/me/drive/items/"+bad.ID+"/content", nil).at("error/code"), "malwareDetected")
	for name, at := range map[string]string{"given before": given, "given since": c.want(200, "GET", "/me/drive/items/"+bad.ID, nil).at("@microsoft.graph.downloadUrl")} {
		equal(t, "malware by an address "+name, c.want(403, "GET", at, nil).header.Get("X-Virus-Infected"), "Virus found.")
	}

	c.s.SetQuirks(graphtest.Quirks{RefuseLongURLs: true})
	equal(t, "long address", len(c.want(401, "GET", "/me/drive/root:/"+strings.Repeat("%E8%B3%87", 300), nil).raw), 0)

	share := c.want(201, "POST", "/me/drive/items/"+bad.ID+"/createLink", object{"type": "view", "scope": "organization"})
	again := c.want(200, "POST", "/me/drive/items/"+bad.ID+"/createLink", object{"type": "view", "scope": "organization"})
	equal(t, "the same link", again.at("link/webUrl"), share.at("link/webUrl"))
	c.noViolations()
}
