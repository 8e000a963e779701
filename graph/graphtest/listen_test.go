package graphtest_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/graph/graphtest"
)

// listen serves on loopback and returns a client that trusts nothing but the service's own CA.
func listen(t *testing.T, s *graphtest.Server) *client {
	t.Helper()
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.CAPool()}}
	t.Cleanup(tr.CloseIdleConnections)
	return &client{t: t, s: s, hc: noRedirect(tr), token: s.AccessToken(s.Me().ID)}
}

func TestItServesOnLoopbackTLS(t *testing.T) {
	s := graphtest.Start(t, graphtest.Options{Sample: true})
	c := listen(t, s)
	if s.GraphURL() == s.StorageURL() || s.LoginURL() == s.StorageURL() {
		t.Fatal("the storage host is not a host of its own")
	}
	equal(t, "children", len(c.want(200, "GET", "/me/drive/root/children", nil).list()), 9)
	next := c.want(200, "GET", "/me/drive/root/children?$top=2", nil).at("@odata.nextLink")
	if !strings.HasPrefix(next, s.GraphURL()+"/v1.0/") {
		t.Errorf("next page: %s", next)
	}
	c.want(200, "GET", next, nil)
	issuer := c.want(200, "GET", s.LoginURL()+"/"+s.TenantID()+"/v2.0/.well-known/openid-configuration", nil).at("issuer")
	equal(t, "issuer", issuer, s.LoginURL()+"/"+s.TenantID()+"/v2.0")
	pem, err := os.ReadFile(s.CAFile())
	if err != nil || !bytes.Contains(pem, []byte("BEGIN CERTIFICATE")) || bytes.Contains(pem, []byte("PRIVATE")) {
		t.Errorf("CA file: %v", err)
	}
	c.noViolations()
}

func TestBytesGoUpAndDownOverSockets(t *testing.T) {
	s := graphtest.Start(t, graphtest.Options{Dir: t.TempDir()})
	c := listen(t, s)
	data := bytes.Repeat([]byte("0123456789"), 3*unit/10+1)
	u := c.session("/load.bin", "fail")
	c.fragment(202, u, data[:2*unit], 0, len(data))
	c.fragment(201, u, data[2*unit:], 2*unit, len(data))
	f, err := c.s.Drive("").Stat("/load.bin")
	if err != nil {
		t.Fatal(err)
	}
	loc := c.want(302, "GET", "/me/drive/items/"+f.ID+"/content", nil).header.Get("Location")
	if !bytes.Equal(c.want(200, "GET", loc, nil).raw, data) {
		t.Error("other bytes came back")
	}
	c.s.Inject(graphtest.Fault{Op: graphtest.OpDownload, Drop: graphtest.DropBody, Truncate: 100_000},
		graphtest.Fault{Op: graphtest.OpItem, Drop: graphtest.DropBefore})
	if a, err := c.try("GET", loc, nil); err == nil || len(a.raw) > 100_000 {
		t.Errorf("a body that breaks off: %d bytes, %v", len(a.raw), err)
	}
	if _, err := c.try("DELETE", "/me/drive/items/01NONE", nil); err != nil {
		t.Error(err)
	}
	// net/http repeats a GET on a kept connection by itself, so the fault is aimed at a POST.
	c.s.ClearFaults()
	c.s.Inject(graphtest.Fault{Op: graphtest.OpMkdir, Drop: graphtest.DropAfter})
	if _, err := c.try("POST", "/me/drive/root/children", object{"name": "lost", "folder": object{}}); err == nil {
		t.Error("the answer was not lost")
	}
	c.want(200, "GET", "/me/drive/root:/lost", nil)
	c.noViolations()
}

