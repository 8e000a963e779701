package auth_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/auth"
	"github.com/duskfs/duskfs/graph/graphtest"
)

// personal is the configuration of somebody who signs in.
func personal(t *testing.T, s *graphtest.Server) auth.Config {
	t.Helper()
	c := config(s)
	c.ClientSecret, c.Dir = "", filepath.Join(t.TempDir(), "signin")
	return c
}

// byCode signs in by device code and lets the person type it at once.
func byCode(t *testing.T, s *graphtest.Server, c auth.Config, who string) auth.Account {
	t.Helper()
	a, err := auth.Login(t.Context(), c, auth.Prompt{Device: func(code auth.Code) {
		if !s.ApproveDevice(code.Code, who) {
			t.Errorf("the code %q is not known", code.Code)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func other(s *graphtest.Server) *graphtest.User {
	return s.AddUser("bob@contoso.example", "Bob", "business")
}

func TestAPersonSignsInByDeviceCode(t *testing.T) {
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		c := personal(t, s)
		_, err := auth.New(c)
		wants(t, err, graph.SignIn, "duskfs login")
		_, err = auth.SignedIn(t.Context(), c)
		wants(t, err, graph.SignIn, "duskfs login")

		var shown auth.Code
		var done sync.WaitGroup
		var a auth.Account
		began := time.Now()
		done.Go(func() {
			var err error
			if a, err = auth.Login(t.Context(), c, auth.Prompt{Device: func(code auth.Code) { shown = code }}); err != nil {
				t.Error(err)
			}
		})
		time.Sleep(time.Minute)
		synctest.Wait()
		if shown.Code == "" || !strings.HasPrefix(shown.URL, "https://") || shown.Expires.Sub(began) < 10*time.Minute {
			t.Fatalf("shown %+v", shown)
		}
		if !s.ApproveDevice(shown.Code, "") {
			t.Fatal("the code is not known")
		}
		done.Wait()
		me := s.Me()
		if a.Identity.Name != me.UPN || !a.Identity.Person() || a.How != "device" || a.Key != "file" || a.Identity.Tenant != s.TenantID() ||
			a.Identity.Account != "person:"+me.ID+"."+s.TenantID() {
			t.Errorf("signed in as %+v", a)
		}

		src := source(t, c)
		if src.Identity() != a.Identity {
			t.Errorf("identity %+v, want %+v", src.Identity(), a.Identity)
		}
		before := s.Counts().Of(graphtest.OpToken)
		token, err := src.Token(t.Context())
		if err != nil || !works(t, s, token) {
			t.Fatalf("token works: %v, %v", err == nil, err)
		}
		if n := s.Counts().Of(graphtest.OpToken) - before; n != 0 {
			t.Errorf("%d token requests for a token that was just given", n)
		}
		again, err := auth.SignedIn(t.Context(), c)
		if err != nil || again.Identity != a.Identity || !again.Since.Equal(a.Since) {
			t.Errorf("signed in: %+v, %v", again, err)
		}

		time.Sleep(2 * time.Hour)
		renewed, err := src.Token(t.Context())
		if err != nil || renewed == token || !works(t, s, renewed) {
			t.Errorf("after two hours: %v", err)
		}
		if third, err := src.Refresh(t.Context(), renewed, ""); err != nil || third == renewed || !works(t, s, third) {
			t.Errorf("after a refusal: %v", err)
		}
	})
}

func TestAPersonsTokensAreUsedForMostOfTheirLife(t *testing.T) {
	in(t, graphtest.Options{TokenLife: 10 * time.Second}, func(t *testing.T, s *graphtest.Server) {
		c := personal(t, s)
		byCode(t, s, c, "")
		src, before := source(t, c), s.Counts().Of(graphtest.OpToken)
		for range 600 {
			token, err := src.Token(t.Context())
			if err != nil || !works(t, s, token) {
				t.Fatalf("got %v", err)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := s.Counts().Of(graphtest.OpToken) - before; n > 7 {
			t.Errorf("%d token requests in a minute with tokens of 10 s", n)
		}
	})
}

// What a renewal brings is kept at once: the next process needs nothing but the folder.
func TestEveryRenewalIsKept(t *testing.T) {
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		c := personal(t, s)
		byCode(t, s, c, "")
		for day := range 100 { // one refresh token alone would live 90 days
			token, err := source(t, c).Token(t.Context())
			if err != nil || !works(t, s, token) {
				t.Fatalf("day %d: %v", day, err)
			}
			before := s.Counts().Of(graphtest.OpToken)
			if next, err := source(t, c).Token(t.Context()); err != nil || next != token || s.Counts().Of(graphtest.OpToken) != before {
				t.Fatalf("day %d: the next process asked for another token: %v", day, err)
			}
			time.Sleep(24 * time.Hour)
		}
	})
}

func TestADeadSignInSaysWhatToDo(t *testing.T) {
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		c := personal(t, s)
		byCode(t, s, c, "")
		src := source(t, c)
		bad, err := src.Token(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		s.RevokeSignIns()
		_, err = src.Refresh(t.Context(), bad, "")
		wants(t, err, graph.SignIn, "sign in again with `duskfs login`")
		if st := src.State(); !errors.Is(st.Err, graph.SignIn) {
			t.Errorf("state %+v", st)
		}
		before := s.Counts().Of(graphtest.OpToken)
		again := source(t, c) // another process: the sign-in is over for it too, and nobody is asked
		_, err = again.Token(t.Context())
		wants(t, err, graph.SignIn, "sign in again with `duskfs login` (AADSTS50173)")
		if a, err := auth.SignedIn(t.Context(), c); err != nil || a.Identity != src.Identity() || s.Counts().Of(graphtest.OpToken) != before {
			t.Errorf("whose sign-in is over: %+v, %v", a, err)
		}
		byCode(t, s, c, "") // at once: nobody has to wait after it
		if token, err := src.Refresh(t.Context(), bad, ""); err != nil || !works(t, s, token) {
			t.Errorf("after a new login in another process: %v", err)
		}
		s.RevokeSignIns()
		time.Sleep(100 * 24 * time.Hour)
		_, err = src.Token(t.Context())
		wants(t, err, graph.SignIn, "sign in again")
	})
}

func TestNobodyElsesSignInIsUsed(t *testing.T) {
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		c := personal(t, s)
		byCode(t, s, c, "")
		mine := source(t, c)
		if _, err := mine.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		bob := other(s)
		if a := byCode(t, s, c, bob.UPN); a.Identity.Name != bob.UPN {
			t.Fatalf("signed in as %+v", a)
		}
		time.Sleep(2 * time.Hour)
		_, err := mine.Token(t.Context())
		wants(t, err, graph.SignIn, bob.UPN+" has signed in here in the place of "+s.Me().UPN)
		if token, err := source(t, c).Token(t.Context()); err != nil || !works(t, s, token) {
			t.Errorf("the new one: %v", err)
		}

		c.User = s.Me().UPN
		_, err = auth.SignedIn(t.Context(), c)
		wants(t, err, graph.SignIn, "nobody is signed in")
		_, err = auth.Login(t.Context(), c, auth.Prompt{Device: func(code auth.Code) { s.ApproveDevice(code.Code, bob.UPN) }})
		wants(t, err, graph.SignIn, "auth.user is "+s.Me().UPN)
		c.User = bob.ID
		byCode(t, s, c, bob.UPN)
	})
}

