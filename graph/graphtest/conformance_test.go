package graphtest_test

import (
	"bytes"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/graph/graphtest"
)

// TestConformance goes through the list of what separates a real emulator from a toy (graph-facts,
// appendix C), point by point. What a point needs in depth has tests of its own elsewhere.
func TestConformance(t *testing.T) {
	for _, p := range []struct {
		name string
		o    graphtest.Options
		show func(c *client)
	}{
		{"1 TLS, discovery, devicecode, form_post, both device grants, scope, 7000215, expires_in", graphtest.Options{}, conformSignIn},
		{"2 content leads to another host that refuses Authorization, honours Range, and expires", graphtest.Options{}, conformContent},
		{"3 upload sessions", graphtest.Options{}, conformSessions},
		{"4 ids and tags of a business drive", graphtest.Options{}, conformTags},
		{"4 ids and tags of a personal drive", graphtest.Options{Personal: true}, conformPersonalTags},
		{"5 delta", graphtest.Options{EmptyFirstPage: true, Quirks: graphtest.Quirks{DuplicateFeed: true}}, conformFeed},
		{"6 conflicts, recursive delete, names, 400 characters", graphtest.Options{}, conformNames},
		{"7 throttling, locks, quota, broken answers", graphtest.Options{UnitsPerMinute: 50}, conformTrouble},
		{"8 Office rewrite", graphtest.Options{}, conformOffice},
		{"9 claims challenge and expired token", graphtest.Options{}, conformTokens},
		{"10 query options and batches", graphtest.Options{}, conformQueries},
	} {
		t.Run(p.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { p.show(start(t, p.o)) })
		})
	}
}

func conformSignIn(c *client) {
	t, root := c.t, c.s.LoginURL()+"/"+c.s.TenantID()
	if res, err := c.hc.Get(strings.Replace(c.s.GraphURL(), "https:", "http:", 1) + "/v1.0/me"); err == nil {
		res.Body.Close()
		t.Error("it speaks without TLS")
	}
	doc := c.want(200, "GET", root+"/v2.0/.well-known/openid-configuration", nil)
	equal(t, "issuer", doc.at("issuer"), root+"/v2.0")
	token := doc.at("token_endpoint")
	equal(t, "token once in it", strings.Count(token, "token"), 1)
	pairs := func(p ...string) string {
		v := url.Values{"client_id": {graphtest.DefaultClientID}}
		for i := 0; i < len(p); i += 2 {
			v.Set(p[i], p[i+1])
		}
		return v.Encode()
	}
	c.s.AutoApprove(true)
	for _, grant := range []string{"device_code", "urn:ietf:params:oauth:grant-type:device_code"} {
		code := c.want(200, "POST", strings.Replace(token, "token", "devicecode", 1), pairs("scope", "Files.ReadWrite.All offline_access"), form)
		a := c.want(200, "POST", token, pairs("grant_type", grant, "device_code", code.at("device_code")), form)
		equal(t, "scope", a.at("scope"), "Files.ReadWrite.All offline_access")
		if a.obj["expires_in"].(float64) <= 300 {
			t.Errorf("expires_in %v", a.obj["expires_in"])
		}
	}
	bad := c.want(401, "POST", token, pairs("grant_type", "client_credentials", "client_secret", "x", "scope", ".default"), form)
	equal(t, "error", bad.at("error")+" "+bad.at("error_codes"), "invalid_client [7000215]")
	page := c.want(200, "GET", doc.at("authorization_endpoint")+"?"+pairs("response_type", "code", "response_mode", "form_post", "redirect_uri", "http://localhost:1", "state", "s"), nil)
	if !bytes.Contains(page.raw, []byte(`method="post" action="http://localhost:1"`)) || !bytes.Contains(page.raw, []byte(`name="code"`)) {
		t.Errorf("the reply is no form: %s", page.raw)
	}
	equal(t, "metadata", c.want(400, "GET", c.s.LoginURL()+"/common/discovery/instance?authorization_endpoint=https://nobody.example/x", nil).at("error"), "invalid_instance")
}

