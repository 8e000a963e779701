package graphtest

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// principal is who a request comes from: a person through an app, or the app itself.
type principal struct {
	client string
	user   *User     // nil for the app itself
	begun  time.Time // of an access token
	ends   time.Time
	scope  string

	allows     allows
	capable    bool // the client declared that it handles claims challenges
	challenged bool // the token is refused with a challenge
}

// signIn is a device code or an authorization code on its way to a token.
type signIn struct {
	principal
	userCode  string
	approved  bool
	declined  bool
	redirect  string
	challenge string
	method    string
	nonce     string
}

// entra is what the login host remembers.
type entra struct {
	s       *Server
	access  map[string]principal
	refresh map[string]principal
	device  map[string]*signIn
	codes   map[string]*signIn
	secrets map[string]string // client id to secret
	auto    bool
	granted map[string][]string // permissions by client id; none named is all
	consent consented

	certs       map[string][]*x509.Certificate // by client id
	federations map[string][]Federation
	managed     map[string]bool // client ids of identities
	challenge   string          // JSON of the claims that challenged tokens lack
	claims      []string        // of token requests
}

func (e *entra) init(s *Server) {
	e.s = s
	e.access, e.refresh = map[string]principal{}, map[string]principal{}
	e.device, e.codes = map[string]*signIn{}, map[string]*signIn{}
	e.granted, e.consent = map[string][]string{}, consented{}
	e.certs, e.federations, e.managed = map[string][]*x509.Certificate{}, map[string][]Federation{}, map[string]bool{}
	e.secrets = map[string]string{DefaultClientID: DefaultClientSecret}
}

// AddApp registers one more application. An empty secret makes it a public client only.
func (s *Server) AddApp(clientID, secret string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entra.secrets[strings.ToLower(clientID)] = secret
}

// ApproveDevice signs a person (by id or sign-in name; "" is Me) in for a user code, as if they had
// typed it at the device page. It reports whether the code is known.
func (s *Server) ApproveDevice(userCode, user string) bool {
	return s.decideDevice(userCode, user, true)
}

// DeclineDevice refuses a user code.
func (s *Server) DeclineDevice(userCode string) bool { return s.decideDevice(userCode, "", false) }

func (s *Server) decideDevice(userCode, user string, yes bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.first()
	if user != "" {
		u = s.userBy(user)
	}
	for _, d := range s.entra.device {
		if u != nil && strings.EqualFold(d.userCode, strings.TrimSpace(userCode)) {
			d.user, d.approved, d.declined = u, yes, !yes
			return true
		}
	}
	return false
}

// AutoApprove makes every device code approved by Me at once, or stops that.
func (s *Server) AutoApprove(on bool) { s.mu.Lock(); defer s.mu.Unlock(); s.entra.auto = on }

// RevokeSignIns makes all tokens given so far worthless, refresh tokens included.
func (s *Server) RevokeSignIns() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.entra.access)
	clear(s.entra.refresh)
}

// RevokeAccess makes all access tokens given so far worthless; refresh tokens stay good.
func (s *Server) RevokeAccess() { s.mu.Lock(); defer s.mu.Unlock(); clear(s.entra.access) }

// AccessToken makes an access token without a sign-in: for a person (id or sign-in name), or for
// the app itself if user is empty.
func (s *Server) AccessToken(user string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := principal{client: DefaultClientID, capable: true}
	if user != "" {
		p.user = s.userBy(user)
	}
	return s.entra.grantAccess(p)
}

// Tokens gives a client of the server a new access token for every call, without a sign-in. User is as for AccessToken.
type Tokens struct {
	Server *Server
	User   string
}

// Token returns an access token.
func (k Tokens) Token(context.Context) (string, error) { return k.Server.AccessToken(k.User), nil }

// Refresh returns another one, whatever was refused.
func (k Tokens) Refresh(context.Context, string, string) (string, error) {
	return k.Server.AccessToken(k.User), nil
}

// RefreshToken makes a refresh token of a person (id or sign-in name) without a sign-in.
func (s *Server) RefreshToken(user string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := "SECRET-REFRESH-" + random(24)
	p := principal{client: DefaultClientID, user: s.userBy(user), scope: "Files.ReadWrite.All Sites.ReadWrite.All User.Read offline_access", ends: s.now().Add(90 * 24 * time.Hour)}
	s.entra.refresh[t] = p
	s.entra.agree(p, p.scope)
	return t
}

