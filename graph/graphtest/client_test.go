package graphtest_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/graph/graphtest"
)

const agent = "NONISV|Example|Test/1.0"

// client is a plain HTTP client of the emulator.
type client struct {
	t     *testing.T
	s     *graphtest.Server
	hc    *http.Client
	token string
}

// answer is what came back.
type answer struct {
	status int
	header http.Header
	raw    []byte
	obj    map[string]any
}

func start(t *testing.T, o graphtest.Options) *client {
	t.Helper()
	s := graphtest.Start(t, o)
	return &client{t: t, s: s, hc: noRedirect(s.Transport()), token: s.AccessToken(s.Me().ID)}
}

func noRedirect(rt http.RoundTripper) *http.Client {
	return &http.Client{Transport: rt, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// try sends a request. url is absolute or below /v1.0. body is nil, a string, bytes, or a value for
// JSON. header holds "Name: value" lines.
func (c *client) try(method, url string, body any, header ...string) (answer, error) {
	c.t.Helper()
	graph := !strings.HasPrefix(url, "https://")
	if graph {
		url = c.s.GraphURL() + "/v1.0" + url
	}
	graph = strings.HasPrefix(url, c.s.GraphURL())
	var r io.Reader
	kind := ""
	switch b := body.(type) {
	case nil:
	case string:
		r, kind = strings.NewReader(b), "text/plain"
	case []byte:
		r, kind = bytes.NewReader(b), "application/octet-stream"
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			c.t.Fatal(err)
		}
		r, kind = bytes.NewReader(raw), "application/json"
	}
	req, err := http.NewRequestWithContext(c.t.Context(), method, url, r)
	if err != nil {
		c.t.Fatal(err)
	}
	req.Header.Set("User-Agent", agent)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	if graph {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	for _, h := range header {
		k, v, _ := strings.Cut(h, ": ")
		req.Header.Set(k, v)
	}
	res, err := c.hc.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header}
	if a.raw, err = io.ReadAll(res.Body); err != nil {
		return a, err
	}
	_ = json.Unmarshal(a.raw, &a.obj) // not every body is JSON
	return a, nil
}

func (c *client) do(method, url string, body any, header ...string) answer {
	c.t.Helper()
	a, err := c.try(method, url, body, header...)
	if err != nil {
		c.t.Fatalf("%s %s: %v", method, url, err)
	}
	return a
}

// want sends a request and insists on a status.
func (c *client) want(status int, method, url string, body any, header ...string) answer {
	c.t.Helper()
	a := c.do(method, url, body, header...)
	if a.status != status {
		c.t.Fatalf("%s %s: got %d, want %d: %.300s", method, url, a.status, status, a.raw)
	}
	return a
}

// at follows a dotted path into the JSON of an answer; "" if it is not there.
func (a answer) at(path string) string {
	var v any = a.obj
	for p := range strings.SplitSeq(path, "/") {
		m, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		v = m[p]
	}
	if v == nil {
		return ""
	}
	if f, ok := v.(float64); ok {
		return fmt.Sprintf("%.0f", f)
	}
	if l, ok := v.([]any); ok {
		raw, _ := json.Marshal(l)
		return strings.ReplaceAll(string(raw), `"`, "")
	}
	return fmt.Sprint(v)
}

func (a answer) list() []map[string]any {
	var out []map[string]any
	v, _ := a.obj["value"].([]any)
	for _, x := range v {
		out = append(out, x.(map[string]any))
	}
	return out
}

func (a answer) names() string {
	var out []string
	for _, x := range a.list() {
		out = append(out, fmt.Sprint(x["name"]))
	}
	return strings.Join(out, ",")
}

func (c *client) put(path string, data string) graphtest.Info {
	c.t.Helper()
	i, err := c.s.Drive("").Put(path, []byte(data))
	if err != nil {
		c.t.Fatal(err)
	}
	return i
}

func (c *client) noViolations() {
	c.t.Helper()
	for _, v := range c.s.Violations() {
		c.t.Errorf("violation: %s", v)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// admin asks the emulator's own endpoint and decodes the answer, if into is not nil.
func (c *client) admin(method, what string, body, into any) {
	c.t.Helper()
	a := c.want(200, method, c.s.GraphURL()+"/_emulator/"+what, body)
	if into != nil {
		if err := json.Unmarshal(a.raw, into); err != nil {
			c.t.Fatal(err)
		}
	}
}

// doAt sends a GET to an address as it is, without a token.
func (c *client) doAt(url string, header ...string) answer {
	c.t.Helper()
	req, err := http.NewRequestWithContext(c.t.Context(), http.MethodGet, url, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, h := range header {
		k, v, _ := strings.Cut(h, ": ")
		req.Header.Set(k, v)
	}
	res, err := c.hc.Do(req)
	if err != nil {
		c.t.Fatal(err)
	}
	defer res.Body.Close()
	a := answer{status: res.StatusCode, header: res.Header}
	if a.raw, err = io.ReadAll(res.Body); err != nil {
		c.t.Fatal(err)
	}
	_ = json.Unmarshal(a.raw, &a.obj) // not every body is JSON
	return a
}
