package rest

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/duskfs/duskfs/graph"
)

func TestItemsAsTheyCome(t *testing.T) {
	cases := []struct {
		about, in string
		want      graph.Item
	}{
		{"file", `{"id":"1","name":"a","size":5,"eTag":"e","cTag":"c","webUrl":"w","file":{"hashes":{"quickXorHash":"aCgDG9jwBgAAAAAABQAAAAAAAAA="}},
			"parentReference":{"id":"0"},"fileSystemInfo":{"createdDateTime":"2017-07-27T02:41:36Z","lastModifiedDateTime":"2017-07-27T02:41:36.623Z"}}`,
			graph.Item{ID: "1", Parent: "0", Name: "a", Type: graph.File, Size: 5, ETag: "e", CTag: "c", WebURL: "w", Hash: "aCgDG9jwBgAAAAAABQAAAAAAAAA=",
				Created: time.Date(2017, 7, 27, 2, 41, 36, 0, time.UTC), ModTime: time.Date(2017, 7, 27, 2, 41, 36, 623e6, time.UTC)}},
		{"hash in hexadecimal", `{"id":"1","size":5,"file":{"hashes":{"quickXorHash":"6828031bd8f00600000000000500000000000000"}}}`,
			graph.Item{ID: "1", Type: graph.File, Size: 5, Hash: "aCgDG9jwBgAAAAAABQAAAAAAAAA="}},
		{"bogus hash of zeros", `{"id":"1","size":5,"file":{"hashes":{"quickXorHash":"AAAAAAAAAAAAAAAAAAAAAAAAAAA="}}}`, graph.Item{ID: "1", Type: graph.File, Size: 5}},
		{"hash of nothing", `{"id":"1","file":{"hashes":{"quickXorHash":"AAAAAAAAAAAAAAAAAAAAAAAAAAA="}}}`,
			graph.Item{ID: "1", Type: graph.File, Hash: "AAAAAAAAAAAAAAAAAAAAAAAAAAA="}},
		{"hash that is none", `{"id":"1","file":{"hashes":{"quickXorHash":"nonsense"}}}`, graph.Item{ID: "1", Type: graph.File}},
		{"no hashes", `{"id":"1","file":{"mimeType":"x"}}`, graph.Item{ID: "1", Type: graph.File}},
		{"empty facet", `{"id":"1","folder":{}}`, graph.Item{ID: "1", Type: graph.Folder}},
		{"null facets", `{"id":"1","folder":{},"deleted":null,"remoteItem":null,"package":null,"root":null}`, graph.Item{ID: "1", Type: graph.Folder}},
		{"root", `{"id":"1","name":"root","root":{},"folder":{},"parentReference":{"driveId":"d"}}`, graph.Item{ID: "1", Name: "root", Root: true, Type: graph.Folder}},
		{"notebook", `{"id":"1","package":{"type":"oneNote"},"folder":{}}`, graph.Item{ID: "1", Type: graph.Package}},
		{"shortcut", `{"id":"1","name":"s","remoteItem":{"id":"x","folder":{}}}`, graph.Item{ID: "1", Name: "s", Type: graph.Shortcut, Target: "x"}},
		{"tombstone", `{"id":"1","name":"a","size":3,"deleted":{"state":"deleted"},"file":{"hashes":{"quickXorHash":"AAAAAAAAAAAAAAAAAAAAAAAAAAA="}},"parentReference":{"id":"0"}}`,
			graph.Item{ID: "1", Deleted: true}},
		{"tombstone with an empty facet", `{"id":"1","deleted":{}}`, graph.Item{ID: "1", Deleted: true}},
		{"nothing but an id", `{"id":"1"}`, graph.Item{ID: "1"}},
		{"size as text", `{"id":"1","size":"7","file":{}}`, graph.Item{ID: "1", Type: graph.File, Size: 7}},
		{"size below nothing", `{"id":"1","size":-7,"file":{}}`, graph.Item{ID: "1", Type: graph.File}},
		{"times nobody has", `{"id":"1","file":{},"fileSystemInfo":{"createdDateTime":"0001-01-01T00:00:00Z","lastModifiedDateTime":"9999-12-31T00:00:00Z"}}`, graph.Item{ID: "1", Type: graph.File}},
		{"times that are none", `{"id":"1","file":{},"fileSystemInfo":{"createdDateTime":null,"lastModifiedDateTime":"yesterday"}}`, graph.Item{ID: "1", Type: graph.File}},
		{"seven digits", `{"id":"1","file":{},"fileSystemInfo":{"lastModifiedDateTime":"2017-07-27T02:41:36.1234567Z"}}`,
			graph.Item{ID: "1", Type: graph.File, ModTime: time.Date(2017, 7, 27, 2, 41, 36, 123456700, time.UTC)}},
	}
	for _, c := range cases {
		t.Run(c.about, func(t *testing.T) {
			var w wireItem
			if err := json.Unmarshal([]byte(c.in), &w); err != nil {
				t.Fatal(err)
			}
			if got := w.item(); got != c.want {
				t.Errorf("got  %+v\nwant %+v", got, c.want)
			}
		})
	}
}

func TestFragmentsKeepTheRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.Int64Range(1, 200<<20).Draw(t, "size")
		most := fragmentUnit * rapid.Int64Range(1, maxFragmentUnits).Draw(t, "units")
		guarded := rapid.Bool().Draw(t, "guarded")
		for pos := int64(0); pos < size; {
			end := fragmentEnd(pos, size, most, guarded)
			n := end - pos
			switch {
			case n <= 0 || end > size || n > most:
				t.Fatalf("fragment from %d to %d of %d", pos, end, size)
			case end < size && n%fragmentUnit != 0:
				t.Fatalf("fragment of %d bytes in the middle", n)
			case end == size && guarded && size > most && n > fragmentUnit:
				t.Fatalf("the last fragment has %d bytes", n)
			}
			pos = end
		}
	})
}

func TestRedactKeepsNoMoreThanTheHost(t *testing.T) {
	for in, want := range map[string]string{
		`Get "https://x.sharepoint.com/_layouts/15/download.aspx?tempauth=SECRET": EOF`: `Get "https://x.sharepoint.com/…": EOF`,
		"see HTTP://a.b:8/c?d and https://e":                                            "see http://a.b:8/… and https://e/…",
		"nothing here":                                                                  "nothing here",
	} {
		if got := redact(in); got != want {
			t.Errorf("redact(%q) = %q", in, got)
		}
	}
}

func TestBrokenRequestsDoNotNameTheirAddress(t *testing.T) {
	inner := errors.New("connection reset")
	err := reason(t.Context(), &url.Error{Op: "Put", URL: "https://host/secret", Err: inner})
	if !errors.Is(err, inner) || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

func TestExplainFindsTheMostSpecialCode(t *testing.T) {
	cases := map[string]struct{ codes, message string }{
		`{"error":{"code":"a","message":"m","innerError":{"code":"b","innererror":{"code":"c","date":"x"}}}}`: {"a b c", "m"},
		`{"error":{"code":"a","message":" two\r\n lines "}}`:                                                  {"a", "two lines"},
		`{"error":{"code":"a","innerError":"text"}}`:                                                          {"a", ""},
		`{"error":"text"}`: {"", ""},
		`<html>`:           {"", ""},
		``:                 {"", ""},
		`{"error":{"code":"a","message":"see https://host/secret?x"}}`: {"a", "see https://host/…"},
	}
	for in, want := range cases {
		codes, message := explain([]byte(in))
		if strings.Join(codes, " ") != want.codes || message != want.message {
			t.Errorf("explain(%s) = %v, %q", in, codes, message)
		}
	}
	if _, message := explain([]byte(`{"error":{"message":"` + strings.Repeat("é", 1000) + `"}}`)); len(message) > maxMessage+4 {
		t.Errorf("a message of %d bytes", len(message))
	}
}

func TestRetryAfterInBothForms(t *testing.T) {
	for in, want := range map[string]time.Duration{"": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "-1": 0, "soon": 0,
		time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat): 0} {
		if got := retryAfter(http.Header{"Retry-After": {in}}); got != want {
			t.Errorf("retryAfter(%q) = %v", in, got)
		}
	}
	at := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	if got := retryAfter(http.Header{"Retry-After": {at}}); got < 59*time.Minute || got > time.Hour {
		t.Errorf("an hour is %v", got)
	}
}