func (e *entra) life() time.Duration {
	if e.s.life > 0 {
		return e.s.life
	}
	return time.Hour
}

func (e *entra) grantAccess(p principal) string {
	p.begun = e.s.now()
	p.ends = p.begun.Add(e.life())
	t := "SECRET-ACCESS-" + random(24)
	e.access[t] = p
	return t
}

// grantApp makes a token of an application that signs in as itself.
func (e *entra) grantApp(p principal) string {
	if all := e.granted[p.client]; len(all) > 0 {
		p.allows = allowing(all)
	}
	return e.grantAccess(p)
}

// bearer judges the Authorization header of a request to Graph. The caller holds the lock.
func (e *entra) bearer(r *http.Request, now time.Time) (principal, error) {
	scheme, tok, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	deny := func(msg string) (principal, error) {
		h := http.Header{}
		h.Set("WWW-Authenticate", `Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000"`)
		return principal{}, &apiError{status: http.StatusUnauthorized, code: "InvalidAuthenticationToken", msg: msg, header: h}
	}
	if !strings.EqualFold(scheme, "Bearer") || tok == "" {
		return deny("Access token is empty.")
	}
	p, ok := e.access[tok]
	switch {
	case !ok:
		return deny("Access token validation failure. Invalid audience.")
	case !now.Before(p.ends):
		return deny("Lifetime validation failed, the token is expired.")
	case p.challenged:
		h := http.Header{}
		h.Set("WWW-Authenticate", e.challengeHeader())
		return principal{}, &apiError{status: http.StatusUnauthorized, code: "InvalidAuthenticationToken", header: h,
			msg: "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: TokenCreatedWithOutdatedPolicies"}
	}
	return p, nil
}

// aadError is an error answer of the login host.
func (s *Server) aadError(status int, code string, number int, text string) *reply {
	return s.aadErrorWith(status, code, number, text, "")
}

// aadErrorWith is one with a claims challenge, if claims is not empty.
func (s *Server) aadErrorWith(status int, code string, number int, text, claims string) *reply {
	now := s.now()
	trace := s.requestID()
	o := object{"error": code, "error_codes": []int{number}, "timestamp": now.Format("2006-01-02 15:04:05Z"),
		"error_description": fmt.Sprintf("AADSTS%d: %s\r\nTrace ID: %s\r\nCorrelation ID: %s\r\nTimestamp: %s", number, text, trace, trace, now.Format("2006-01-02 15:04:05Z")),
		"trace_id":          trace, "correlation_id": trace, "error_uri": fmt.Sprintf("https://login.microsoftonline.com/error?code=%d", number)}
	if claims != "" {
		o["claims"], o["suberror"] = claims, "basic_action"
	}
	out := jsonReply(status, o)
	out.header.Set("x-ms-request-id", trace)
	return out
}

// login answers at the login host.
func (s *Server) login(r *http.Request) *reply {
	o := Op{Kind: OpLogin, Method: r.Method, Host: "login", Path: r.URL.Path}
	tenant, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	switch {
	case strings.HasSuffix(rest, "/token"), tenant == "msi":
		o.Kind = OpToken
	case strings.HasSuffix(rest, "/devicecode"):
		o.Kind = OpDeviceCode
	}
	s.mu.Lock()
	s.counts.add(o)
	s.check.request(o, r, s.now(), 0)
	fault := s.strike(o)
	s.mu.Unlock()
	at := s.now()
	out := s.disturbed(r.Context(), r, o, fault, func() *reply {
		if tenant == "metadata" || tenant == "msi" {
			return s.managedIdentity(r)
		}
		if rest == "discovery/instance" {
			return s.instances(r)
		}
		if tenant == "device" {
			return s.devicePage(r)
		}
		if !s.knowsTenant(tenant) {
			return s.aadError(http.StatusBadRequest, "invalid_request", 90002,
				"Tenant '"+tenant+"' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud.")
		}
		switch rest {
		case "v2.0/.well-known/openid-configuration":
			return s.openID(r, tenant)
		case "oauth2/v2.0/token":
			return s.tokenEndpoint(r)
		case "oauth2/v2.0/devicecode":
			return s.deviceCode(r)
		case "oauth2/v2.0/authorize":
			return s.authorize(r)
		case "oauth2/v2.0/logout":
			return textReply(http.StatusOK, "You signed out.")
		}
		return textReply(http.StatusNotFound, "Not found.")
	})
	s.record(o, at, out, 0)
	return out
}

