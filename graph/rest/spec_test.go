package rest_test

import (
	"errors"
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
	for _, text := range []string{"", "Me", "me:", "me:x", "sharepoint:x", "user:", "user", "user:a b", "user:a/b", "drive:", "group:", "group:a\\b",
		"site:", "site:#x", "site:h:sites/x", "site:h:/x#", "site:h/x:/y", "site:h:/a:/b", "site:h:/a//b", ":x", "anna@contoso.com", "drive", " me", "me\n",
		"https://contoso.sharepoint.com/sites/x"} {
		_, err := rest.ParseSpec(text)
		var wrong *rest.SpecError
		if !errors.As(err, &wrong) || wrong.Text != text || wrong.Reason == "" {
			t.Errorf("ParseSpec(%q): %v", text, err)
		}
	}
}

func FuzzParseSpec(f *testing.F) {
	for _, s := range []string{"me", "site:h:/p#l", "user:x", "site:h#l#m", "drive:a:b"} {
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