func conformContent(c *client) {
	f := c.put("/f.txt", "0123456789")
	at := c.want(302, "GET", "/me/drive/items/"+f.ID+"/content", nil).header.Get("Location")
	if u, err := url.Parse(at); err != nil || "https://"+u.Host == c.s.GraphURL() || !strings.HasPrefix(at, c.s.StorageURL()) {
		c.t.Errorf("the bytes are at %s", at)
	}
	c.want(401, "GET", at, nil, "Authorization: Bearer "+c.token)
	equal(c.t, "noted", len(c.s.Violations()), 1)
	a := c.want(206, "GET", at, nil, "Range: bytes=2-4")
	equal(c.t, "range", string(a.raw)+" "+a.header.Get("Content-Range"), "234 bytes 2-4/10")
	c.want(416, "GET", at, nil, "Range: bytes=10-")
	e := c.put("/empty", "")
	at0 := c.want(302, "GET", "/me/drive/items/"+e.ID+"/content", nil).header.Get("Location")
	equal(c.t, "empty", len(c.want(200, "GET", at0, nil).raw), 0)
	c.want(416, "GET", at0, nil, "Range: bytes=0-0")
	time.Sleep(time.Hour)
	c.want(401, "GET", at, nil)
}

func conformSessions(c *client) {
	c.put("/taken", "x")
	u := c.session("/a", "fail")
	data := make([]byte, 3*unit+1)
	c.fragment(400, u, data[:1000], 0, len(data))
	a := c.fragment(202, u, data[:unit], 0, len(data))
	equal(c.t, "expected", a.at("nextExpectedRanges"), fmt.Sprintf("[%d-%d]", unit, len(data)-1))
	a = c.fragment(416, u, data[2*unit:3*unit], 2*unit, len(data))
	equal(c.t, "order", a.at("error/code")+" "+a.at("error/innerError/code"), "invalidRange fragmentOutOfOrder")
	equal(c.t, "overlap", c.fragment(416, u, data[:unit], 0, len(data)).at("error/innerError/code"), "fragmentOverlap")
	equal(c.t, "length", c.fragment(416, u, data[unit:2*unit], unit, len(data)+1).at("error/innerError/code"), "fragmentLengthMismatch")
	c.want(401, "PUT", u, data[unit:2*unit], fmt.Sprintf("Content-Range: bytes %d-%d/%d", unit, 2*unit-1, len(data)), "Authorization: Bearer "+c.token)
	c.fragment(201, u, data[unit:], unit, len(data))
	c.fragment(404, u, data[unit:], unit, len(data)) // committed
	u = c.session("/b", "fail")
	c.want(400, "PUT", u, []byte{}, "Content-Range: bytes 0-0/0")
	c.want(204, "DELETE", u, nil)
	c.want(404, "GET", u, nil)
	u = c.session("/late", "fail")
	c.put("/late", "y")
	equal(c.t, "conflict", c.fragment(409, u, []byte("z"), 0, 1).at("error/code"), "nameAlreadyExists")
	c.want(204, "DELETE", u, nil)
	u = c.session("/d", "fail")
	time.Sleep(16 * time.Minute)
	c.fragment(404, u, []byte("z"), 0, 1)
	u = c.session("/e", "fail")
	for n := range 24*5 - 1 { // each fragment extends the session, none its credential
		time.Sleep(12 * time.Minute)
		c.fragment(202, u, data[:unit], n*unit, 200*unit)
	}
	time.Sleep(12 * time.Minute)
	equal(c.t, "credential", c.want(401, "GET", u, nil).at("error/innerError/code"), "expiredToken")
}

func conformTags(c *client) {
	f := c.put("/d/f.txt", "one")
	tags := func() (string, string) {
		a := c.want(200, "GET", "/me/drive/items/"+f.ID, nil)
		return a.at("eTag"), a.at("cTag")
	}
	e1, c1 := tags()
	if !strings.HasPrefix(e1, `"{`) || !strings.HasSuffix(e1, `},1"`) || !strings.HasPrefix(c1, `"c:{`) {
		c.t.Errorf("tags %s %s", e1, c1)
	}
	a := c.want(200, "PATCH", "/me/drive/items/"+f.ID, object{"name": "g.txt", "fileSystemInfo": object{"lastModifiedDateTime": "2020-02-03T04:05:06.789Z"}})
	equal(c.t, "same item", a.at("id"), f.ID)
	equal(c.t, "whole seconds", a.at("fileSystemInfo/lastModifiedDateTime"), "2020-02-03T04:05:06Z")
	e2, c2 := tags()
	equal(c.t, "metadata moves the eTag alone", fmt.Sprint(e2 != e1, c2 == c1), "true true")
	c.want(200, "PUT", "/me/drive/items/"+f.ID+"/content", "two")
	e3, c3 := tags()
	equal(c.t, "content moves both", fmt.Sprint(e3 != e2, c3 != c2), "true true")
	folder := c.want(200, "GET", "/me/drive/root:/d", nil)
	equal(c.t, "cTag of a folder", folder.at("cTag"), "")
	for _, x := range c.want(200, "GET", "/me/drive/root/delta", nil).list() {
		if x["cTag"] != nil {
			c.t.Errorf("a cTag in the feed: %v", x)
		}
	}
	root := c.want(200, "GET", "/me/drive/root", nil)
	equal(c.t, "root", root.at("name")+root.at("parentReference/id")+root.at("parentReference/driveType"), "rootbusiness")
}

