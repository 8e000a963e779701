package rest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

// who tells permissions in short, such as "Ann:Edit" or "(view, users) Ann+Bob:View inherited".
func who(all []graph.Permission) string {
	var words []string
	for _, p := range all {
		var names []string
		for _, i := range p.To {
			names = append(names, i.Name)
		}
		text := strings.Join(names, "+") + ":" + p.Level().String()
		if p.Link != nil {
			text = fmt.Sprintf("(%s, %s) %s", p.Link.Type, p.Link.Scope, text)
		}
		if p.Inherited {
			text += " inherited"
		}
		words = append(words, text)
	}
	return strings.Join(words, "; ")
}

func TestWhoMayDoWhat(t *testing.T) {
	for _, kind := range []string{graphtest.Business, graphtest.Personal, "library"} {
		in(t, graphtest.Options{Personal: kind == graphtest.Personal}, nil, func(w *world) {
			owner := "Alice Example"
			if kind == "library" {
				w.far = w.AddSite("sites/eng", "Engineering", "Documents")[0]
				w.near, owner = w.client.Drive(graph.DriveID(w.far.ID())), "Engineering Owners"
			}
			w.AddUser("bob@contoso.example", "Bob Example", graphtest.Business)
			w.put("/dir/a.txt", []byte("x"))
			w.put("/plain.txt", []byte("x"))
			for _, g := range []graphtest.Grant{{User: "bob@contoso.example", Role: "write"}, {Group: "Staff"}, {SiteGroup: "Visitors", Role: "sp.view only"}} {
				must(t, w.far.Grant("/dir", g))
			}
			for _, g := range []graphtest.Grant{
				{Link: "anonymous"}, {Link: "users", Role: "write", To: []string{"bob@contoso.example", "eve@other.example"}},
				{Link: "existingAccess"}, {User: "dan@other.example", Role: "sp.limited access", Expires: "2030-01-02T03:04:05Z"},
			} {
				must(t, w.far.Grant("/dir/a.txt", g))
			}
			a, plain := w.at("/dir/a.txt"), w.at("/plain.txt")
			got, err := w.near.Permissions(w.ctx(), a.ID)
			must(t, err)
			want := owner + ":Full Control inherited; (view, anonymous) :View; (edit, users) Bob Example+eve@other.example:Edit; (view, existingAccess) :; " +
				"dan@other.example:; Bob Example:Edit inherited; Staff:View inherited; Visitors:View inherited"
			if who(got) != want {
				t.Errorf("%s: got %s, want %s", kind, who(got), want)
			}
			if len(got) == 8 {
				if at := got[4].Expires; !at.Equal(time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)) {
					t.Errorf("expires %v", at)
				}
				kinds := fmt.Sprint(got[4].To[0].Kind, ", ", got[6].To[0].Kind, ", ", got[7].To[0].Kind)
				if kinds != "user, group, site group" || got[5].To[0].Email != "bob@contoso.example" {
					t.Errorf("got %s and %+v", kinds, got[5].To)
				}
			}
			all := w.near.PermissionsOf(w.ctx(), []graph.ItemID{plain.ID, "gone", a.ID})
			if len(all) != 3 || all[0].Err != nil || who(all[0].All) != owner+":Full Control inherited" || all[2].Err != nil || who(all[2].All) != want || all[2].Item != a.ID {
				t.Errorf("%s: got %+v", kind, all)
			}
			wants(t, all[1].Err, graph.NotExist)
		})
	}
}

// Permissions cost five units each, also in a batch.
func TestPermissionsOfManyGoByTwenties(t *testing.T) {
	in(t, graphtest.Options{}, func(o *rest.Options) { o.UnitsPerMinute, o.UnitsBurst = 300, 100 }, func(w *world) {
		var ids []graph.ItemID
		for n := range 50 {
			i, err := w.far.Put(fmt.Sprintf("/f%d", n), nil)
			must(t, err)
			ids = append(ids, graph.ItemID(i.ID))
		}
		w.Inject(graphtest.Fault{Op: graphtest.OpPermissions, Skip: 10, Status: 429, RetryAfter: 7}, graphtest.Fault{Op: graphtest.OpPermissions, Skip: 30, Status: 500},
			graphtest.Fault{Op: graphtest.OpBatch, Skip: 1, Drop: graphtest.DropAfter})
		w.ResetCounts()
		began := time.Now()
		for i, g := range w.near.PermissionsOf(w.ctx(), ids) {
			if g.Err != nil || g.Item != ids[i] || len(g.All) != 1 {
				t.Errorf("item %d: %+v", i, g)
			}
		}
		if took := time.Since(began); took < 30*time.Second || took > 90*time.Second {
			t.Errorf("some 72 permissions at 60 a minute took %v", took)
		}
		if left := w.ClearFaults(); left > 0 {
			t.Errorf("%d faults were not met", left)
		}
		if c := w.Counts(); c.Of(graphtest.OpBatch) < 4 || c.Of(graphtest.OpBatch) > 6 {
			t.Errorf("asked %v", c.Kinds)
		}
		if len(w.near.PermissionsOf(w.ctx(), nil)) > 0 {
			t.Error("nothing was asked for")
		}
	})
}

