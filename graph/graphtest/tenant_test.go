package graphtest_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/graph/graphtest"
)

func TestSitesAreFound(t *testing.T) {
	c := start(t, graphtest.Options{ListPage: 2})
	for _, name := range []string{"Sales", "Legal", "Finance"} {
		c.s.AddSite("sites/"+name, name, "Documents")
	}
	c.s.AddSite("", "Home", "Documents")
	names := func(a answer) string {
		var out []string
		for {
			for _, x := range a.list() {
				out = append(out, fmt.Sprint(x["displayName"]))
			}
			next := a.at("@odata.nextLink")
			if next == "" {
				return strings.Join(out, ",")
			}
			a = c.want(200, "GET", next, nil)
		}
	}
	equal(t, "search for all", names(c.want(200, "GET", "/sites?search=*", nil)), "Engineering,Sales,Legal,Finance,Home")
	equal(t, "search", names(c.want(200, "GET", "/sites?search=legal", nil)), "Legal")
	c.want(403, "GET", "/sites/getAllSites", nil)
	c.want(403, "GET", "/sites", nil)
	equal(t, "followed by nobody", names(c.want(200, "GET", "/me/followedSites", nil)), "")
	if !c.s.Follow("", "sites/Sales") || c.s.Follow("", "sites/None") {
		t.Error("who follows what")
	}
	equal(t, "followed", names(c.want(200, "GET", "/me/followedSites", nil)), "Sales")
	person := c.token
	c.token = c.s.AccessToken("")
	equal(t, "all, for an app", names(c.want(200, "GET", "/sites/getAllSites", nil)), "Engineering,Sales,Legal,Finance,Home")
	equal(t, "all, page by page", names(c.want(200, "GET", "/sites?$top=1", nil)), "Engineering,Sales,Legal,Finance,Home")
	c.token = person

	site := c.want(200, "GET", "/sites/"+graphtest.SharePointHost+":/sites/Engineering", nil).at("id")
	drives := c.want(200, "GET", "/sites/"+site+"/drives", nil)
	equal(t, "libraries", drives.names(), "Documents,Archive")
	group := c.want(200, "GET", "/drives/"+drives.list()[0]["id"].(string), nil).at("owner/group/id")
	equal(t, "of the group", c.want(200, "GET", "/groups/"+group+"/drives", nil).names(), "Documents,Archive")
	equal(t, "site of the group", c.want(200, "GET", "/groups/"+group+"/sites/root", nil).at("id"), site)
	equal(t, "of a person", len(c.want(200, "GET", "/users/bob@contoso.example/drives", nil).list()), 1)
	equal(t, "root", c.want(200, "GET", "/sites/root", nil).at("displayName"), "Home")

	if _, err := c.s.Drive("Documents").Put("/a.txt", []byte("x")); err != nil {
		t.Fatal(err)
	}
	lists := c.want(200, "GET", "/sites/"+site+"/lists", nil).list()
	id := fmt.Sprint(lists[0]["id"])
	equal(t, "list", c.want(200, "GET", "/sites/"+site+"/lists/"+id, nil).at("list/template"), "documentLibrary")
	equal(t, "its drive", c.want(200, "GET", "/sites/"+site+"/lists/"+id+"/drive", nil).at("name"), "Documents")
	equal(t, "in it", c.want(200, "GET", "/sites/"+site+"/lists/"+id+"/drive/root/children", nil).names(), "a.txt")
	c.want(200, "GET", "/sites/"+site+"/lists/"+id+"/drive/root/subscriptions/socketIo", nil)
	equal(t, "items", len(c.want(200, "GET", "/sites/"+site+"/lists/"+id+"/items", nil).list()), 1)
	at := "/drives/" + c.s.Drive("Documents").ID() + "/root:/a.txt:"
	equal(t, "columns", c.want(200, "PATCH", at+"/listItem/fields", object{"Title": "A"}).at("Title"), "A")
	equal(t, "columns", c.want(200, "GET", at+"/listItem", nil).at("fields/Title"), "A")
	ids := c.want(200, "GET", "/drives/"+c.s.Drive("Documents").ID()+"/root:/a.txt?$select=sharepointIds", nil)
	equal(t, "ids", ids.at("sharepointIds/listId"), id)
	c.noViolations()
}

