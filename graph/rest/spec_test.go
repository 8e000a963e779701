package rest_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

func TestParseSpec(t *testing.T) {
	good := map[string]rest.Spec{
		"me":                               {Where: rest.Me},
		"sharepoint":                       {Where: rest.SharePoint},
		"user:anna@contoso.com":            {Where: rest.User, Name: "anna@contoso.com"},
		"group:1234-5678":                  {Where: rest.Group, Name: "1234-5678"},
		"drive:b!xY_z-1":                   {Where: rest.ByID, Name: "b!xY_z-1"},
		"site:C.SharePoint.com:":           {Where: rest.Site, Name: "c.sharepoint.com", Path: "/"},
		"site:c.sharepoint.com":            {Where: rest.Site, Name: "c.sharepoint.com", Path: "/"},
		"site:c.sharepoint.com:/sites/Eng": {Where: rest.Site, Name: "c.sharepoint.com", Path: "/sites/Eng"},
		"site:c.sharepoint.com:/sites/Eng/#My Docs":       {Where: rest.Site, Name: "c.sharepoint.com", Path: "/sites/Eng", Library: "My Docs"},
		"site:c.sharepoint.com:/teams/Eng Team#C# Bücher": {Where: rest.Site, Name: "c.sharepoint.com", Path: "/teams/Eng Team", Library: "C# Bücher"},
	}
	for text, want := range good {
		got, err := rest.ParseSpec(text)
		if err != nil || got != want {
			t.Errorf("ParseSpec(%q) = %+v, %v", text, got, err)
		}
		if again, err := rest.ParseSpec(got.String()); err != nil || again != got {
			t.Errorf("%q written as %q is %+v, %v", text, got, again, err)
		}
	}
	for text, want := range map[string]string{
		"https://Contoso.sharepoint.com":                                                                  "site:contoso.sharepoint.com:/",
		"https://contoso.sharepoint.com/sites/Eng/":                                                       "site:contoso.sharepoint.com:/sites/Eng",
		"https://contoso.sharepoint.com/sites/Eng/SitePages/Home.aspx":                                    "site:contoso.sharepoint.com:/sites/Eng",
		"https://contoso.sharepoint.com/sites/Eng/_layouts/15/viewlsts.aspx?view=14":                      "site:contoso.sharepoint.com:/sites/Eng",
		"https://contoso.sharepoint.com/sites/Eng/Shared%20Documents/Forms/AllItems.aspx?id=%2Fsites%2FE": "site:contoso.sharepoint.com:/sites/Eng#Shared Documents",
		"https://contoso.sharepoint.com/:f:/r/teams/Eng/Archive/2024?csf=1&web=1":                         "site:contoso.sharepoint.com:/teams/Eng#Archive",
		"https://contoso.sharepoint.com/Shared%20Documents":                                               "site:contoso.sharepoint.com:/#Shared Documents",
		"https://contoso-my.sharepoint.com/personal/anna_contoso_com/Documents/a":                         "site:contoso-my.sharepoint.com:/personal/anna_contoso_com#Documents",
	} {
		got, err := rest.ParseSpec(text)
		if err != nil || got.String() != want {
			t.Errorf("ParseSpec(%q) = %s, %v, want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "Me", "me:", "me:x", "sharepoint:x", "user:", "user", "user:a b", "user:a/b", "drive:", "group:", "group:a\\b",
		"site:", "site:#x", "site:nothing", "site:nothing:", "site:nothing#Documents", "site:h:sites/x", "site:h:/x#", "site:h/x:/y", "site:h:/a:/b", "site:h:/a//b", ":x", "anna@contoso.com", "drive", " me", "me\n",
		"http://contoso.sharepoint.com/sites/x", "https://", "https://u:p@contoso.sharepoint.com/", "https://contoso.sharepoint.com:8443/", "ftp://contoso.sharepoint.com"} {
		_, err := rest.ParseSpec(text)
		var wrong *rest.SpecError
		if !errors.As(err, &wrong) || wrong.Text != text || wrong.Reason == "" {
			t.Errorf("ParseSpec(%q): %v", text, err)
		}
	}
}

func FuzzParseSpec(f *testing.F) {
	for _, s := range []string{"me", "site:h:/p#l", "user:x", "site:h.com#l#m", "drive:a:b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := rest.ParseSpec(text)
		if err != nil {
			return
		}
		if again, err := rest.ParseSpec(s.String()); err != nil || again != s {
			t.Errorf("%q is %+v, written %q, read %+v, %v", text, s, s, again, err)
		}
	})
}

func TestFind(t *testing.T) {
	simply(t, func(w *world) {
		bob := w.AddUser("carol@contoso.example", "Carol #1", "business")
		docs, archive := w.Drive("sites/Engineering#Documents"), w.Drive("sites/Engineering#Archive")
		for text, want := range map[string]*graphtest.Drive{
			"me":                         w.far,
			"user:carol@contoso.example": bob.Drive(),
			"user:" + bob.ID:             bob.Drive(),
			"drive:" + archive.ID():      archive,
			"site:" + graphtest.SharePointHost + ":/sites/Engineering":                  docs,
			"site:" + graphtest.SharePointHost + ":/sites/engineering#archive":          archive,
			"site:" + graphtest.SharePointHost + ":/sites/Engineering#Shared Documents": docs,
		} {
			spec, err := rest.ParseSpec(text)
			must(t, err)
			d, err := w.client.Find(w.ctx(), spec)
			if err != nil || string(d.ID) != want.ID() {
				t.Errorf("Find(%s) = %+v, %v", text, d, err)
			}
			if strings.HasPrefix(text, "site:") && d.Site != "Engineering" {
				t.Errorf("%s is in site %q", text, d.Site)
			}
		}
		for text, want := range map[string]graph.Kind{
			"user:nobody@contoso.example": graph.NotExist, "drive:b!nothing": graph.NotExist, "group:none": graph.NotExist,
			"site:" + graphtest.SharePointHost + ":/sites/None":             graph.NotExist,
			"site:" + graphtest.SharePointHost + ":/sites/Engineering#None": graph.NotExist,
			"sharepoint": graph.Invalid,
		} {
			spec, err := rest.ParseSpec(text)
			must(t, err)
			_, err = w.client.Find(w.ctx(), spec)
			wants(t, err, want)
			if err != nil && !strings.Contains(err.Error(), text) {
				t.Errorf("the error does not repeat %s: %v", text, err)
			}
		}
	})
}

func TestMeOfAnAppIsRefusedWithAdvice(t *testing.T) {
	in(t, graphtest.Options{}, func(o *rest.Options) { o.User = "" }, func(w *world) {
		_, err := w.client.Find(w.ctx(), rest.Spec{Where: rest.Me})
		if err == nil || !strings.Contains(err.Error(), "USER_ID") {
			t.Errorf("got %v", err)
		}
	})
}

func TestAGroupsDrive(t *testing.T) {
	simply(t, func(w *world) {
		docs := w.Drive("sites/Engineering#Documents")
		w.Inject(graphtest.Fault{Path: "/groups/5a1c/drive", Status: 200, Type: "application/json",
			Body: `{"id":"` + docs.ID() + `","name":"Documents","driveType":"documentLibrary","owner":{"group":{"displayName":"Engineers"}}}`})
		d, err := w.client.Find(w.ctx(), rest.Spec{Where: rest.Group, Name: "5a1c"})
		if err != nil || string(d.ID) != docs.ID() || d.Owner != "Engineers" {
			t.Errorf("got %+v, %v", d, err)
		}
	})
}

// titles lists drives as site/library.
func titles(drives []graph.Drive) string {
	var all []string
	for _, d := range drives {
		all = append(all, d.Site+"/"+d.Name)
	}
	return strings.Join(all, " ")
}

// sites answers a question for sites with those of some titles, from the emulator's.
func (w *world) sites(path string, names ...string) graphtest.Fault {
	var all []string
	for _, n := range names {
		all = append(all, `{"id":"`+w.siteID(n)+`","displayName":"`+n+`"}`)
	}
	return graphtest.Fault{Path: path, Status: 200, Type: "application/json", Body: `{"value":[` + strings.Join(all, ",") + `]}`}
}

func (w *world) siteID(title string) string {
	w.t.Helper()
	token, err := w.tokens.Token(w.ctx())
	must(w.t, err)
	r, err := http.NewRequestWithContext(w.ctx(), http.MethodGet, w.GraphURL()+"/v1.0/sites?search="+title, nil)
	must(w.t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("User-Agent", rest.UserAgent(""))
	resp, err := w.Transport().RoundTrip(r)
	must(w.t, err)
	defer resp.Body.Close()
	var found struct{ Value []struct{ ID string } }
	if err := json.NewDecoder(resp.Body).Decode(&found); err != nil || len(found.Value) != 1 {
		w.t.Fatalf("site %s: %+v, %v", title, found, err)
	}
	return found.Value[0].ID
}

func TestAllSitesOfATenant(t *testing.T) {
	simply(t, func(w *world) { // an app that signs in as itself
		w.AddSite("sites/Marketing", "Marketing", "Documents")
		w.Inject(w.sites("/sites/getAllSites", "Engineering", "Marketing"))
		all, err := w.client.Drives(w.ctx(), "")
		if got := titles(all); err != nil || got != "/OneDrive Engineering/Documents Engineering/Archive Marketing/Documents" {
			t.Errorf("got %s, %v", got, err)
		}
		if left := w.ClearFaults(); left > 0 {
			t.Error("getAllSites was not asked")
		}
		w.Inject(graphtest.Fault{Path: "/sites/getAllSites", Status: 403})
		if again, err := w.client.Drives(w.ctx(), ""); err != nil || titles(again) != titles(all) {
			t.Errorf("without it: %s, %v", titles(again), err)
		}
		w.Inject(graphtest.Fault{Path: "/sites/getAllSites", Status: 500, Times: 10})
		_, err = w.client.Drives(w.ctx(), "")
		wants(t, err, graph.Failed)
	})
	in(t, graphtest.Options{}, func(o *rest.Options) { o.User = "" }, func(w *world) { // a person
		w.AddSite("sites/Marketing", "Marketing", "Documents")
		w.tokens.kept = w.AccessToken(w.Me().ID)
		w.Inject(w.sites("/v1.0/sites", "Engineering"), w.sites("/me/followedSites", "Engineering", "Marketing"))
		all, err := w.client.Drives(w.ctx(), "")
		if got := titles(all); err != nil || got != "/OneDrive Engineering/Documents Engineering/Archive Marketing/Documents" {
			t.Errorf("got %s, %v", got, err)
		}
		w.ClearFaults()
		w.Inject(graphtest.Fault{Path: "/me/followedSites", Status: 403})
		if all, err := w.client.Drives(w.ctx(), ""); err != nil || len(all) != 4 {
			t.Errorf("got %s, %v", titles(all), err)
		}
		w.Inject(graphtest.Fault{Op: graphtest.OpSite, Status: 400, Code: "notSupported"})
		if all, err := w.client.Drives(w.ctx(), ""); err != nil || titles(all) != "/OneDrive" {
			t.Errorf("where there are no sites: %s, %v", titles(all), err)
		}
	})
}

func TestASiteIsFoundByItsAddress(t *testing.T) {
	simply(t, func(w *world) {
		w.AddSite("sites/Marketing", "Marketing", "Documents", "Campaigns")
		for _, query := range []string{"https://" + graphtest.SharePointHost + "/sites/Marketing/Campaigns/Forms/AllItems.aspx", "site:" + graphtest.SharePointHost + ":/sites/Marketing"} {
			all, err := w.client.Drives(w.ctx(), query)
			if got := titles(all); err != nil || got != "Marketing/Documents Marketing/Campaigns" {
				t.Errorf("%s gave %s, %v", query, got, err)
			}
		}
		_, err := w.client.Drives(w.ctx(), "https://"+graphtest.SharePointHost+"/sites/None")
		wants(t, err, graph.NotExist)
	})
}

func TestDrivesListsWhatCanBeMounted(t *testing.T) {
	simply(t, func(w *world) {
		w.AddSite("sites/Marketing", "Marketing", "Documents", "Campaigns")
		all, err := w.client.Drives(w.ctx(), "")
		must(t, err)
		var names []string
		for _, d := range all {
			names = append(names, d.Site+"/"+d.Name)
		}
		got := strings.Join(names, " ")
		if got != "/OneDrive Engineering/Documents Engineering/Archive Marketing/Documents Marketing/Campaigns" {
			t.Errorf("got %s", got)
		}
		some, err := w.client.Drives(w.ctx(), "market")
		if err != nil || len(some) != 2 || some[0].Site != "Marketing" {
			t.Errorf("got %+v, %v", some, err)
		}
		w.Inject(graphtest.Fault{Op: graphtest.OpDrives, Status: 403})
		some, err = w.client.Drives(w.ctx(), "")
		if err != nil || len(some) != 3 {
			t.Errorf("with a site one may not look into: %+v, %v", some, err)
		}
	})
}

// What a shortcut in the own drive leads into can be mounted too, if it can be opened.
func TestDrivesThatShortcutsLeadInto(t *testing.T) {
	for _, personal := range []bool{false, true} {
		in(t, graphtest.Options{Personal: personal}, nil, func(w *world) {
			carol := w.AddUser("carol@contoso.example", "Carol", graphtest.Business).Drive()
			dan := w.AddUser("dan@contoso.example", "Dan", graphtest.Business).Drive()
			for _, d := range []*graphtest.Drive{carol, dan, w.Drive("sites/Engineering#Documents")} {
				w.must(d.Put("/shared/x", nil))
				w.must(w.far.MakeShortcut("/to "+d.ID(), d, "/shared"))
			}
			w.must(w.far.MakeShortcut("/again", carol, "/shared"))
			w.Inject(graphtest.Fault{Drive: dan.ID(), Status: 403, Times: -1})
			all, err := w.client.Drives(w.ctx(), "")
			if err != nil || titles(all) != "/OneDrive Engineering/Documents Engineering/Archive /OneDrive" || all[3].Owner != "Carol" {
				t.Errorf("drives %s, %v", titles(all), err)
			}
			all, err = w.client.Drives(w.ctx(), "Engineering")
			if err != nil || titles(all) != "Engineering/Documents Engineering/Archive" {
				t.Errorf("of a site: %s, %v", titles(all), err)
			}
		})
	}
}
