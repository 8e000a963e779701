package graphtest_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/graph/graphtest"
)

const unit = 320 << 10

type object = map[string]any

func (c *client) session(path, behaviour string) string {
	c.t.Helper()
	item := object{"fileSystemInfo": object{"lastModifiedDateTime": "2021-01-02T03:04:05Z"}}
	if behaviour != "" {
		item["@microsoft.graph.conflictBehavior"] = behaviour
	}
	a := c.want(200, "POST", "/me/drive/root:"+path+":/createUploadSession", object{"item": item})
	if !strings.HasPrefix(a.at("uploadUrl"), c.s.StorageURL()) {
		c.t.Fatalf("upload address: %s", a.raw)
	}
	return a.at("uploadUrl")
}

func (c *client) fragment(status int, url string, data []byte, from, total int) answer {
	c.t.Helper()
	return c.want(status, "PUT", url, data, fmt.Sprintf("Content-Range: bytes %d-%d/%d", from, from+len(data)-1, total))
}

func TestAnUploadSessionTakesAFile(t *testing.T) {
	for name, o := range map[string]graphtest.Options{"memory": {}, "disk": {Dir: t.TempDir()}} {
		t.Run(name, func(t *testing.T) {
			c := start(t, o)
			data := bytes.Repeat([]byte("0123456789abcdef"), 2*unit/16+100)
			u := c.session("/big.bin", "fail")
			a := c.fragment(202, u, data[:unit], 0, len(data))
			equal(t, "next", a.at("nextExpectedRanges"), fmt.Sprintf("[%d-%d]", unit, len(data)-1))
			equal(t, "status", c.want(200, "GET", u, nil).at("nextExpectedRanges"), a.at("nextExpectedRanges"))
			equal(t, "again", c.fragment(416, u, data[:unit], 0, len(data)).at("error/innerError/code"), "fragmentOverlap")
			c.fragment(202, u, data[unit:2*unit], unit, len(data))
			a = c.fragment(201, u, data[2*unit:], 2*unit, len(data))
			equal(t, "mtime", a.at("fileSystemInfo/lastModifiedDateTime"), "2021-01-02T03:04:05Z")
			c.want(404, "GET", u, nil)
			got, err := c.s.Drive("").Read("/big.bin")
			if err != nil || !bytes.Equal(got, data) {
				t.Errorf("read %d bytes, %v", len(got), err)
			}
			a = c.want(200, "POST", "/me/drive/items/"+a.at("id")+"/createUploadSession", nil)
			b := c.fragment(200, a.at("uploadUrl"), []byte("short"), 0, 5)
			equal(t, "size", b.at("size"), "5")
			equal(t, "one upload is one version", len(c.want(200, "GET", "/me/drive/items/"+b.at("id")+"/versions", nil).list()), 2)
			c.noViolations()
			equal(t, "up", c.s.Counts().BytesUp, int64(len(data)+5))
		})
	}
}

func TestFragmentsAreJudged(t *testing.T) {
	c := start(t, graphtest.Options{})
	data := make([]byte, 2*unit)
	for _, x := range []struct {
		what, violation string
		do              func(u string)
	}{
		{"size", "320 KiB", func(u string) { c.fragment(400, u, data[:1000], 0, len(data)) }},
		{"order", "out of order", func(u string) { c.fragment(416, u, data[:unit], unit, 3*unit) }},
		{"total", "total length", func(u string) {
			c.fragment(202, u, data[:unit], 0, len(data))
			c.fragment(416, u, data[:unit], unit, len(data)+1)
		}},
		{"zero bytes", "Content-Range", func(u string) { c.want(400, "PUT", u, nil, "Content-Range: bytes 0-0/0") }},
		{"no range", "Content-Range", func(u string) { c.want(400, "PUT", u, data) }},
		{"length", "Content-Length", func(u string) { c.want(400, "PUT", u, data, "Content-Range: bytes 0-99/100") }},
		{"authorization", "Authorization", func(u string) { c.want(401, "PUT", u, data, "Authorization: Bearer "+c.token) }},
		{"authorization for status", "Authorization", func(u string) { c.want(200, "GET", u, nil, "Authorization: Bearer "+c.token) }},
		{"agent", "User-Agent", func(u string) { c.want(200, "GET", u, nil, "User-Agent: curl/8") }},
	} {
		c.s.ClearViolations()
		u := c.session("/f.bin", "")
		x.do(u)
		if v := strings.Join(c.s.Violations(), "; "); !strings.Contains(v, x.violation) {
			t.Errorf("%s: violations %q", x.what, v)
		}
		c.want(204, "DELETE", u, nil)
		c.want(404, "PUT", u, data, "Content-Range: bytes 0-9/10")
	}
	equal(t, "open sessions", c.s.OpenSessions(), 0)
}