func (s *Server) knowsTenant(t string) bool {
	switch strings.ToLower(t) {
	case s.TenantID(), "contoso.example", "common", "organizations", "consumers", "9188040d-6c67-4c5b-b112-36a304b66dad":
		return true
	}
	return false
}

// openID is the discovery document of a tenant.
func (s *Server) openID(r *http.Request, tenant string) *reply {
	root := "https://" + r.Host + "/" + tenant
	return jsonReply(http.StatusOK, object{
		"issuer": root + "/v2.0", "authorization_endpoint": root + "/oauth2/v2.0/authorize", "token_endpoint": root + "/oauth2/v2.0/token",
		"device_authorization_endpoint": root + "/oauth2/v2.0/devicecode", "end_session_endpoint": root + "/oauth2/v2.0/logout",
		"jwks_uri": root + "/discovery/v2.0/keys", "response_modes_supported": []string{"query", "fragment", "form_post"},
		"response_types_supported": []string{"code"}, "scopes_supported": []string{"openid", "profile", "email", "offline_access"},
		"subject_types_supported": []string{"pairwise"}, "id_token_signing_alg_values_supported": []string{"RS256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_post", "private_key_jwt", "client_secret_basic"},
		"tenant_region_scope":                   "EU", "cloud_instance_name": "microsoftonline.com"})
}

// instances answers instance discovery: this host and Microsoft's own names are one cloud.
func (s *Server) instances(r *http.Request) *reply {
	u, err := url.Parse(r.URL.Query().Get("authorization_endpoint"))
	if err != nil || u.Host == "" || u.Host != r.Host && !strings.HasPrefix(u.Host, "login.") {
		return s.aadError(http.StatusBadRequest, "invalid_instance", 50049, "Unknown or invalid instance.")
	}
	tenant, _, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	return jsonReply(http.StatusOK, object{"api-version": "1.1",
		"tenant_discovery_endpoint": "https://" + r.Host + "/" + tenant + "/v2.0/.well-known/openid-configuration",
		"metadata":                  []object{{"preferred_network": u.Host, "preferred_cache": u.Host, "aliases": []string{u.Host, r.Host}}}})
}

// tokenEndpoint gives tokens.
func (s *Server) tokenEndpoint(r *http.Request) *reply {
	if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
		return s.aadError(http.StatusBadRequest, "invalid_request", 900144, "The request body must contain the following parameter: 'grant_type'.")
	}
	f := r.PostForm
	client := strings.ToLower(f.Get("client_id"))
	secret := f.Get("client_secret")
	if id, pw, ok := r.BasicAuth(); ok {
		client, _ = url.QueryUnescape(strings.ToLower(id))
		secret, _ = url.QueryUnescape(pw)
	}
	s.mu.Lock()
	want, known := s.entra.secrets[client]
	capable := s.entra.noteClaims(f.Get("claims"))
	s.mu.Unlock()
	proved := secret != ""
	if known && f.Get("client_assertion") != "" {
		if refused := s.proves(r, f, client); refused != nil {
			return refused
		}
		proved = true
	}
	switch {
	case client == "":
		return s.aadError(http.StatusBadRequest, "invalid_request", 900144, "The request body must contain the following parameter: 'client_id'.")
	case !known:
		return s.aadError(http.StatusBadRequest, "unauthorized_client", 700016, "Application with identifier '"+client+"' was not found in the directory.")
	case secret != "" && want == "":
		return s.aadError(http.StatusUnauthorized, "invalid_client", 700025, "Client is public so neither 'client_assertion' nor 'client_secret' should be presented.")
	case secret != "" && secret != want:
		return s.aadError(http.StatusUnauthorized, "invalid_client", 7000215,
			"Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID.")
	}
	switch grant := f.Get("grant_type"); grant {
	case "client_credentials":
		return s.clientCredentials(f, principal{client: client, capable: capable}, proved)
	case "device_code", "urn:ietf:params:oauth:grant-type:device_code":
		return s.redeemDevice(f, client, capable)
	case "authorization_code":
		return s.redeemCode(f, client, capable)
	case "refresh_token":
		s.mu.Lock()
		p, ok := s.entra.refresh[f.Get("refresh_token")]
		s.mu.Unlock()
		switch {
		case !ok:
			return s.aadError(http.StatusBadRequest, "invalid_grant", 50173, "The provided grant has expired due to it being revoked, a fresh auth token is needed.")
		case p.client != client:
			return s.aadError(http.StatusBadRequest, "invalid_grant", 70000, "The refresh token was issued to another client.")
		case !s.now().Before(p.ends):
			return s.aadError(http.StatusBadRequest, "invalid_grant", 700082, "The refresh token has expired due to inactivity.")
		}
		s.mu.Lock()
		agreed := s.entra.agreed(p, f.Get("scope"))
		s.mu.Unlock()
		if !agreed {
			return s.aadError(http.StatusBadRequest, "invalid_grant", 65001,
				"The user or administrator has not consented to use the application with ID '"+client+"'. Send an interactive authorization request for this user and resource.")
		}
		p.capable = capable
		return s.userTokens(f, p, "")
	case "":
		return s.aadError(http.StatusBadRequest, "invalid_request", 900144, "The request body must contain the following parameter: 'grant_type'.")
	default:
		return s.aadError(http.StatusBadRequest, "unsupported_grant_type", 70003, "The app requested an unsupported grant type '"+grant+"'.")
	}
}

