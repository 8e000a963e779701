package rest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/graph"
)

// fuzzTokens is a sign-in that always succeeds.
type fuzzTokens struct{}

func (fuzzTokens) Token(context.Context) (string, error) { return "SECRET-TOKEN", nil }
func (fuzzTokens) Refresh(context.Context, string, string) (string, error) {
	return "SECRET-TOKEN", nil
}

// answering is a service that gives one answer to everything, and checks where tokens go.
type answering struct {
	t       *testing.T
	status  int
	header  http.Header
	body    string
	stopped int
}

func (a *answering) RoundTrip(r *http.Request) (*http.Response, error) {
	status := a.status
	if a.stopped++; a.stopped > 60 {
		status = http.StatusBadRequest // enough
	}
	if r.Header.Get("Authorization") != "" && (!strings.EqualFold(r.URL.Host, "graph.example") || r.URL.Scheme != "https") {
		a.t.Errorf("a token went to %s", r.URL)
	}
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
	}
	return &http.Response{StatusCode: status, Header: a.header.Clone(), Body: io.NopCloser(strings.NewReader(a.body)), Request: r, ContentLength: int64(len(a.body))}, nil
}

func fuzzDrive(t *testing.T, a *answering) *Drive {
	t.Helper()
	a.t = t
	c, err := New(Options{GraphURL: "https://graph.example", Tokens: fuzzTokens{}, Transport: a, Patience: time.Nanosecond})
	if err != nil {
		t.Fatal(err)
	}
	return c.Drive("d")
}

// sane checks what every error of the client keeps to.
func sane(t *testing.T, err error) {
	t.Helper()
	var e *graph.Error
	if err != nil && !errors.As(err, &e) && !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("an error without a kind: %v", err)
	}
	if err != nil && (len(err.Error()) > 4000 || strings.Contains(err.Error(), "SECRET-TOKEN")) {
		t.Errorf("an odd error: %v", err)
	}
}

// FuzzAnswers feeds answers of the service into what reads items, listings, the feed, versions and errors.
func FuzzAnswers(f *testing.F) {
	for _, body := range []string{
		`{"id":"1","name":"a","file":{"hashes":{"quickXorHash":"AAAAAAAAAAAAAAAAAAAAAAAAAAA="}},"size":1,"parentReference":{"id":"2"}}`,
		`{"value":[{"id":"1","name":"a%20b","folder":{}},{"id":"2","deleted":{}}],"@odata.nextLink":"https://graph.example/v1.0/x"}`,
		`{"value":[],"@odata.deltaLink":"https://evil.example/v1.0/x"}`,
		`{"value":[{"id":"1"}],"@odata.nextLink":"HTTPS://GRAPH.EXAMPLE/y"}`,
		`{"error":{"code":"a","message":"see https://x.example/SECRET","innerError":{"code":"b","innererror":{"code":"c"}}}}`,
		`{"value":null}`, `[]`, `null`, `{}`, `{"value":[null]}`, `{"value":{"id":1}}`, `<html>`, ``,
		`{"responses":[{"id":"1","status":200,"body":"e30="},{"id":"2","status":429,"headers":{"Retry-After":1}}]}`,
		`{"uploadUrl":"https://s.example/u","nextExpectedRanges":["0-"]}`,
		`{"id":"1","name":"f","size":4,"file":{},"@microsoft.graph.downloadUrl":"https://s.example/d","uploadUrl":"https://s.example/u"}`,
		`{"value":[{"id":"1","roles":["read"],"grantedToV2":{"user":{"displayName":"A"}},"link":{"scope":"users"}}]}`,
		`{"notificationUrl":"https://s.example/n?x","expirationDateTime":"2030-01-01T00:00:00Z"}`,
	} {
		for _, status := range []int{200, 400, 410} {
			f.Add(status, body)
		}
	}
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 599 {
			status = 200
		}
		synctest.Test(t, func(t *testing.T) { answered(t, status, body) })
	})
}

// answered asks everything of a service that has one answer to all.
func answered(t *testing.T, status int, body string) {
	a := &answering{status: status, header: http.Header{"Content-Type": {"application/json"}}, body: body}
	d := fuzzDrive(t, a)
	ctx := t.Context()
	one := func(err error) {
		t.Helper()
		sane(t, err)
		a.stopped = 0
	}
	_, err := d.Item(ctx, "1")
	one(err)
	p, err := d.Delta(ctx, graph.Start)
	one(err)
	for _, i := range p.Items {
		if i.ID == "" || i.Size < 0 || i.Deleted && i != (graph.Item{ID: i.ID, Deleted: true}) {
			t.Errorf("an odd item: %+v", i)
		}
	}
	if err == nil && !strings.HasPrefix(string(p.Next), "/") {
		t.Errorf("an odd link: %q", p.Next)
	}
	for _, err := range d.Children(ctx, "1") {
		sane(t, err)
	}
	a.stopped = 0
	_, err = d.Versions(ctx, "1")
	one(err)
	_, err = d.Drive(ctx)
	one(err)
	_, err = d.noticeAddress(ctx)
	one(err)
	_, err = d.c.Drives(ctx, "")
	one(err)
	all, err := d.Permissions(ctx, "1")
	one(err)
	for _, p := range all {
		if p.Level() > graph.FullControl {
			t.Errorf("an odd permission: %+v", p)
		}
	}
	for _, g := range d.PermissionsOf(ctx, []graph.ItemID{"1", "2"}) {
		if one(g.Err); g.Err != nil && g.All != nil {
			t.Errorf("permissions besides an error: %+v", g)
		}
	}
	for _, r := range d.Batch(ctx, []graph.Call{{Do: graph.DoDelete, ID: "1"}, {Do: graph.DoUpdate, ID: "2"}}) {
		if r.Err != nil {
			one(r.Err)
		}
	}
	for _, u := range []graph.Upload{{ID: "1"}, {Parent: "1", Name: "f"}} {
		u.Size, u.Body = 3, strings.NewReader("abc")
		i, err := d.Upload(ctx, u)
		if one(err); err == nil && i.ID == "" {
			t.Errorf("an odd upload: %+v", i)
		}
	}
	r, err := d.Content(ctx, "1", graph.Version{Size: 4}, 0, 4)
	if one(err); err == nil {
		if got, err := io.ReadAll(r); err == nil && len(got) != 4 {
			t.Errorf("%d bytes of 4", len(got))
		}
		_ = r.Close()
	}
}