func TestGrantsComeInAllForms(t *testing.T) {
	c := start(t, graphtest.Options{})
	if _, err := c.s.Drive("Documents").Put("/dir/f.txt", []byte("x")); err != nil {
		t.Fatal(err)
	}
	d := c.s.Drive("Documents")
	for path, grants := range map[string][]graphtest.Grant{
		"/dir": {{User: "bob@contoso.example", Role: "write"}, {Group: "Finance Team"}, {SiteGroup: "Visitors", Role: "sp.view only"}},
		"/dir/f.txt": {{Link: "anonymous"}, {Link: "users", Role: "write", To: []string{"bob@contoso.example"}, Expires: "2030-01-01T00:00:00Z"},
			{Link: "existingAccess"}},
	} {
		for _, g := range grants {
			if err := d.Grant(path, g); err != nil {
				t.Fatal(err)
			}
		}
	}
	item := "/drives/" + d.ID() + "/root:/dir/f.txt:"
	var got []string
	perms := c.want(200, "GET", item+"/permissions", nil)
	for _, p := range perms.list() {
		a := answer{obj: p}
		who := a.at("grantedToV2/user/displayName") + a.at("grantedToV2/group/displayName") + a.at("grantedToV2/siteGroup/displayName") + a.at("link/scope") + "/" + a.at("link/type")
		got = append(got, fmt.Sprint(who, " ", a.at("roles"), " ", p["inheritedFrom"] != nil, " ", p["grantedTo"] != nil))
	}
	want := []string{"Engineering Owners/ [owner] true true", "anonymous/view [read] false false", "users/edit [write] false false", "existingAccess/view [read] false false",
		"Bob Example/ [write] true true", "Finance Team/ [read] true true", "Visitors/ [sp.view only] true true"}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	for _, p := range perms.list() {
		a := answer{obj: p}
		switch a.at("link/scope") {
		case "users":
			to := p["grantedToIdentitiesV2"].([]any)[0].(map[string]any)
			equal(t, "for whom", answer{obj: to}.at("user/email")+" "+a.at("expirationDateTime"), "bob@contoso.example 2030-01-01T00:00:00Z")
		case "existingAccess":
			equal(t, "id", a.at("id"), "00000000-0000-0000-0000-000000000000")
		}
	}
	dir := "/drives/" + d.ID() + "/root:/dir:"
	bob := base64.RawURLEncoding.EncodeToString([]byte("i:0#.f|membership|bob@contoso.example"))
	equal(t, "one", c.want(200, "GET", dir+"/permissions/"+bob, nil).at("roles"), "[write]")
	c.want(403, "DELETE", item+"/permissions/"+bob, nil)
	equal(t, "changed", c.want(200, "PATCH", dir+"/permissions/"+bob, object{"roles": []string{"read"}}).at("roles"), "[read]")
	c.want(204, "DELETE", dir+"/permissions/"+bob, nil)
	c.want(404, "GET", dir+"/permissions/"+bob, nil)
	a := c.want(200, "POST", dir+"/invite", object{"recipients": []object{{"email": "carol@contoso.example"}, {"objectId": c.s.Me().ID}}, "roles": []string{"write"}, "requireSignIn": true})
	equal(t, "invited", answer{obj: a.list()[1]}.at("grantedToV2/user/email"), "alice@contoso.example")
	c.want(400, "POST", dir+"/invite", object{"roles": []string{"write"}})
	link := c.want(201, "POST", dir+"/createLink", object{"type": "edit", "scope": "organization"})
	c.want(204, "DELETE", dir+"/permissions/"+link.at("id"), nil)

	// The feed marks what is shared, and what is no more.
	equal(t, "shared", fmt.Sprint(c.feed(d)["dir"]["shared"]), "map[scope:users]")
	if err := d.Revoke("/dir"); err != nil {
		t.Fatal(err)
	}
	equal(t, "no more", fmt.Sprint(c.feed(d)["dir"]["shared"]), "map[]")
}

// feed enumerates a drive by name.
func (c *client) feed(d *graphtest.Drive) map[string]map[string]any {
	c.t.Helper()
	state, _, _ := c.follow("/drives/" + d.ID() + "/root/delta")
	out := map[string]map[string]any{}
	for _, x := range state {
		out[fmt.Sprint(x["name"])] = x
	}
	return out
}

func TestSharingAddressesLeadToItems(t *testing.T) {
	c := start(t, graphtest.Options{})
	f := c.put("/dir/a b.txt", "hello")
	token := func(u string) string {
		return "u!" + strings.NewReplacer("/", "_", "+", "-").Replace(strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(u)), "="))
	}
	web := c.want(200, "GET", "/me/drive/items/"+f.ID, nil).at("webUrl")
	equal(t, "by web address", c.want(200, "GET", "/shares/"+token(web)+"/driveItem", nil).at("id"), f.ID)
	equal(t, "the share", c.want(200, "GET", "/shares/"+token(web), nil).at("name"), "a b.txt")
	link := c.want(201, "POST", "/me/drive/items/"+f.Parent+"/createLink", object{"type": "view", "scope": "organization"}).at("link/webUrl")
	equal(t, "children of a shared folder", c.want(200, "GET", "/shares/"+token(link)+"/driveItem/children", nil).names(), "a b.txt")
	c.want(302, "GET", "/shares/"+token(web)+"/driveItem/content", nil)
	for _, bad := range []string{token("https://elsewhere.example/x"), token(web + "/x"), "u!***", "x"} {
		c.want(404, "GET", "/shares/"+bad+"/driveItem", nil)
	}
}

