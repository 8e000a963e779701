package auth

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/cache"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/public"

	"github.com/duskfs/duskfs/graph"
)

// person gets tokens for somebody who has signed in by [Login], without asking anybody: from the
// kept sign-in, which each renewal brings up to date.
type person struct {
	vault  *vault
	client public.Client
	kept   *kept
	job    job
	home   string // who is meant; somebody else's sign-in is not used
	name   string
	hide   []string
}

func newPersonSource(p prepared) (*Source, error) {
	v := openVault(p)
	r, _, err := v.load(context.Background()) // the keychain has a time limit of its own
	if err != nil {
		return nil, nobody(err)
	}
	return newSourceOf(p, v, r)
}

// Last returns a source for the person who signed in last in the folder of a configuration, though New
// says that nobody is signed in or that what is kept cannot be used. Its tokens fail with that until
// the same person has signed in again. It reports false if nobody ever signed in, or if the
// configuration is not one for people.
func Last(c Config) (*Source, bool) {
	p, err := prepare(c)
	if err != nil || p.Mode != Person {
		return nil, false
	}
	v := openVault(p)
	r, ok := v.recall()
	if !ok {
		return nil, false
	}
	s, err := newSourceOf(p, v, r)
	return s, err == nil
}

// newSourceOf makes the source of tokens of the person that a record is about.
func newSourceOf(p prepared, v *vault, r record) (*Source, error) {
	k := &kept{vault: v}
	client, err := newPublic(p, k)
	if err != nil {
		return nil, err
	}
	who := &person{vault: v, client: client, kept: k, job: jobOf(p.ReadOnly, p.graph, p.Tenant), home: r.Home, name: r.Name, hide: p.hide()}
	s := newSource(who, identityOf(p, r))
	s.readsOnly = !covers(r.Scopes, who.job.want) && !p.ReadOnly && covers(r.Scopes, jobOf(true, p.graph, p.Tenant).want)
	return s, nil
}

// nobody turns errNobody into what a person reads.
func nobody(err error) error {
	if errors.Is(err, errNobody) {
		return &graph.Error{Op: op, Kind: graph.SignIn,
			Message: "nobody is signed in; run `duskfs login` (or configure CLIENT_SECRET to sign in as an application)"}
	}
	return err
}

func identityOf(p prepared, r record) Identity {
	return Identity{Cloud: strings.ToLower(p.login.Host), Tenant: strings.ToLower(r.Tenant), Account: "person:" + strings.ToLower(r.Home), Name: r.Name, Mode: Person}
}

func newPublic(p prepared, accessor cache.ExportReplace) (public.Client, error) {
	client, err := public.New(p.ClientID,
		public.WithAuthority(p.authority()),
		public.WithCache(accessor),
		public.WithHTTPClient(newCarrier(p.Transport, p.UserAgent)),
		public.WithInstanceDiscovery(microsoft(p.login.Hostname())),
		public.WithClientCapabilities([]string{capability}))
	if err != nil {
		return client, invalid("the tenant or the login address cannot be used: %v", err)
	}
	return client, nil
}

func (w *person) token(ctx context.Context, a ask) (token, error) {
	for {
		t, err := w.once(ctx, a)
		if !errors.Is(err, errReplaced) {
			return t, nobody(err)
		}
		// Somebody signed in anew in the middle of it: again, from what is kept now.
	}
}

// stamp is that of the kept sign-in's file, which each login replaces.
func (w *person) stamp() string {
	info, err := os.Stat(w.vault.file(".tokens"))
	if err != nil {
		return ""
	}
	return info.ModTime().String() + strconv.FormatInt(info.Size(), 10)
}

func (w *person) once(ctx context.Context, a ask) (token, error) {
	r, _, err := w.vault.load(ctx)
	switch {
	case err != nil:
		return token{}, err
	case r.Home != w.home:
		return token{}, &graph.Error{Op: op, Kind: graph.SignIn, Message: fmt.Sprintf(
			"%s has signed in here in the place of %s; run `duskfs login` as %s, or unmount and mount again", r.Name, w.name, w.name)}
	case r.Over != "":
		return token{}, &graph.Error{Op: op, Kind: graph.SignIn, Message: r.Over, Code: r.Code}
	}
	scopes, err := w.job.among(r.Scopes)
	if err != nil {
		return token{}, err
	}
	*w.kept = kept{vault: w.vault, signIn: r.SignIn}
	accounts, err := w.client.Accounts(ctx)
	switch {
	case errors.Is(err, errNobody), errors.Is(err, errReplaced):
		return token{}, err
	case err != nil:
		return token{}, failure(ctx, err, w.hide)
	}
	options := []public.AcquireSilentOption{}
	for _, account := range accounts {
		if account.HomeAccountID == r.Home {
			options = append(options, public.WithSilentAccount(account))
			break
		}
	}
	if len(options) == 0 {
		return token{}, w.vault.damaged()
	}
	if claims := a.beyondCache(); claims != "" {
		options = append(options, public.WithClaims(claims))
	}
	result, err := w.client.AcquireTokenSilent(ctx, scopes, options...)
	switch {
	case errors.Is(err, errNobody), errors.Is(err, errReplaced):
		return token{}, err
	case err != nil:
		err = failure(ctx, err, w.hide)
		if isOver(err) {
			w.end(ctx, r.SignIn, err)
		}
		return token{}, err
	}
	return token{secret: result.AccessToken, expires: result.ExpiresOn, scopes: scopes, unsaved: w.kept.unsaved}, nil
}

// end notes that the service has ended the sign-in, so that no other process uses what is left of it.
// If that cannot be noted they find out for themselves.
func (w *person) end(ctx context.Context, signIn string, why error) {
	var e *graph.Error
	if errors.As(why, &e) {
		_ = w.vault.renew(ctx, signIn, func(r *record) { r.Over, r.Code, r.Cache = e.Message, e.Code, json.RawMessage("{}") })
	}
}

// kept connects MSAL's cache with the vault, for one sign-in. It is used by one goroutine at a time.
type kept struct {
	vault   *vault
	signIn  string
	unsaved error
}

// Replace gives MSAL what is kept.
func (k *kept) Replace(ctx context.Context, c cache.Unmarshaler, _ cache.ReplaceHints) error {
	r, _, err := k.vault.load(ctx)
	switch {
	case err != nil:
		return err
	case r.SignIn != k.signIn:
		return errReplaced
	}
	return c.Unmarshal(r.Cache)
}

// Export keeps what MSAL has now. If the disk does not take it, the token at hand is still good and
// the sign-in kept before still serves: only a sign-in that ended meanwhile is an error.
func (k *kept) Export(ctx context.Context, c cache.Marshaler, _ cache.ExportHints) error {
	data, err := c.Marshal()
	if err != nil {
		return err
	}
	err = k.vault.renew(ctx, k.signIn, func(r *record) { r.Cache = json.RawMessage(data) })
	if errors.Is(err, errNobody) || errors.Is(err, errReplaced) {
		return err
	}
	k.unsaved = err
	return nil
}