func conformPersonalTags(c *client) {
	f := c.put("/d/f.txt", "one")
	if want := c.s.Drive("").ID() + "!"; !strings.HasPrefix(f.ID, want) {
		c.t.Errorf("id %s", f.ID)
	}
	before := c.want(200, "GET", "/me/drive/root:/d", nil)
	a := c.want(200, "PATCH", "/me/drive/items/"+f.ID, object{"fileSystemInfo": object{"lastModifiedDateTime": "2020-02-03T04:05:06.789Z"}})
	equal(c.t, "milliseconds", a.at("fileSystemInfo/lastModifiedDateTime"), "2020-02-03T04:05:06.789Z")
	if strings.Contains(a.at("eTag"), `"`) {
		c.t.Errorf("the eTag is quoted: %s", a.at("eTag"))
	}
	if after := c.want(200, "GET", "/me/drive/root:/d", nil); after.at("cTag") == "" || after.at("cTag") == before.at("cTag") {
		c.t.Error("the cTag of the folder did not move with what is in it")
	}
}

func conformFeed(c *client) {
	d := c.s.Drive("")
	c.put("/a/b/f.txt", "x")
	first := c.want(200, "GET", "/me/drive/root/delta", nil)
	equal(c.t, "empty page with a nextLink", fmt.Sprint(len(first.list()), first.at("@odata.nextLink") != "", first.at("@odata.deltaLink")), "0 true")
	page := c.want(200, "GET", first.at("@odata.nextLink"), nil)
	equal(c.t, "duplicates", page.names(), "root,a,b,before f.txt,f.txt")
	link := page.at("@odata.deltaLink")
	stamp := time.Now().UTC().Add(time.Second).Format(time.RFC3339)
	time.Sleep(time.Minute)
	c.put("/a/b/g.txt", "x")
	equal(c.t, "ancestors", c.want(200, "GET", link, nil).names(), "root,a,b,before g.txt,g.txt")
	equal(c.t, "without ancestors", c.want(200, "GET", link, nil, "Prefer: deltaExcludeParent").names(), "root,before g.txt,g.txt")
	equal(c.t, "from a time", c.want(200, "GET", "/me/drive/root/delta?token="+url.QueryEscape(stamp), nil).names(), "root,a,b,before g.txt,g.txt")
	latest := c.want(200, "GET", "/me/drive/root/delta(token='latest')", nil)
	equal(c.t, "latest", fmt.Sprint(len(latest.list()), latest.at("@odata.deltaLink") != ""), "0 true")
	if err := d.Delete("/a/b/f.txt"); err != nil {
		c.t.Fatal(err)
	}
	for _, x := range c.want(200, "GET", latest.at("@odata.deltaLink"), nil).list() {
		if x["deleted"] != nil && x["name"] != nil {
			c.t.Errorf("a tombstone with a name: %v", x)
		}
	}
	c.s.SetShuffleFeed(true)
	if mixed := c.want(200, "GET", link, nil); strings.HasPrefix(mixed.names(), "root,a,b,") && strings.HasPrefix(c.want(200, "GET", "/me/drive/root/delta?token=2000-01-01T00:00:00Z", nil).names(), "root,a,b,") {
		c.t.Error("the order is not mixed")
	}
	for _, inner := range []string{"", "resyncChangesApplyDifferences"} {
		latest = c.want(200, "GET", "/me/drive/root/delta?token=latest", nil)
		d.ForgetFeed(inner)
		gone := c.want(410, "GET", latest.at("@odata.deltaLink"), nil)
		equal(c.t, "410", gone.at("error/code")+" "+gone.at("error/innerError/code"), "resyncRequired "+inner)
		c.want(200, "GET", gone.header.Get("Location"), nil)
	}
	c.want(400, "GET", "/me/drive/root/delta?token=nonsense", nil)
	c.s.SetQuirks(graphtest.Quirks{})
	if err := d.Grant("/a/b/g.txt", graphtest.Grant{User: "bob@contoso.example"}); err != nil {
		c.t.Fatal(err)
	}
	shared := func(prefer string) int {
		n := 0
		next := "/me/drive/root/delta"
		for next != "" {
			a := c.want(200, "GET", next, nil, "Prefer: "+prefer)
			for _, x := range a.list() {
				if x["@microsoft.graph.sharedChanged"] == "True" {
					n++
				}
			}
			next = a.at("@odata.nextLink")
		}
		return n
	}
	equal(c.t, "sharing told unasked", shared("deltashowsharingchanges"), 0)
	equal(c.t, "sharing told", shared("hierarchicalsharing, deltashowremovedasdeleted, deltatraversepermissiongaps, deltashowsharingchanges"), 1)
}