func TestFilesAreCheckedOut(t *testing.T) {
	c := start(t, graphtest.Options{})
	alice := c.token
	bob := c.s.AccessToken("bob@contoso.example")
	d := c.s.Drive("Documents")
	at := "/drives/" + d.ID() + "/root:/f.txt"
	if _, err := d.Put("/f.txt", []byte("x")); err != nil {
		t.Fatal(err)
	}
	level := func() string {
		a := c.want(200, "GET", at+"?$select=id,publication", nil)
		return a.at("publication/level") + " " + a.at("publication/checkedOutBy/user/displayName")
	}
	equal(t, "level", level(), "published ")
	equal(t, "unasked", c.want(200, "GET", at, nil).at("publication"), "")
	c.want(204, "POST", at+":/checkout", nil)
	equal(t, "level", level(), "checkout Alice Example")
	c.want(200, "PUT", at+":/content", "mine")
	c.token = bob
	for _, a := range []answer{c.want(423, "PUT", at+":/content", "theirs"), c.want(423, "PATCH", at, object{"name": "g.txt"}), c.want(423, "DELETE", at, nil),
		c.want(423, "POST", at+":/createUploadSession", object{}), c.want(423, "POST", at+":/checkout", nil)} {
		equal(t, "refusal", a.at("error/innerError/code"), "resourceLocked")
	}
	c.token = alice
	c.want(400, "POST", at+":/checkin", object{"checkInAs": "nonsense"})
	c.want(204, "POST", at+":/checkin", object{"comment": "done", "checkInAs": "published"})
	c.token = bob
	c.want(200, "PUT", at+":/content", "theirs")
	c.want(204, "POST", at+":/checkout", nil)
	c.want(204, "POST", at+":/discardCheckout", nil)
	c.want(400, "POST", at+":/discardCheckout", nil)
	if err := d.Checkout("/f.txt"); err != nil {
		t.Fatal(err)
	}
	c.want(423, "DELETE", at, nil)
	if err := d.CheckIn("/f.txt"); err != nil {
		t.Fatal(err)
	}
	equal(t, "level", level(), "published ")
	c.want(400, "POST", "/me/drive/root/checkout", nil)
}

func TestLibrariesHaveRules(t *testing.T) {
	c := start(t, graphtest.Options{})
	d := c.s.Drive("Documents")
	at := "/drives/" + d.ID() + "/root:/"
	d.SetRules(graphtest.Rules{RequireColumns: true})
	c.want(201, "PUT", at+"draft.txt:/content", "x")
	equal(t, "a draft", c.want(200, "GET", at+"draft.txt?$select=publication", nil).at("publication/level"), "checkout")
	mine := c.token
	c.token = c.s.AccessToken("bob@contoso.example")
	c.want(404, "GET", at+"draft.txt", nil)
	equal(t, "seen by others", c.want(200, "GET", "/drives/"+d.ID()+"/root/children", nil).names(), "")
	equal(t, "told to others", len(c.feed(d)), 1)
	c.token = mine
	c.want(204, "POST", at+"draft.txt:/checkin", object{})
	c.token = c.s.AccessToken("bob@contoso.example")
	c.want(200, "GET", at+"draft.txt", nil)
	d.SetRules(graphtest.Rules{RequireCheckout: true})
	c.want(423, "PUT", at+"draft.txt:/content", "y")
	c.want(204, "POST", at+"draft.txt:/checkout", nil)
	c.want(200, "PUT", at+"draft.txt:/content", "y")
	d.SetRules(graphtest.Rules{RefuseAll: true})
	equal(t, "validation", c.want(500, "PUT", at+"new.txt:/content", "y").at("error/code"), "generalException")
	if _, err := d.Stat("/new.txt"); err == nil {
		t.Error("the refused file is there")
	}
}