func (s *Server) clientCredentials(f url.Values, p principal, proved bool) *reply {
	if !proved {
		return s.aadError(http.StatusUnauthorized, "invalid_client", 7000218, "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.")
	}
	def := false
	for _, sc := range strings.Fields(f.Get("scope")) {
		def = def || sc == ".default" || strings.HasSuffix(sc, "/.default") // the bare form means Graph
	}
	if !def {
		return s.aadError(http.StatusBadRequest, "invalid_scope", 1002012, "The provided value for scope is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	tok := s.entra.grantApp(p)
	secs := int(s.entra.life() / time.Second)
	return jsonReply(http.StatusOK, object{"token_type": "Bearer", "expires_in": secs, "ext_expires_in": secs, "access_token": tok})
}

// userTokens answers with the tokens of a person.
func (s *Server) userTokens(f url.Values, p principal, nonce string) *reply {
	s.mu.Lock()
	defer s.mu.Unlock()
	scope := f.Get("scope")
	if scope == "" {
		scope = p.scope
	}
	p.scope, p.allows = scope, allowing(strings.Fields(scope))
	if f.Get("grant_type") != "refresh_token" {
		s.entra.agree(p, scope)
	}
	secs := int(s.entra.life() / time.Second)
	o := object{"token_type": "Bearer", "expires_in": secs, "ext_expires_in": secs, "access_token": s.entra.grantAccess(p), "scope": scope}
	fields := strings.Fields(scope)
	has := func(want string) bool {
		for _, sc := range fields {
			if strings.EqualFold(sc, want) {
				return true
			}
		}
		return false
	}
	if has("offline_access") || f.Get("grant_type") == "refresh_token" {
		p.ends = s.now().Add(90 * 24 * time.Hour)
		t := "SECRET-REFRESH-" + random(24)
		s.entra.refresh[t] = p
		o["refresh_token"] = t
	}
	if has("openid") {
		o["id_token"] = s.idToken(p, nonce)
	}
	if f.Get("client_info") == "1" {
		o["client_info"] = b64(object{"uid": p.user.ID, "utid": s.TenantID()})
	}
	return jsonReply(http.StatusOK, o)
}

func b64(o object) string {
	raw, _ := json.Marshal(o) // strings and numbers always marshal
	return base64.RawURLEncoding.EncodeToString(raw)
}

// idToken is a JWT whose signature nobody can check.
func (s *Server) idToken(p principal, nonce string) string {
	now := s.now()
	claims := object{"aud": p.client, "iss": s.loginURL + "/" + s.TenantID() + "/v2.0", "iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"sub": p.user.ID, "oid": p.user.ID, "tid": s.TenantID(), "name": p.user.Name, "preferred_username": p.user.UPN, "ver": "2.0"}
	if nonce != "" {
		claims["nonce"] = nonce
	}
	return b64(object{"typ": "JWT", "alg": "RS256", "kid": "emulator"}) + "." + b64(claims) + "." + base64.RawURLEncoding.EncodeToString([]byte("unsigned"))
}