func TestALogoutIsTheEndOfIt(t *testing.T) {
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		c := personal(t, s)
		if was, err := auth.Logout(t.Context(), c); was || err != nil {
			t.Errorf("without a sign-in: %t, %v", was, err)
		}
		byCode(t, s, c, "")
		src := source(t, c)
		if _, err := src.Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		// A renewal that is under way while the person logs out must not bring the sign-in back.
		s.Inject(graphtest.Fault{Op: graphtest.OpToken, Delay: graphtest.Duration(10 * time.Second)})
		time.Sleep(2 * time.Hour)
		var all sync.WaitGroup
		all.Go(func() {
			_, err := src.Token(t.Context())
			wants(t, err, graph.SignIn, "nobody is signed in")
		})
		synctest.Wait()
		if was, err := auth.Logout(t.Context(), c); !was || err != nil {
			t.Errorf("logout: %t, %v", was, err)
		}
		all.Wait()
		_, err := auth.New(c)
		wants(t, err, graph.SignIn, "nobody is signed in")
		left, err := filepath.Glob(filepath.Join(c.Dir, "*"))
		if err != nil || len(left) != 2 || !strings.HasSuffix(left[0], ".last") || !strings.HasSuffix(left[1], ".lock") {
			t.Errorf("left: %v, %v", left, err)
		}
	})
}