func TestSessionsMeetConflicts(t *testing.T) {
	c := start(t, graphtest.Options{})
	f := c.put("/a.txt", "first")
	c.want(409, "POST", "/me/drive/root:/A.TXT:/createUploadSession", object{"item": object{"@microsoft.graph.conflictBehavior": "fail"}})
	c.want(412, "POST", "/me/drive/items/"+f.ID+"/createUploadSession", nil, `If-Match: "{X},9"`)
	c.want(400, "POST", "/me/drive/root:/b.txt:/createUploadSession", object{"item": object{"name": "other.txt"}})
	c.want(404, "POST", "/me/drive/root:/none/b.txt:/createUploadSession", nil)
	u := c.session("/new.txt", "fail")
	a := c.want(409, "POST", "/me/drive/root:/NEW.txt:/createUploadSession", nil)
	if !strings.Contains(a.at("error/message"), "session already exists") {
		t.Errorf("second session: %s", a.raw)
	}
	c.put("/new.txt", "somebody was faster")
	equal(t, "conflict at the end", c.fragment(409, u, []byte("mine"), 0, 4).at("error/code"), "nameAlreadyExists")
	c.want(204, "DELETE", u, nil)
	u = c.session("/new.txt", "rename")
	equal(t, "rename", c.fragment(201, u, []byte("mine"), 0, 4).at("name"), "new 1.txt")
	u = c.session("/new.txt", "")
	equal(t, "replace", c.fragment(200, u, []byte("mine"), 0, 4).at("name"), "new.txt")

	a = c.want(200, "POST", "/me/drive/root:/deferred.txt:/createUploadSession", object{"deferCommit": true})
	c.fragment(202, a.at("uploadUrl"), []byte("mine"), 0, 4)
	c.want(404, "GET", "/me/drive/root:/deferred.txt", nil)
	c.want(201, "POST", a.at("uploadUrl"), nil)
	c.noViolations()
}

func TestSessionsExpire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := start(t, graphtest.Options{TokenLife: 100 * time.Hour})
		u := c.session("/a.bin", "")
		time.Sleep(14 * time.Minute)
		c.fragment(202, u, make([]byte, unit), 0, 2*unit)
		time.Sleep(14 * time.Minute)
		c.want(200, "GET", u, nil)
		c.noViolations()
		time.Sleep(2 * time.Minute)
		c.want(404, "GET", u, nil)
		if v := c.s.Violations(); len(v) != 1 || !strings.Contains(v[0], "neither finished nor cancelled") {
			t.Errorf("violations: %q", v)
		}
	})
}

func TestASessionWithIfMatchCanBeDoomed(t *testing.T) {
	c := start(t, graphtest.Options{StrictSessionMatch: true})
	f := c.put("/a.txt", "first")
	a := c.want(200, "POST", "/me/drive/items/"+f.ID+"/createUploadSession", nil, "If-Match: "+f.ETag)
	c.fragment(412, a.at("uploadUrl"), []byte("mine"), 0, 4)
	c.want(204, "DELETE", a.at("uploadUrl"), nil)
}