func conformNames(c *client) {
	c.want(201, "PUT", "/me/drive/root:/d/Name.txt:/content", "x")
	for _, name := range []string{"Name.txt", "NAME.TXT"} {
		equal(c.t, name, c.want(409, "PUT", "/me/drive/root:/d/"+name+":/content?@microsoft.graph.conflictBehavior=fail", "y").at("error/code"), "nameAlreadyExists")
	}
	c.put("/d/caf\u00e9", "x")
	c.want(409, "POST", "/me/drive/root:/d:/children", object{"name": "cafe\u0301", "folder": object{}})
	for _, name := range []string{"a*b", "a:b", "con", "x_vti_y", "~$x.docx", " x", "x ", "x."} {
		equal(c.t, name, c.want(400, "POST", "/me/drive/root/children", object{"name": name, "folder": object{}}).at("error/code"), "invalidRequest")
	}
	parent := c.want(200, "GET", "/me/drive/root:/d", nil).at("id")
	var long answer
	for range 5 { // 100 characters each, and the place of the library itself
		if long = c.do("POST", "/me/drive/items/"+parent+"/children", object{"name": strings.Repeat("n", 99), "folder": object{}}); long.status != 201 {
			break
		}
		parent = long.at("id")
	}
	equal(c.t, "400 characters", fmt.Sprint(long.status, long.at("error/innerError/code")), "400pathIsTooLong")
	id := c.want(200, "GET", "/me/drive/root:/d", nil).at("id")
	c.want(204, "DELETE", "/me/drive/items/"+id, nil)
	c.want(404, "GET", "/me/drive/items/"+parent, nil)
	c.want(404, "DELETE", "/me/drive/items/"+id, nil)
}

func conformTrouble(c *client) {
	f := c.put("/f", "x")
	var headers []string
	for n := 0; ; n++ {
		a := c.do("GET", "/me/drive/items/"+f.ID, nil)
		if h := a.header.Get("RateLimit-Remaining"); h != "" {
			headers = append(headers, h)
		}
		if a.status == 429 {
			equal(c.t, "when", n, 50)
			equal(c.t, "wait", a.header.Get("Retry-After"), a.header.Get("RateLimit-Reset"))
			break
		}
	}
	equal(c.t, "warned from 80 % on", headers[0]+" "+headers[len(headers)-1], "10 0")
	time.Sleep(time.Minute)
	d := c.s.Drive("")
	for form, want := range []string{"resourceLocked ", "accessDenied ", "notAllowed resourceLocked"} {
		if err := d.Lock("/f", form); err != nil {
			c.t.Fatal(err)
		}
		a := c.want(423, "PATCH", "/me/drive/items/"+f.ID, object{"name": "g"})
		equal(c.t, "lock", a.at("error/code")+" "+a.at("error/innerError/code"), want)
	}
	if err := d.Lock("/f", -1); err != nil {
		c.t.Fatal(err)
	}
	d.SetQuota(10)
	equal(c.t, "quota", c.want(507, "PUT", "/me/drive/root:/big:/content", "01234567890").at("error/code"), "quotaLimitReached")
	for _, status := range []int{500, 502, 503, 504, 509} {
		c.s.Inject(graphtest.Fault{Op: graphtest.OpItem, Status: status})
		c.want(status, "GET", "/me/drive/items/"+f.ID, nil)
	}
	at := c.want(302, "GET", "/me/drive/items/"+f.ID+"/content", nil).header.Get("Location")
	c.s.Inject(graphtest.Fault{Op: graphtest.OpDownload, Drop: graphtest.DropBody}, graphtest.Fault{Op: graphtest.OpDownload, Status: 503, Body: "<html>", Type: "text/html"})
	if _, err := c.try("GET", at, nil); err == nil {
		c.t.Error("the body came whole")
	}
	equal(c.t, "kind", c.want(503, "GET", at, nil).header.Get("Content-Type"), "text/html")
	c.noViolations()
}