// What could not be read is an error, never an empty list: it would say that nobody may see the file.
func TestUnreadPermissionsAreNotNone(t *testing.T) {
	simply(t, func(w *world) {
		ids := []graph.ItemID{w.put("/a", nil).ID, w.put("/b", nil).ID}
		for _, body := range []string{"{}", `{"value":null}`, "<html>", `{"value":[{"roles":7}]}`, "[]", `{"error":{"code":"x"}}`} {
			for _, wide := range []bool{false, true} {
				f := graphtest.Fault{Op: graphtest.OpPermissions, Item: string(ids[0]), Status: http.StatusOK, Type: "application/json", Body: body}
				w.Inject(f)
				var got graph.Grants
				if wide {
					got = w.near.PermissionsOf(w.ctx(), ids)[0]
				} else {
					got.All, got.Err = w.near.Permissions(w.ctx(), ids[0])
				}
				if wants(t, got.Err, graph.Failed); len(got.All) > 0 {
					t.Errorf("%s: got %+v", body, got)
				}
			}
		}
		w.Inject(graphtest.Fault{Op: graphtest.OpPermissions, Item: string(ids[0]), Status: http.StatusForbidden})
		_, err := w.near.Permissions(w.ctx(), ids[0])
		wants(t, err, graph.Denied)
		if left := w.ClearFaults(); left > 0 {
			t.Errorf("%d faults were not met", left)
		}
	})
}

// A list of permissions goes on on further pages, alone and in a batch.
func TestPermissionsArePaged(t *testing.T) {
	simply(t, func(w *world) {
		ids := []graph.ItemID{w.put("/a", nil).ID, w.put("/b", nil).ID}
		page := fmt.Sprintf(`{"value":[{"id":"1","roles":["read"],"grantedToV2":{"user":{"displayName":"First"}}}],"@odata.nextLink":"%s/v1.0/drives/%s/items/%s/permissions?$skiptoken=2"}`,
			w.GraphURL(), w.far.ID(), ids[0])
		first := graphtest.Fault{Op: graphtest.OpPermissions, Item: string(ids[0]), Status: http.StatusOK, Type: "application/json", Body: page}
		const want = "First:View; Alice Example:Full Control inherited"
		w.Inject(first)
		got, err := w.near.Permissions(w.ctx(), ids[0])
		if err != nil || who(got) != want {
			t.Errorf("got %s, %v", who(got), err)
		}
		w.Inject(first)
		all := w.near.PermissionsOf(w.ctx(), ids)
		if all[0].Err != nil || who(all[0].All) != want {
			t.Errorf("got %+v", all[0])
		}
	})
}

// Sharing of a file is told by the feed where the application may hear of it.
func TestTheFeedTellsOfSharing(t *testing.T) {
	for _, asked := range []bool{false, true} {
		in(t, graphtest.Options{}, func(o *rest.Options) { o.SharingChanges = asked }, func(w *world) {
			w.put("/dir/a.txt", nil)
			w.put("/dir/b.txt", nil)
			_, link, _ := w.follow(graph.Start)
			must(t, w.far.Grant("/dir/a.txt", graphtest.Grant{Link: "anonymous"}))
			must(t, w.far.Touch("/dir/b.txt", yesterday))
			items, _, _ := w.follow(link)
			told := ""
			for _, i := range items {
				if i.SharingChanged {
					told += i.Name
				}
			}
			if asked != (told == "a.txt") || !asked && told != "" {
				t.Errorf("asked: %v, told %q of %d", asked, told, len(items))
			}
		})
	}
}