func TestTheTreeSurvivesAStop(t *testing.T) {
	dir := t.TempDir()
	s, err := graphtest.New(graphtest.Options{Dir: dir, Seed: 7})
	if err != nil {
		t.Fatal(err)
	}
	c := listen(t, s)
	c.put("/a/keep.txt", "one")
	c.put("/a/keep.txt", "two")
	c.put("/gone.txt", "x")
	c.put("/half.txt", "half")
	if _, err := s.Drive("").Misname("/half.txt", "half \xed\xa0\xbd.txt"); err != nil {
		t.Fatal(err)
	}
	gen, err := s.Drive("").PutSeeded("/gen.bin", 100_000, 3)
	if err != nil {
		t.Fatal(err)
	}
	dead := c.put("/dead.txt", "never to be seen again")
	c.want(204, "POST", "/me/drive/items/"+dead.ID+"/permanentDelete", nil)
	_, _, link := c.follow("/me/drive/root/delta")
	link = strings.TrimPrefix(link, s.GraphURL())
	if err := s.Drive("").Delete("/gone.txt"); err != nil {
		t.Fatal(err)
	}
	before, err := s.Drive("").Walk()
	if err != nil {
		t.Fatal(err)
	}
	tenant, me := s.TenantID(), s.Me().ID
	ca, err := os.ReadFile(s.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(filepath.Join(dir, "bodies")); err != nil || len(left) != 4 {
		t.Errorf("%d bodies left, %v; want those of two versions, of a file and of what lies in the bin", len(left), err)
	}
	err = filepath.Walk(dir, func(p string, i os.FileInfo, err error) error {
		if err == nil && i.Mode().Perm()&0o077 != 0 && p != dir {
			t.Errorf("%s is %v", p, i.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}

	s = graphtest.Start(t, graphtest.Options{Dir: dir, Seed: 8}) // the seed of the tenant stays 7
	c = listen(t, s)
	after, err := s.Drive("").Walk()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "items", len(after), len(before))
	equal(t, "tenant", s.TenantID(), tenant)
	equal(t, "person", s.Me().ID, me)
	for i := range min(len(after), len(before)) {
		equal(t, after[i].Path, after[i], before[i])
	}
	if again, _ := os.ReadFile(s.CAFile()); !bytes.Equal(again, ca) {
		t.Error("the CA changed")
	}
	state, _, _ := c.follow(s.GraphURL() + link)
	equal(t, "feed: a tombstone and the root", len(state), 2)
	if got, err := s.Drive("").ReadVersion("/a/keep.txt", 0); err != nil || string(got) != "one" {
		t.Errorf("old version: %q, %v", got, err)
	}
	if i, err := s.Drive("").Put("/new.txt", nil); err != nil || i.ID == gen.ID {
		t.Errorf("new item: %v, %v", i, err)
	}
}

func TestScriptsUseTheAdminEndpoint(t *testing.T) {
	s := graphtest.Start(t, graphtest.Options{})
	c := listen(t, s)
	admin := func(status int, method, what string, body any) answer {
		t.Helper()
		return c.want(status, method, s.GraphURL()+"/_emulator/"+what, body)
	}
	admin(200, "PUT", "file?path=/a%20b/c.txt", "hello")
	admin(200, "POST", "mkdir?path=/d", nil)
	admin(200, "POST", "move?from=/a%20b/c.txt&to=/d/e.txt", nil)
	var tree []graphtest.Info
	if err := json.Unmarshal(admin(200, "GET", "tree", nil).raw, &tree); err != nil || len(tree) != 3 || tree[2].Path != "/d/e.txt" ||
		tree[2].SHA256 != "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824" {
		t.Errorf("tree: %+v, %v", tree, err)
	}
	admin(200, "POST", "fault", object{"op": "item", "times": 2, "status": 503, "retry_after": 1, "delay": "1ms"})
	c.want(503, "GET", "/me/drive/root", nil)
	equal(t, "left", admin(200, "DELETE", "fault", nil).at("left"), "1")
	equal(t, "counts", admin(200, "GET", "counts", nil).at("kinds/item"), "1")
	admin(200, "POST", "offline?on=true", nil)
	if _, err := c.try("POST", "/$batch", object{}); err == nil {
		t.Error("the service answers offline")
	}
	admin(200, "POST", "offline?on=false", nil)
	admin(200, "POST", "token-life?for=10s", nil)
	a := c.ask(200, "token", "grant_type", "client_credentials", "client_id", graphtest.DefaultClientID, "client_secret", graphtest.DefaultClientSecret, "scope", ".default")
	equal(t, "life", a.at("expires_in"), "10")
	admin(200, "DELETE", "file?path=/d", nil)
	admin(404, "DELETE", "file?path=/d", nil)
	admin(404, "GET", "tree?drive=none", nil)
	admin(404, "GET", "nonsense", nil)
	admin(400, "POST", "token-life?for=soon", nil)
	admin(200, "POST", "generate?drive=Archive&n=10", nil)
	equal(t, "violations", admin(200, "GET", "violations", nil).at("violations"), "[]")
	var env []string
	if err := json.Unmarshal(admin(200, "GET", "env", nil).raw, &env); err != nil || len(env) != 7 || env[0] != "DUSKFS_GRAPH_URL="+s.GraphURL() {
		t.Errorf("env: %q, %v", env, err)
	}
	req, err := http.NewRequest("GET", s.StorageURL()+"/_emulator/counts", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.hc.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	equal(t, "not at the storage host", res.StatusCode, 404)
}

func TestHugeTreesAreCheap(t *testing.T) {
	c := start(t, graphtest.Options{})
	if err := c.s.Drive("").Generate(2_000, 1); err != nil {
		t.Fatal(err)
	}
	state, pages, _ := c.follow("/me/drive/root/delta?$top=1000")
	equal(t, "items", len(state), 2_002)
	equal(t, "pages", pages, 3)
}

func TestTheSampleIsPlausible(t *testing.T) {
	one, err := start(t, graphtest.Options{Sample: true, Seed: 1}).s.Drive("").Walk()
	if err != nil {
		t.Fatal(err)
	}
	two, err := start(t, graphtest.Options{Sample: true, Seed: 1}).s.Drive("").Walk()
	if err != nil {
		t.Fatal(err)
	}
	var size int64
	for i := range one {
		if one[i].ID != two[i].ID || one[i].SHA256 != two[i].SHA256 {
			t.Errorf("%s differs between two services of one seed", one[i].Path)
		}
		if !one[i].Folder {
			size += one[i].Size
		}
	}
	if len(one) < 40 || size < 5<<20 {
		t.Errorf("%d items, %d bytes", len(one), size)
	}
}

func TestABareTenantStands(t *testing.T) {
	s := graphtest.Start(t, graphtest.Options{Bare: true})
	if s.Me() != nil || s.Drive("") != nil || len(s.Env()) != 7 {
		t.Error("somebody is there")
	}
	u := s.AddUser("carol@contoso.example", "Carol Example", graphtest.Personal)
	if s.Me() != u || u.Drive().Type() != graphtest.Personal {
		t.Error("Carol is not there")
	}
}