func TestLockedFilesAnswer423(t *testing.T) {
	c := start(t, graphtest.Options{})
	f := c.put("/a.docx", "x")
	for form, code := range []string{"resourceLocked", "accessDenied", "notAllowed"} {
		if err := c.s.Drive("").Lock("/a.docx", form); err != nil {
			t.Fatal(err)
		}
		equal(t, "put", c.want(423, "PUT", "/me/drive/items/"+f.ID+"/content", "y").at("error/code"), code)
		c.want(423, "DELETE", "/me/drive/items/"+f.ID, nil)
		c.want(423, "PATCH", "/me/drive/items/"+f.ID, object{"name": "b.docx"})
		c.want(423, "POST", "/me/drive/items/"+f.ID+"/createUploadSession", nil)
	}
	if err := c.s.Drive("").Lock("/a.docx", -1); err != nil {
		t.Fatal(err)
	}
	c.want(200, "PUT", "/me/drive/items/"+f.ID+"/content", "y")
}

func TestASessionIsCancelledWhileAFragmentIsUnderWay(t *testing.T) {
	c := start(t, graphtest.Options{})
	u := c.session("/a.bin", "fail")
	r, w := io.Pipe()
	done := make(chan error)
	go func() {
		req, err := http.NewRequestWithContext(t.Context(), "PUT", u, r)
		if err != nil {
			done <- err
			return
		}
		req.ContentLength = unit
		req.Header.Set("User-Agent", agent)
		req.Header.Set("Content-Range", fmt.Sprintf("bytes 0-%d/%d", unit-1, 2*unit))
		res, err := c.hc.Do(req)
		if err == nil {
			res.Body.Close()
			if res.StatusCode != 404 {
				err = fmt.Errorf("the fragment of a cancelled session answers %d", res.StatusCode)
			}
		}
		done <- err
	}()
	if _, err := w.Write(make([]byte, unit/2)); err != nil {
		t.Fatal(err)
	}
	equal(t, "nothing stored", c.want(200, "GET", u, nil).at("nextExpectedRanges"), "[0-]")
	c.fragment(503, u, make([]byte, unit), 0, 2*unit)
	c.want(204, "DELETE", u, nil)
	u2 := c.session("/a.bin", "fail")
	if _, err := w.Write(make([]byte, unit-unit/2)); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	c.want(204, "DELETE", u2, nil)
	c.noViolations()
}

func TestABrokenFragmentStoresNothing(t *testing.T) {
	for name, o := range map[string]graphtest.Options{"memory": {}, "disk": {Dir: t.TempDir()}} {
		t.Run(name, func(t *testing.T) {
			c := start(t, o)
			data := bytes.Repeat([]byte("0123456789"), unit/5)
			u := c.session("/a.bin", "fail")
			c.fragment(202, u, data[:unit], 0, len(data))
			req, err := http.NewRequestWithContext(t.Context(), "PUT", u, bytes.NewReader(bytes.Repeat([]byte("x"), 1000)))
			if err != nil {
				t.Fatal(err)
			}
			req.ContentLength = unit
			req.Header.Set("User-Agent", agent)
			req.Header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", unit, 2*unit-1, len(data)))
			if res, err := c.s.Transport().RoundTrip(req); err == nil {
				res.Body.Close()
				equal(t, "status", res.StatusCode, 400)
			}
			equal(t, "next", c.want(200, "GET", u, nil).at("nextExpectedRanges"), fmt.Sprintf("[%d-%d]", unit, len(data)-1))
			a := c.fragment(201, u, data[unit:], unit, len(data))
			whole, err := c.s.Drive("").Put("/same.bin", data)
			if err != nil {
				t.Fatal(err)
			}
			equal(t, "hash", a.at("file/hashes/quickXorHash"), whole.Hash)
		})
	}
}