func conformOffice(c *client) {
	c.s.SetOfficeRewrite(3 * time.Second)
	a := c.want(201, "PUT", "/me/drive/root:/a.docx:/content", "words")
	other := c.want(201, "PUT", "/me/drive/root:/a.txt:/content", "words")
	now := c.want(200, "GET", "/me/drive/items/"+a.at("id"), nil)
	equal(c.t, "at first", now.at("size")+now.at("eTag"), a.at("size")+a.at("eTag"))
	time.Sleep(3 * time.Second)
	now = c.want(200, "GET", "/me/drive/items/"+a.at("id"), nil)
	for _, k := range []string{"size", "eTag", "cTag", "file/hashes/quickXorHash"} {
		if now.at(k) == a.at(k) {
			c.t.Errorf("%s is as before", k)
		}
	}
	equal(c.t, "others stay", c.want(200, "GET", "/me/drive/items/"+other.at("id"), nil).at("eTag"), other.at("eTag"))
}

func conformTokens(c *client) {
	c.s.Challenge(`{"access_token":{"x":1}}`)
	a := c.want(401, "GET", "/me/drive", nil)
	if h := a.header.Get("WWW-Authenticate"); !strings.Contains(h, `error="insufficient_claims"`) || !strings.Contains(h, `claims="eyJhY2Nlc3NfdG9rZW4iOnsieCI6MX19"`) {
		c.t.Errorf("challenge %s", h)
	}
	c.token = c.s.AccessToken(c.s.Me().ID)
	c.want(200, "GET", "/me/drive", nil)
	time.Sleep(time.Hour)
	a = c.want(401, "GET", "/me/drive", nil)
	equal(c.t, "code", a.at("error/code"), "InvalidAuthenticationToken")
	if !strings.Contains(a.header.Get("WWW-Authenticate"), "authorization_uri=") {
		c.t.Errorf("header %v", a.header)
	}
	c.token = ""
	c.want(401, "GET", "/me/drive", nil)
}

func conformQueries(c *client) {
	for n := range 5 {
		c.put(fmt.Sprintf("/f%d", n), "x")
	}
	a := c.want(200, "GET", "/me/drive/root/children?$select=name&$top=2", nil)
	equal(c.t, "page", a.names()+fmt.Sprint(len(a.list()[0])), "f0,f11")
	next := a.at("@odata.nextLink")
	if !strings.Contains(next, "$skiptoken=") {
		c.t.Errorf("next %s", next)
	}
	equal(c.t, "next page", c.want(200, "GET", next, nil).names(), "f2,f3")
	equal(c.t, "select without $", fmt.Sprint(len(c.want(200, "GET", "/me/drive/root/children?select=id,name&top=1", nil).list()[0])), "2")
	if kids, _ := c.want(200, "GET", "/me/drive/root?$expand=children", nil).obj["children"].([]any); len(kids) != 5 {
		c.t.Errorf("expanded %v", kids)
	}
	c.s.Inject(graphtest.Fault{Op: graphtest.OpUser, Status: 429, RetryAfter: 3})
	got := c.want(200, "POST", "/$batch", object{"requests": []object{
		{"id": "1", "method": "GET", "url": "/me"},
		{"id": "2", "method": "GET", "url": "/me/drive", "dependsOn": []string{"1"}},
		{"id": "3", "method": "GET", "url": "me/drive"},
	}})
	var inner []string
	for _, x := range got.obj["responses"].([]any) {
		inner = append(inner, fmt.Sprint(x.(map[string]any)["status"]))
	}
	equal(c.t, "inner", strings.Join(inner, ","), "429,424,200")
	var many []object
	for n := range 21 {
		many = append(many, object{"id": fmt.Sprint(n), "method": "GET", "url": "/me"})
	}
	c.want(400, "POST", "/$batch", object{"requests": many})
}