// Permissions as the documents and the field have them (graph-facts §13).
func TestPermissionsAsTheyCome(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"old field alone":  {`{"roles":["write"],"grantedTo":{"user":{"displayName":"Ann"}}}`, "Ann:Edit"},
		"both, new counts": {`{"roles":["read"],"grantedToV2":{"group":{"displayName":"Staff"}},"grantedTo":{"user":{"displayName":"Staff old"}}}`, "Staff:View"},
		"new one is empty": {`{"roles":["read"],"grantedToV2":{},"grantedTo":{"user":{"displayName":"Ann"}}}`, "Ann:View"},
		"user and site user": {`{"roles":["owner"],"grantedToV2":{"user":{"id":"u"},"siteUser":{"displayName":"Ann","loginName":"i:0#.f|membership|ann@x"}}}`,
			"Ann:Full Control"},
		"site group":          {`{"roles":["sp.full control"],"grantedToV2":{"siteGroup":{"displayName":"Owners"}}}`, "Owners:Full Control"},
		"sharePointGroup":     {`{"roles":["SP.View Only"],"grantedToV2":{"sharePointGroup":{"id":"3","title":"Readers"}}}`, "Readers:View"},
		"application":         {`{"roles":["write"],"grantedToV2":{"application":{"displayName":"Robot"}}}`, "Robot:Edit"},
		"device":              {`{"roles":["read"],"grantedToV2":{"device":{"displayName":"Phone"}}}`, "Phone:View"},
		"empty forms":         {`{"roles":["owner"],"grantedToV2":{"user":{},"group":{},"siteGroup":{"displayName":"Owners"}}}`, "Owners:Full Control"},
		"email alone":         {`{"roles":["read"],"grantedToV2":{"user":{"email":"a@x"}}}`, "a@x:View"},
		"everyone":            {`{"roles":["read"],"grantedToV2":{"siteUser":{"loginName":"c:0(.s|true"}}}`, "Everyone:View"},
		"everyone but guests": {`{"roles":["read"],"grantedToV2":{"siteUser":{"loginName":"c:0-.f|rolemanager|spo-grid-all-users/tenant"}}}`, "Everyone except external users:View"},
		"login alone":         {`{"roles":["read"],"grantedToV2":{"siteUser":{"loginName":"i:0#.f|membership|ann@x"}}}`, "ann@x:View"},
		"strongest role":      {`{"roles":["sp.limited access","read","sp.contribute"],"grantedToV2":{"user":{"displayName":"Ann"}}}`, "Ann:Edit"},
		"limited access":      {`{"roles":["sp.web-only limited access"],"grantedToV2":{"user":{"displayName":"Ann"}}}`, "Ann:"},
		"no roles":            {`{"roles":[],"grantedToV2":{"user":{"displayName":"Ann"}}}`, "Ann:unknown"},
		"own level":           {`{"roles":["sp.approve"],"grantedToV2":{"user":{"displayName":"Ann"}}}`, "Ann:unknown"},
		"invitation":          {`{"roles":["read"],"invitation":{"email":"new@x"}}`, "new@x:View"},
		"old link for people": {`{"roles":["read"],"link":{"type":"view","scope":"users"},"grantedToIdentities":[{"user":{"displayName":"Ann"}},{"user":{"displayName":"Bob"}}]}`,
			"(view, users) Ann+Bob:View"},
		"new link for people": {`{"roles":["write"],"link":{"type":"edit","scope":"users"},"grantedToIdentitiesV2":[{"user":{"displayName":"Ann"},"siteUser":{"displayName":"Ann A"}}],` +
			`"grantedToIdentities":[{"user":{"displayName":"Nobody"}}]}`, "(edit, users) Ann:Edit"},
		"link without roles":   {`{"link":{"type":"blocksDownload","scope":"organization"}}`, "(blocksDownload, organization) :View"},
		"link to edit":         {`{"link":{"type":"edit","scope":"organization"}}`, "(edit, organization) :Edit"},
		"link to put files in": {`{"link":{"type":"createOnly","scope":"anonymous"}}`, "(createOnly, anonymous) :unknown"},
		"for who has access":   {`{"roles":["read"],"link":{"type":"view","scope":"existingAccess"}}`, "(view, existingAccess) :"},
		"inherited, said with nothing": {`{"roles":["read"],"inheritedFrom":{},"expirationDateTime":"0001-01-01T00:00:00Z","grantedToV2":{"user":{"displayName":"Ann"}}}`,
			"Ann:View inherited"},
		"inherited is null": {`{"roles":["read"],"inheritedFrom":null,"grantedToV2":{"user":{"displayName":"Ann"}}}`, "Ann:View"},
	} {
		if !json.Valid([]byte(c.body)) {
			t.Fatalf("%s: no JSON", name)
		}
		simply(t, func(w *world) {
			i := w.put("/a", nil)
			w.Inject(graphtest.Fault{Op: graphtest.OpPermissions, Status: http.StatusOK, Type: "application/json", Body: `{"value":[` + c.body + `]}`})
			got, err := w.near.Permissions(w.ctx(), i.ID)
			if err != nil || who(got) != c.want || len(got) == 1 && !got[0].Expires.IsZero() {
				t.Errorf("%s: got %s, %v, want %s", name, who(got), err, c.want)
			}
		})
	}
}