func TestWhoSignedInLastIsRemembered(t *testing.T) {
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		c := personal(t, s)
		if _, ok := auth.Last(c); ok {
			t.Error("nobody ever signed in, and somebody is remembered")
		}
		account := byCode(t, s, c, "")
		if _, err := auth.Logout(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		last, ok := auth.Last(c)
		if !ok || last.Identity() != account.Identity {
			t.Fatalf("remembered %t, %+v; want %+v", ok, last.Identity(), account.Identity)
		}
		_, err := last.Token(t.Context())
		wants(t, err, graph.SignIn, "nobody is signed in")
		byCode(t, s, c, other(s).UPN)
		_, err = last.Token(t.Context())
		wants(t, err, graph.SignIn, "in the place of")
		byCode(t, s, c, "")
		if _, err := last.Token(t.Context()); err != nil {
			t.Errorf("after a new login: %v", err)
		}
		c.ClientSecret = "x"
		if _, ok := auth.Last(c); ok {
			t.Error("an application is a person")
		}
	})
}

func TestAPersonIsAskedForNoMoreThanTheJobNeeds(t *testing.T) {
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		root := s.GraphURL() + "/"
		read := []string{root + "Files.Read.All", root + "Sites.Read.All", root + "User.Read"}
		write := []string{root + "Files.ReadWrite.All", root + "Sites.ReadWrite.All", root + "User.Read"}
		same := func(what string, got, want []string) {
			t.Helper()
			if strings.Join(got, " ") != strings.Join(want, " ") {
				t.Errorf("%s: %v, want %v", what, got, want)
			}
		}
		of := func(c auth.Config) []string {
			t.Helper()
			src := source(t, c)
			if _, err := src.Token(t.Context()); err != nil {
				t.Fatal(err)
			}
			return src.State().Scopes
		}
		reader := personal(t, s)
		writer := reader
		reader.ReadOnly = true
		same("a reader agrees to", byCode(t, s, reader, "").Scopes[:3], read)
		same("a reader gets", of(reader), read)
		_, err := source(t, writer).Token(t.Context())
		wants(t, err, graph.SignIn, "--read-only")
		if !source(t, writer).ReadsOnly() || source(t, reader).ReadsOnly() {
			t.Error("it is not told that a writer could only read, or told of a reader")
		}
		same("a writer agrees to", byCode(t, s, writer, "").Scopes[:3], write)
		if source(t, writer).ReadsOnly() {
			t.Error("a writer who agreed to writing is said to read only")
		}
		same("a writer gets", of(writer), write)
		same("a reader who agreed to writing gets", of(reader), write)
		writer.Tenant = "consumers"
		same("a personal account agrees to", byCode(t, s, writer, "").Scopes[:2], []string{write[0], write[2]})
	})
}

func TestRefusedSignInsSayWhatToDo(t *testing.T) {
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		c := personal(t, s)
		_, err := auth.Login(t.Context(), c, auth.Prompt{Device: func(code auth.Code) { s.DeclineDevice(code.Code) }})
		wants(t, err, graph.SignIn, "declined")
		began := time.Now()
		_, err = auth.Login(t.Context(), c, auth.Prompt{Device: func(auth.Code) {}})
		wants(t, err, graph.SignIn, "nobody signed in in time")
		if took := time.Since(began); took < 10*time.Minute || took > 20*time.Minute {
			t.Errorf("gave up after %v", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err = auth.Login(ctx, c, auth.Prompt{Device: func(auth.Code) { cancel() }})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("interrupted: %v", err)
		}
		_, err = auth.SignedIn(t.Context(), c)
		wants(t, err, graph.SignIn, "nobody")
		app := config(s)
		_, err = auth.Login(t.Context(), app, auth.Prompt{Device: func(auth.Code) {}})
		wants(t, err, graph.Invalid, "auth.mode")
		_, err = auth.Logout(t.Context(), app)
		wants(t, err, graph.Invalid, "application")
	})
}

