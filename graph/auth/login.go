package auth

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/cache"
	"github.com/AzureAD/microsoft-authentication-library-for-go/apps/public"

	"github.com/duskfs/duskfs/graph"
)

// browserWait is how long a person has in the browser; a device code lives about as long.
const browserWait = 15 * time.Minute

// Code is what a person types, and where.
type Code struct {
	Code, URL string
	Expires   time.Time
}

// Prompt is how a person is asked to sign in. Exactly one of the two is set.
type Prompt struct {
	// Device tells the person to type a code at an address, on any device. It returns at once.
	Device func(Code)
	// Browser opens an address in a browser of this machine. It returns without waiting for it.
	Browser func(address string) error
}

// Account is a sign-in that is kept.
type Account struct {
	Identity Identity
	How      string    // "device" or "browser"
	Since    time.Time // of the sign-in
	Scopes   []string  // granted
	Key      string    // who holds the key of the kept sign-in: "keychain" or "file"
}

// Login signs a person in and keeps that in the folder of the configuration, in the place of whoever
// was signed in there. It returns when the person is done, with SignIn when they or the service
// refuse or take too long, with Invalid when the configuration is not one for people, or when ctx
// ends.
func Login(ctx context.Context, c Config, how Prompt) (Account, error) {
	p, err := prepare(c)
	if err != nil {
		return Account{}, err
	}
	if p.Mode != Person {
		return Account{}, invalid("the configuration signs in as an application (auth.mode %s), which needs no login; set auth.mode to person to sign in yourself", p.Mode)
	}
	memory := &memory{}
	client, err := newPublic(p, memory)
	if err != nil {
		return Account{}, err
	}
	want := jobOf(p.ReadOnly, p.graph, p.Tenant).want
	r := record{SignIn: rand.Text(), Since: time.Now().UTC()}
	result, err := askPerson(ctx, client, want, how, p.User)
	if err != nil {
		return Account{}, failure(ctx, err, p.hide())
	}
	r.How = "browser"
	if how.Device != nil {
		r.How = "device"
	}
	r.Home, r.Name, r.Cache = result.Account.HomeAccountID, result.Account.PreferredUsername, memory.data
	if r.Tenant = result.IDToken.TenantID; r.Tenant == "" {
		_, r.Tenant, _ = strings.Cut(r.Home, ".")
	}
	for _, s := range slices.Concat(want, result.GrantedScopes) {
		if !covers(r.Scopes, []string{s}) {
			r.Scopes = append(r.Scopes, s)
		}
	}
	if err := usable(r, result.Account.LocalAccountID, p.User); err != nil {
		return Account{}, err
	}
	h, err := openVault(p).save(ctx, r)
	if err != nil {
		return Account{}, fmt.Errorf("the sign-in went well, but cannot be kept: %w", err)
	}
	return accountOf(p, r, h), nil
}

// askPerson shows the prompt and waits for the person.
func askPerson(ctx context.Context, client public.Client, scopes []string, how Prompt, hint string) (public.AuthResult, error) {
	if how.Device == nil {
		ctx, cancel := context.WithTimeout(ctx, browserWait)
		defer cancel()
		options := []public.AcquireInteractiveOption{public.WithOpenURL(how.Browser)}
		if strings.Contains(hint, "@") {
			options = append(options, public.WithLoginHint(hint))
		}
		return client.AcquireTokenInteractive(ctx, scopes, options...)
	}
	code, err := client.AcquireTokenByDeviceCode(ctx, scopes)
	if err != nil {
		return public.AuthResult{}, err
	}
	how.Device(Code{Code: code.Result.UserCode, URL: code.Result.VerificationURL, Expires: code.Result.ExpiresOn})
	return code.AuthenticationResult(ctx)
}

// usable checks that a sign-in is one that can be kept, and the one that was asked for.
func usable(r record, id, user string) error {
	var tokens struct{ RefreshToken map[string]any }
	switch {
	case r.Home == "" || r.Name == "":
		return &graph.Error{Op: op, Kind: graph.Failed, Message: "the sign-in service named no account"}
	case user != "" && !strings.EqualFold(user, r.Name) && !strings.EqualFold(user, id):
		return &graph.Error{Op: op, Kind: graph.SignIn, Message: fmt.Sprintf("%s signed in, but auth.user is %s; sign in as that person, or change auth.user", r.Name, user)}
	case json.Unmarshal(r.Cache, &tokens) != nil || len(tokens.RefreshToken) == 0:
		return &graph.Error{Op: op, Kind: graph.SignIn, Message: "the sign-in service gave a token for an hour only; have an administrator grant the app offline_access"}
	}
	return nil
}

func accountOf(p prepared, r record, h holder) Account {
	return Account{Identity: identityOf(p, r), How: r.How, Since: r.Since, Scopes: r.Scopes, Key: string(h)}
}

// SignedIn tells who is signed in, without asking the service. It fails with SignIn if nobody is or
// what is kept cannot be used, and with Invalid if the configuration is not one for people.
func SignedIn(ctx context.Context, c Config) (Account, error) {
	p, err := preparePerson(c)
	if err != nil {
		return Account{}, err
	}
	r, h, err := openVault(p).load(ctx)
	if err != nil {
		return Account{}, nobody(err)
	}
	return accountOf(p, r, h), nil
}

// Logout forgets a person's sign-in and its key, damaged or not. It reports whether there was one.
// The service is not told: its tokens die by themselves.
func Logout(ctx context.Context, c Config) (bool, error) {
	p, err := preparePerson(c)
	if err != nil {
		return false, err
	}
	v := openVault(p)
	if _, _, err := v.load(ctx); errors.Is(err, errNobody) {
		return false, nil
	}
	return true, v.remove(ctx)
}

func preparePerson(c Config) (prepared, error) {
	p, err := prepare(c)
	if err == nil && p.Mode != Person {
		err = invalid("the configuration signs in as an application (auth.mode %s); nobody signs in or out", p.Mode)
	}
	return p, err
}

// memory is MSAL's cache during a login.
type memory struct{ data []byte }

// Replace gives MSAL what it had.
func (m *memory) Replace(_ context.Context, c cache.Unmarshaler, _ cache.ReplaceHints) error {
	if m.data == nil {
		return nil
	}
	return c.Unmarshal(m.data)
}

// Export remembers what MSAL has.
func (m *memory) Export(_ context.Context, c cache.Marshaler, _ cache.ExportHints) error {
	data, err := c.Marshal()
	if err == nil {
		m.data = data
	}
	return err
}