func TestBinsGiveBack(t *testing.T) {
	c := start(t, graphtest.Options{Personal: true})
	f := c.put("/d/f.txt", "x")
	c.put("/e/x", "x")
	for range 2 {
		c.want(204, "DELETE", "/me/drive/items/"+f.Parent, nil)
		c.want(404, "GET", "/me/drive/items/"+f.ID, nil)
		equal(t, "restored", c.want(200, "POST", "/me/drive/items/"+f.Parent+"/restore", object{}).at("id"), f.Parent)
		c.want(200, "GET", "/me/drive/items/"+f.ID, nil)
	}
	c.want(204, "DELETE", "/me/drive/items/"+f.ID, nil)
	c.put("/d/f.txt", "another")
	c.want(409, "POST", "/me/drive/items/"+f.ID+"/restore", object{})
	e := c.want(200, "GET", "/me/drive/root:/e", nil).at("id")
	a := c.want(200, "POST", "/me/drive/items/"+f.ID+"/restore", object{"parentReference": object{"id": e}, "name": "back.txt"})
	equal(t, "elsewhere", a.at("name")+" "+a.at("parentReference/id"), "back.txt "+e)
	c.want(404, "POST", "/me/drive/items/"+f.ID+"/restore", object{})
	c.want(400, "POST", "/me/drive/items/"+f.ID+"/permanentDelete", nil)

	c.token = c.s.AccessToken("") // personal accounts know no sites
	d := c.s.Drive("Documents")
	g, err := d.Put("/dir/g.txt", []byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	item := "/drives/" + d.ID() + "/items/" + g.ID
	c.want(204, "DELETE", item, nil)
	c.want(400, "POST", item+"/restore", object{})
	site := "/sites/" + graphtest.SharePointHost + ":/sites/Engineering:"
	bin := c.want(200, "GET", site+"/recycleBin/items", nil)
	equal(t, "bin", bin.names()+" "+fmt.Sprint(bin.list()[0]["deletedFromLocation"]), "g.txt sites/Engineering/Shared Documents/dir")
	c.want(200, "POST", site+"/recycleBin/items/restore", object{"ids": []any{bin.list()[0]["id"], "nonsense"}})
	c.want(200, "GET", item, nil)
	used := c.want(200, "GET", "/drives/"+d.ID(), nil).at("quota/used")
	c.want(204, "POST", item+"/permanentDelete", nil)
	equal(t, "bin", len(c.want(200, "GET", site+"/recycleBin/items", nil).list()), 0)
	equal(t, "used", used+" "+c.want(200, "GET", "/drives/"+d.ID(), nil).at("quota/used"), "1 0")
}

func TestTheLogTellsWhatWasAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, graphtest.Options{})
		f := c.put("/f", "0123456789")
		c.s.ResetCounts()
		at := c.want(302, "GET", "/me/drive/items/"+f.ID+"/content", nil).header.Get("Location")
		c.want(200, "GET", at, nil)
		c.want(200, "GET", "/me/drive/items/"+f.ID+"/permissions", nil)
		c.want(200, "GET", "/me/drive/root/delta?token=latest", nil)
		c.want(200, "GET", "/me/drive/root/delta", nil)
		c.s.Inject(graphtest.Fault{Op: graphtest.OpMkdir, Drop: graphtest.DropAfter})
		if _, err := c.try("POST", "/me/drive/root/children", object{"name": "d", "folder": object{}}); err == nil {
			t.Error("an answer")
		}
		var got []string
		for _, r := range c.s.Log(0) {
			got = append(got, fmt.Sprint(r.N, " ", r.Kind, " ", r.Host, " ", r.Place, " ", r.Status, " ", r.Units))
			if strings.Contains(fmt.Sprint(r), "SECRET") || strings.Contains(r.Path, "?") {
				t.Errorf("the log holds too much: %+v", r)
			}
		}
		want := []string{"1 content graph /f 302 1", "2 download storage /f 200 0", "3 permissions graph /f 200 5", "4 delta graph / 200 1", "5 delta graph / 200 2", "6 mkdir graph / 0 2"}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
		equal(t, "units", c.s.Counts().Units, 11)
		var tail []graphtest.Request
		c.admin("GET", "log?after=4", nil, &tail)
		equal(t, "tail", len(tail), 2)

		c.admin("POST", "latency?for=2s", nil, nil)
		began := time.Now()
		c.want(200, "GET", "/me", nil)
		equal(t, "latency", time.Since(began), 2*time.Second)
		c.admin("POST", "latency?for=0s", nil, nil)
		big := make([]byte, 100_000)
		c.admin("POST", "bandwidth?bytes=10000", nil, nil)
		began = time.Now()
		c.want(201, "PUT", "/me/drive/root:/big:/content", big)
		if took := time.Since(began); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("100 kB up at 10 kB/s took %s", took)
		}
		began = time.Now()
		at = c.want(302, "GET", "/me/drive/root:/big:/content", nil).header.Get("Location")
		equal(t, "bytes", len(c.want(200, "GET", at, nil).raw), len(big))
		if took := time.Since(began); took < 10*time.Second || took > 11*time.Second {
			t.Errorf("100 kB down at 10 kB/s took %s", took)
		}
	})
}