// browser plays the part of a person's browser: it opens the address, and posts the form that comes
// back to where that belongs.
func browser(t *testing.T, client *http.Client, address string) {
	t.Helper()
	resp, err := client.Get(address)
	if err != nil {
		t.Error(err)
		return
	}
	page, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		t.Error(err)
		return
	}
	action := regexp.MustCompile(`action="([^"]+)"`).FindSubmatch(page)
	form := url.Values{}
	for _, f := range regexp.MustCompile(`name="([^"]+)" value="([^"]*)"`).FindAllSubmatch(page, -1) {
		form.Set(string(f[1]), html.UnescapeString(string(f[2])))
	}
	if action == nil {
		t.Errorf("no form in %s", page)
		return
	}
	back, err := http.PostForm(html.UnescapeString(string(action[1])), form)
	if err != nil {
		t.Error(err)
		return
	}
	_ = back.Body.Close()
	http.DefaultClient.CloseIdleConnections()
}

func TestAPersonSignsInByBrowser(t *testing.T) {
	s := graphtest.Start(t, graphtest.Options{})
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	c := personal(t, s)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.CAPool()}}
	defer transport.CloseIdleConnections()
	c.Transport = transport
	var opened url.Values
	var pages sync.WaitGroup
	open := func(address string) error {
		u, err := url.Parse(address)
		if err != nil {
			return err
		}
		opened = u.Query()
		pages.Go(func() { browser(t, &http.Client{Transport: transport}, address) })
		return nil
	}
	a, err := auth.Login(t.Context(), c, auth.Prompt{Browser: open})
	pages.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if a.How != "browser" || a.Identity.Name != s.Me().UPN {
		t.Errorf("signed in as %+v", a)
	}
	if opened.Get("code_challenge_method") != "S256" || len(opened.Get("code_challenge")) != 43 || opened.Get("response_mode") != "form_post" || opened.Get("state") == "" {
		t.Errorf("opened %v", opened)
	}
	if token, err := source(t, c).Token(t.Context()); err != nil || !works(t, s, token) {
		t.Errorf("token: %v", err)
	}

	for words, answer := range map[string]url.Values{
		"cancelled or refused":   {"error": {"access_denied"}, "error_description": {"the user has denied access"}},
		"consent was refused":    {"error": {"access_denied"}, "error_description": {"AADSTS65004: User declined to consent."}},
		"AADSTS4711: Odd thing.": {"error": {"x"}, "error_description": {"AADSTS4711: Odd thing. Trace ID: 1"}},
		"makes no sense":         {"error": {"x"}, "error_description": {"what"}},
		"add http://localhost":   {"error": {"x"}, "error_description": {"AADSTS50011: no such address"}},
	} {
		_, err := auth.Login(t.Context(), c, auth.Prompt{Browser: func(address string) error {
			u, err := url.Parse(address)
			if err != nil {
				return err
			}
			answer.Set("state", u.Query().Get("state"))
			pages.Go(func() {
				resp, err := http.PostForm(u.Query().Get("redirect_uri"), answer)
				if err == nil {
					_ = resp.Body.Close()
				}
			})
			return nil
		}})
		pages.Wait()
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v: got %v", answer, err)
		}
	}
	http.DefaultClient.CloseIdleConnections()
}

// drawer is a keychain in memory.
type drawer struct {
	mu    sync.Mutex
	items map[string]string
	fails error
}

func (d *drawer) Get(_ context.Context, name string) (string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v, ok := d.items[name]
	if d.fails == nil && !ok {
		return "", auth.ErrNoKey
	}
	return v, d.fails
}

func (d *drawer) Set(_ context.Context, name, value string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.fails == nil {
		d.items[name] = value
	}
	return d.fails
}

func (d *drawer) Delete(_ context.Context, name string) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.items, name)
	return d.fails
}

