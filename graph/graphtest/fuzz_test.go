package graphtest_test

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"testing"

	"github.com/duskfs/duskfs/graph/graphtest"
)

// target is an emulator with a little in it, shared by the runs of a fuzz target.
func target(f *testing.F) (*graphtest.Server, http.RoundTripper) {
	f.Helper()
	s, err := graphtest.New(graphtest.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() {
		if err := s.Close(); err != nil {
			f.Error(err)
		}
	})
	for _, p := range []string{"/a/b.txt", "/ä ö.docx"} {
		if _, err := s.Drive("").Put(p, []byte("hello")); err != nil {
			f.Fatal(err)
		}
	}
	return s, s.Transport()
}

// ask sends a request that may be nonsense; the answer must be an HTTP answer, and no 5xx.
func ask(t *testing.T, rt http.RoundTripper, token, method, host, path, query string, body []byte, header http.Header) {
	t.Helper()
	if !validPath(path) {
		return
	}
	u, err := url.Parse(host)
	if err != nil {
		t.Fatal(err)
	}
	u.Path, u.RawQuery = path, query
	r := &http.Request{Method: method, URL: u, Host: u.Host, Header: header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body))}
	r = r.WithContext(t.Context())
	r.Header.Set("User-Agent", agent)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := rt.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %q?%q: %v", method, path, query, err)
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatalf("%s %q: body: %v", method, path, err)
	}
	if res.StatusCode < 200 || res.StatusCode == http.StatusInternalServerError {
		t.Fatalf("%s %q?%q answers %d", method, path, query, res.StatusCode)
	}
}

func validPath(p string) bool { return len(p) > 0 && p[0] == '/' && len(p) < 4000 }

func FuzzPaths(f *testing.F) {
	s, rt := target(f)
	token := s.AccessToken(s.Me().ID)
	for _, p := range []string{"/me/drive/root:/a/b.txt:/content", "/me/drive/items/x:/y:/createUploadSession", "/drives//items/:/::", "/sites/h:/p:/drives", "/me/drive/root/delta(token='')",
		"/me/drive/root/search(q='a''b')", "/shares/u!aHR0/driveItem", "/me/drive/items/root/children('a')/content", "/$batch", "/me/drive/root/versions/1.0/restoreVersion",
		"/sites/x/lists/y/drive/root", "/subscriptions/x", "/me/drive/list/subscriptions/socketIo", "/groups/x/sites/root", "/me/drive/root:/a:/permissions/x"} {
		for _, m := range []string{"GET", "POST", "PATCH", "DELETE", "PUT"} {
			f.Add(m, p, "$select=id&$top=2", []byte(`{"name":"x","folder":{}}`))
		}
	}
	f.Fuzz(func(t *testing.T, method, path, query string, body []byte) {
		switch method {
		case "GET", "POST", "PATCH", "DELETE", "PUT", "HEAD":
		default:
			return
		}
		ask(t, rt, token, method, s.GraphURL(), "/v1.0"+path, query, body, http.Header{"Content-Type": {"application/json"}})
		ask(t, rt, "", method, s.LoginURL(), path, query, body, http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
		ask(t, rt, "", method, s.StorageURL(), path, query, body, http.Header{})
	})
}

func FuzzContentRange(f *testing.F) {
	s, rt := target(f)
	c := &fuzzed{f, s, rt}
	for _, r := range []string{"bytes 0-4/10", "bytes 0-9/10", "bytes 9-0/10", "bytes 0-99999999999999999999/1", "bytes */10", "bytes 0-0/0", ""} {
		f.Add(r, []byte("hello"), "bytes=1-")
	}
	f.Add("bytes 0-9/10", []byte("0123456789"), "bytes=-5")
	f.Fuzz(func(t *testing.T, contentRange string, body []byte, ask string) {
		c.upload(t, contentRange, body)
		c.download(t, ask)
	})
}

// fuzzed makes addresses at the storage host to aim at.
type fuzzed struct {
	f  *testing.F
	s  *graphtest.Server
	rt http.RoundTripper
}

func (c *fuzzed) client(t *testing.T) *client {
	return &client{t: t, s: c.s, hc: noRedirect(c.rt), token: c.s.AccessToken(c.s.Me().ID)}
}

func (c *fuzzed) upload(t *testing.T, contentRange string, body []byte) {
	x := c.client(t)
	u, err := url.Parse(x.want(200, "POST", "/me/drive/root:/fuzz:/createUploadSession", object{}).at("uploadUrl"))
	if err != nil {
		t.Fatal(err)
	}
	defer x.do("DELETE", u.String(), nil)
	ask(t, c.rt, "", "PUT", c.s.StorageURL(), u.Path, u.RawQuery, body, http.Header{"Content-Range": {contentRange}})
}

func (c *fuzzed) download(t *testing.T, spec string) {
	u, err := url.Parse(c.client(t).want(302, "GET", "/me/drive/root:/a/b.txt:/content", nil).header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	ask(t, c.rt, "", "GET", c.s.StorageURL(), u.Path, u.RawQuery, nil, http.Header{"Range": {spec}})
}

func FuzzFeedTokens(f *testing.F) {
	s, rt := target(f)
	token := s.AccessToken(s.Me().ID)
	for _, k := range []string{"", "latest", "2021-09-29T20:00:00Z", "eyJlIjoxLCJmIjowLCJ0IjoxfQ", "eyJlIjoxLCJmIjotOSwicyI6LTEsInQiOi0xfQ", "eyJlIjoxLCJmIjo5MjIzMzcyMDM2ODU0Nzc1ODA3LCJ0Ijo5OTk5OTk5OTl9"} {
		f.Add(k)
	}
	f.Fuzz(func(t *testing.T, k string) {
		ask(t, rt, token, "GET", s.GraphURL(), "/v1.0/me/drive/root/delta", "token="+url.QueryEscape(k), nil, http.Header{})
		ask(t, rt, token, "GET", s.GraphURL(), "/v1.0/me/drive/root/children", "$skiptoken="+url.QueryEscape(k), nil, http.Header{})
	})
}

func FuzzAssertions(f *testing.F) {
	s, rt := target(f)
	f.Add("eyJhbGciOiJQUzI1NiJ9.eyJhdWQiOlsieCIsMV0sImV4cCI6OTk5OTk5OTk5OX0.AAAA", `{"access_token":{"xms_cc":{"values":["CP1"]}}}`)
	f.Add("a.b.c", "{}")
	f.Fuzz(func(t *testing.T, assertion, claims string) {
		form := url.Values{"client_id": {graphtest.DefaultClientID}, "grant_type": {"client_credentials"}, "client_assertion": {assertion}, "claims": {claims},
			"client_assertion_type": {byAssertion}}.Encode()
		ask(t, rt, "", "POST", s.LoginURL(), "/"+s.TenantID()+"/oauth2/v2.0/token", "", []byte(form), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}})
	})
}