func FuzzRetryAfter(f *testing.F) {
	for _, s := range []string{"5", "-1", "99999999999", "Wed, 21 Oct 2015 07:28:00 GMT", "1e3", " 7 ", "Fri, 31 Dec 9999 23:59:59 GMT", "0x10"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if d := retryAfter(http.Header{"Retry-After": {text}}); d < 0 || d > maxRetryAfter {
			t.Errorf("%q is %v", text, d)
		}
		h := http.Header{}
		for _, name := range []string{"RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset"} {
			h.Set(name, text)
		}
		b := newBudget(0, 0)
		if wait := b.told(h); wait < 0 || wait > maxRetryAfter {
			t.Errorf("%q closes for %v", text, wait)
		}
		if wait := b.pay(2); wait < 0 {
			t.Errorf("%q makes pay wait %v", text, wait)
		}
		_ = challenge(http.Header{"Www-Authenticate": {text, `Bearer error="insufficient_claims", claims="` + text + `"`}})
	})
}

// FuzzContentRange feeds heads of a storage host's answers to a download: what is handed out is what was asked for.
func FuzzContentRange(f *testing.F) {
	for _, s := range []string{"bytes 2-5/10", "bytes 0-9/10", "bytes */10", "bytes 3-5/10", "bytes 2-5/*", "bytes -1-5/10", "2-5/10", "", "bytes 99999999999999999999-1/2", "bytes 2-5/11"} {
		for _, status := range []int{200, 206, 416} {
			f.Add(status, s, "0123456789")
		}
	}
	f.Fuzz(func(t *testing.T, status int, text, body string) {
		if status != 206 && status != 416 {
			status = 200
		}
		a := reply{status: status, header: http.Header{"Content-Range": {text}}, open: io.NopCloser(strings.NewReader(body))}
		if n, ok := length(a); ok && n < 0 {
			t.Errorf("%q has length %d", text, n)
		}
		r, err := position(a, 2)
		sane(t, err)
		if err != nil {
			return
		}
		got, err := io.ReadAll(r)
		if err != nil || !strings.HasSuffix(body, string(got)) {
			t.Errorf("%q, %v is no end of %q", got, err, body)
		}
	})
}

// FuzzLink feeds links of the service to what follows them: none leads away from Graph.
func FuzzLink(f *testing.F) {
	for _, s := range []string{"https://graph.example/v1.0/x?a=b", "https://graph.example@evil.example/", "https://graph.example.evil.example/", "HTTPS://Graph.Example/x", "https:/graph.example",
		"//graph.example/x", "https://graph.example:443/x", "https://graph.example\\@evil.example/", "https://graph.example#@evil/", "https://graph.example", "https://graph.example?x",
		"s://a\x86" + strings.Repeat("\x8f", 5000) + "/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		raw, err := json.Marshal(text)
		if err != nil {
			return
		}
		a := &answering{status: 200, header: http.Header{}, body: `{"value":[],"@odata.deltaLink":` + string(raw) + `}`}
		d := fuzzDrive(t, a)
		p, err := d.Delta(t.Context(), graph.Start)
		sane(t, err)
		if err != nil {
			return
		}
		a.stopped = 0
		if _, err = d.Delta(t.Context(), p.Next); a.stopped == 0 {
			t.Errorf("%q became %q, which is not asked for: %v", text, p.Next, err)
		}
		_, err = parseNotice(text, time.Time{}, time.Now())
		sane(t, err)
		_ = redact(text)
	})
}

// FuzzNotice feeds packets of a notification host.
func FuzzNotice(f *testing.F) {
	for _, s := range []string{`0{"pingInterval":25000,"pingTimeout":1}`, "2", "2probe", "40", "40/n,{}", "42/n,[]", "41", "44/n,", "1", "", "4", "0{"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, packet string) {
		k := talk{space: "/n", silence: firstSilence}
		answers, _, _ := k.heard(packet)
		if k.silence <= 0 || k.silence > 24*time.Hour || len(answers) > 2 {
			t.Errorf("%q makes %+v answer %q", packet, k, answers)
		}
	})
}