func TestTheKeyLiesInTheKeychainWhereThereIsOne(t *testing.T) {
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		c := personal(t, s)
		d := &drawer{items: map[string]string{}}
		c.Keychain = d
		if a := byCode(t, s, c, ""); a.Key != "keychain" || len(d.items) != 1 {
			t.Fatalf("key in %s, %d items", a.Key, len(d.items))
		}
		if found, _ := filepath.Glob(filepath.Join(c.Dir, "*.key")); len(found) > 0 {
			t.Errorf("a key lies in %v", found)
		}
		time.Sleep(2 * time.Hour)
		if _, err := source(t, c).Token(t.Context()); err != nil {
			t.Error(err)
		}
		d.fails = errors.New("locked")
		_, err := auth.New(c)
		wants(t, err, graph.SignIn, "unlock")
		c.Keychain = nil
		_, err = auth.New(c)
		wants(t, err, graph.SignIn, "cannot reach")
		c.Keychain, d.fails = d, nil
		clear(d.items)
		_, err = auth.New(c)
		wants(t, err, graph.SignIn, "no longer in the keychain")
		byCode(t, s, c, "")
		if _, err := auth.Logout(t.Context(), c); err != nil || len(d.items) != 0 {
			t.Errorf("after logout: %d items, %v", len(d.items), err)
		}
		d.fails = errors.New("locked") // at login: a file it is
		if a := byCode(t, s, c, ""); a.Key != "file" {
			t.Errorf("key in %s", a.Key)
		}
		if token, err := source(t, c).Token(t.Context()); err != nil || !works(t, s, token) {
			t.Errorf("with the key in a file: %v", err)
		}
	})
}

func TestWhatIsKeptIsSealedAndPrivate(t *testing.T) {
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		c := personal(t, s)
		if err := os.Mkdir(c.Dir, 0o755); err != nil {
			t.Fatal(err)
		}
		byCode(t, s, c, "")
		if _, err := source(t, c).Token(t.Context()); err != nil {
			t.Fatal(err)
		}
		if i, err := os.Stat(c.Dir); err != nil || i.Mode().Perm() != 0o700 {
			t.Errorf("folder %v, %v", i.Mode(), err)
		}
		files, err := os.ReadDir(c.Dir)
		if err != nil || len(files) != 4 {
			t.Fatalf("files %v, %v", files, err)
		}
		for _, f := range files {
			i, err := f.Info()
			if err != nil || i.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", f.Name(), i.Mode(), err)
			}
			data, err := os.ReadFile(filepath.Join(c.Dir, f.Name()))
			named := strings.Contains(string(data), s.Me().UPN) && !strings.HasSuffix(f.Name(), ".last") // as receipts name them
			if err != nil || strings.Contains(string(data), "SECRET-") || named {
				t.Errorf("%s is readable, or %v", f.Name(), err)
			}
		}
	})
}