func TestChallengeFindsTheClaims(t *testing.T) {
	h := http.Header{"Www-Authenticate": {`Basic realm="x"`,
		`Bearer realm="", authorization_uri="u", error="insufficient_claims", claims="eyJhIjoiPz8/In0="`}}
	if got := challenge(h); got != `{"a":"???"}` {
		t.Errorf("got %q", got)
	}
	for _, line := range []string{"", `Bearer error="invalid_token"`, `Bearer error="insufficient_claims"`, `Bearer error="insufficient_claims", claims="!"`} {
		if got := challenge(http.Header{"Www-Authenticate": {line}}); got != "" {
			t.Errorf("%q gave %q", line, got)
		}
	}
}

func TestNamesAreReadWhateverIsInThem(t *testing.T) {
	for raw, want := range map[string]string{
		`"plain"`:                          "plain",
		`"quo\"te\\ud800 \u00e9\n"`:        "quo\"te\\ud800 \u00e9\n",
		`"\ud83c\udf89"`:                   "🎉",
		`"\uD83C\uDF89!"`:                  "🎉!",
		`"\ud800"`:                         "\xed\xa0\x80",
		`"a\udfffb"`:                       "a\xed\xbf\xbfb",
		`"\ud800\ud800\udf89\udf89\u0041"`: "\xed\xa0\x80\U00010389\xed\xbe\x89A",
		`"\ud800\\udc00"`:                  "\xed\xa0\x80\\udc00",
		`""`:                               "",
	} {
		var w wireItem
		if err := json.Unmarshal([]byte(`{"name":`+raw+`}`), &w); err != nil || w.Name.text != want || !w.Name.here {
			t.Errorf("%s is read as %q, %v, want %q", raw, w.Name.text, err, want)
		}
	}
	// A name of nothing is one, no name is none.
	for raw, want := range map[string]string{`{"id":"1","name":""}`: "␛0", `{"id":"1"}`: "", `{"id":"1","name":null}`: "", `{"id":"1","name":"","deleted":{}}`: ""} {
		var w wireItem
		if err := json.Unmarshal([]byte(raw), &w); err != nil || w.item().Name != want {
			t.Errorf("%s is called %q, %v, want %q", raw, w.item().Name, err, want)
		}
	}
	var w wireItem
	if err := json.Unmarshal([]byte(`{"name":7}`), &w); err == nil {
		t.Error("a number is a name")
	}
}

// What package json reads without loss is read as it does.
func FuzzName(f *testing.F) {
	for _, s := range []string{`"a"`, `"\ud800"`, `"\ud83c\udf89"`, `"\\ud800\udc00"`, `"\"\u0000"`, "\"\xff\"", `7`, `"\u12`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !json.Valid(raw) || len(raw) == 0 || raw[0] != '"' {
			return
		}
		got, err := decodeName(raw)
		var want string
		if json.Unmarshal(raw, &want) != nil || err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		if strings.ToValidUTF8(got, "\ufffd") != got {
			if !strings.Contains(want, "\ufffd") {
				t.Errorf("%s is read as %q, want %q", raw, got, want)
			}
		} else if got != want {
			t.Errorf("%s is read as %q, want %q", raw, got, want)
		}
	})
}

func FuzzItem(f *testing.F) {
	f.Add([]byte(`{"id":"1","size":"x","file":{"hashes":{"quickXorHash":"AAAA"}},"root":null}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var w wireItem
		if json.Unmarshal(data, &w) == nil {
			i := w.item()
			if i.Size < 0 || i.Deleted && i.Name != "" {
				t.Errorf("%s gave %+v", data, i)
			}
		}
		explain(data)
	})
}

// TestOnlyTheFeedForgetsALink: a dead sign-in answers with 400 as well, and must not cost an enumeration.
func TestOnlyTheFeedForgetsALink(t *testing.T) {
	for _, c := range []struct {
		name string
		err  graph.Error
		from graph.Link
		want graph.Kind
	}{
		{"gone", graph.Error{Kind: graph.Failed, Status: 410}, "link", graph.Restart},
		{"a stale link", graph.Error{Kind: graph.Invalid, Status: 400}, "link", graph.Restart},
		{"a bad request without a link", graph.Error{Kind: graph.Invalid, Status: 400}, graph.Start, graph.Invalid},
		{"a dead sign-in", graph.Error{Kind: graph.SignIn, Status: 400}, "link", graph.SignIn},
		{"throttled", graph.Error{Kind: graph.Throttled, Status: 429}, "link", graph.Throttled},
	} {
		if got := graph.KindOf(feedError(&c.err, c.from)); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
}