func TestDamagedFilesAreASignOutNotACrash(t *testing.T) {
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		c := personal(t, s)
		byCode(t, s, c, "")
		match := func(ending string) string {
			t.Helper()
			found, err := filepath.Glob(filepath.Join(c.Dir, "*"+ending))
			if err != nil || len(found) != 1 {
				t.Fatalf("%v, %v", found, err)
			}
			return found[0]
		}
		for name, harm := range map[string]struct {
			ending string
			do     func([]byte) []byte
		}{
			"empty":        {".tokens", func([]byte) []byte { return nil }},
			"half":         {".tokens", func(b []byte) []byte { return b[:len(b)/2] }},
			"title only":   {".tokens", func(b []byte) []byte { return b[:strings.IndexByte(string(b), '\n')+1] }},
			"one bit":      {".tokens", func(b []byte) []byte { b[len(b)-30] ^= 1; return b }},
			"other holder": {".tokens", func(b []byte) []byte { return []byte(strings.Replace(string(b), "key in file", "key in x", 1)) }},
			"zeros":        {".tokens", func(b []byte) []byte { clear(b); return b }},
			"text":         {".tokens", func([]byte) []byte { return []byte(`{"a":1}`) }},
			"other key":    {".key", func([]byte) []byte { return []byte(strings.Repeat("ab", 32)) }},
			"short key":    {".key", func(b []byte) []byte { return b[:10] }},
			"no key":       {".key", func([]byte) []byte { return nil }},
		} {
			file := match(harm.ending)
			good, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			src := source(t, c)
			if err := os.WriteFile(file, harm.do([]byte(string(good))), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err = auth.New(c)
			wants(t, err, graph.SignIn, "cannot be used")
			if _, err := src.Token(t.Context()); !errors.Is(err, graph.SignIn) {
				t.Errorf("%s: a source that was there before got %v", name, err)
			}
			if err := os.WriteFile(file, good, 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := auth.New(c); err != nil {
				t.Errorf("%s, mended: %v", name, err)
			}
		}
		if err := os.WriteFile(match(".tokens"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		byCode(t, s, c, "") // a login mends it
		if _, err := source(t, c).Token(t.Context()); err != nil {
			t.Error(err)
		}
		if err := os.WriteFile(match(".tokens"), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if was, err := auth.Logout(t.Context(), c); !was || err != nil {
			t.Errorf("logout of a damaged sign-in: %t, %v", was, err)
		}
	})
}

// A disk that takes nothing is no reason to stop: the token is there, and the old sign-in serves.
func TestARenewalThatCannotBeKeptStillServes(t *testing.T) {
	in(t, graphtest.Options{}, func(t *testing.T, s *graphtest.Server) {
		c := personal(t, s)
		byCode(t, s, c, "")
		found, err := filepath.Glob(filepath.Join(c.Dir, "*.tokens"))
		if err != nil || len(found) != 1 {
			t.Fatal(found, err)
		}
		// A folder with something in it cannot be replaced by a file.
		if err := os.MkdirAll(filepath.Join(found[0]+".new", "x"), 0o700); err != nil {
			t.Fatal(err)
		}
		src := source(t, c)
		time.Sleep(2 * time.Hour)
		token, err := src.Token(t.Context())
		if err != nil || !works(t, s, token) || src.State().Unsaved == nil {
			t.Errorf("token: %v; state %+v", err, src.State())
		}
		if err := os.RemoveAll(found[0] + ".new"); err != nil {
			t.Fatal(err)
		}
		if token, err := src.Refresh(t.Context(), token, ""); err != nil || !works(t, s, token) || src.State().Unsaved != nil {
			t.Errorf("token: %v; state %+v", err, src.State())
		}
	})
}

// Daemons and a login at the same time, each a Source of its own on the same files.
func TestProcessesShareASignIn(t *testing.T) {
	s := graphtest.Start(t, graphtest.Options{TokenLife: time.Second})
	c := personal(t, s)
	byCode(t, s, c, "")
	var all sync.WaitGroup
	for range 4 {
		src := source(t, c)
		all.Go(func() {
			bad := ""
			for range 15 {
				token, err := src.Refresh(t.Context(), bad, "")
				if err != nil {
					t.Error(err)
					return
				}
				bad = token
			}
		})
	}
	all.Go(func() {
		for range 5 {
			byCode(t, s, c, "")
		}
	})
	all.Wait()
	if _, err := source(t, c).Token(t.Context()); err != nil {
		t.Error(err)
	}
}

// A kill at any moment of a login or a renewal leaves the old sign-in or the new one.
func TestAKillLeavesTheOldOrTheNew(t *testing.T) {
	const mark = "DUSKFS_TEST_RENEW_FOREVER"
	if dir := os.Getenv(mark); dir != "" {
		s := graphtest.Start(t, graphtest.Options{Seed: 3})
		c := config(s)
		c.ClientSecret, c.Dir = "", dir
		for n := 0; ; n++ {
			byCode(t, s, c, "")
			src := source(t, c)
			bad := ""
			for range 3 {
				bad, _ = src.Refresh(t.Context(), bad, "")
			}
			if n == 0 {
				fmt.Println("kept")
			}
		}
	}
	s := graphtest.Start(t, graphtest.Options{Seed: 3})
	c := personal(t, s)
	for round := range 5 {
		child := exec.Command(os.Args[0], "-test.run=^TestAKillLeavesTheOldOrTheNew$")
		child.Env = append(os.Environ(), mark+"="+c.Dir)
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(out, make([]byte, 4)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(round*1700) * time.Microsecond) // where it is then, is chance
		_ = child.Process.Kill()
		_ = child.Wait() // it was killed
		if a, err := auth.SignedIn(t.Context(), c); err != nil || a.Identity.Name != s.Me().UPN {
			t.Fatalf("round %d: %+v, %v", round, a, err)
		}
	}
}
