package graphtest

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"html"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// deviceCode begins a sign-in by device code.
func (s *Server) deviceCode(r *http.Request) *reply {
	if err := r.ParseForm(); err != nil {
		return s.aadError(http.StatusBadRequest, "invalid_request", 900144, "The request body is malformed.")
	}
	f := r.Form
	client := strings.ToLower(f.Get("client_id"))
	s.mu.Lock()
	_, known := s.entra.secrets[client]
	s.mu.Unlock()
	if !known {
		return s.aadError(http.StatusBadRequest, "unauthorized_client", 700016, "Application with identifier '"+client+"' was not found in the directory.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	d := &signIn{principal: principal{client: client, scope: f.Get("scope"), ends: s.now().Add(15 * time.Minute)}, userCode: strings.ToUpper(random(4)) + "X"}
	if u := s.first(); s.entra.auto && u != nil {
		d.user, d.approved = u, true
	}
	code := "SECRET-DEVICE-" + random(24)
	s.entra.device[code] = d
	page := "https://" + r.Host + "/device"
	return jsonReply(http.StatusOK, object{"user_code": d.userCode, "device_code": code, "verification_uri": page, "expires_in": 900, "interval": 5,
		"message": "To sign in, use a web browser to open the page " + page + " and enter the code " + d.userCode + " to authenticate."})
}

func (s *Server) redeemDevice(f url.Values, client string, capable bool) *reply {
	code := f.Get("device_code")
	s.mu.Lock()
	d := s.entra.device[code]
	var state signIn
	if d != nil {
		state = *d
		if d.approved && d.client == client {
			delete(s.entra.device, code)
		}
	}
	s.mu.Unlock()
	switch {
	case d == nil || state.client != client:
		return s.aadError(http.StatusBadRequest, "bad_verification_code", 70018, "Bad verification code.")
	case state.declined:
		return s.aadError(http.StatusBadRequest, "authorization_declined", 70012, "The end user denied the authorization request.")
	case !s.now().Before(state.ends):
		return s.aadError(http.StatusBadRequest, "expired_token", 70019, "The code has expired.")
	case !state.approved:
		return s.aadError(http.StatusBadRequest, "authorization_pending", 70016, "OAuth 2.0 device flow error. Authorization is pending. Continue polling.")
	}
	if f.Get("scope") == "" {
		f.Set("scope", state.scope)
	}
	state.capable = capable
	return s.userTokens(f, state.principal, "")
}

// devicePage is where a person types a user code.
func (s *Server) devicePage(r *http.Request) *reply {
	text := `<form method="post">Code <input name="user_code"> User <input name="user"> <button>Sign in</button></form>`
	if r.Method == http.MethodPost {
		text = "That code is not known."
		if r.ParseForm() == nil && s.ApproveDevice(r.PostForm.Get("user_code"), r.PostForm.Get("user")) {
			text = "You have signed in. You may now close this window."
		}
	}
	return page(text)
}

func page(text string) *reply {
	out := textReply(http.StatusOK, "<!DOCTYPE html><html><head><title>Sign in</title></head><body>"+text+"</body></html>")
	out.header.Set("Content-Type", "text/html; charset=utf-8")
	return out
}

// authorize signs Me (or the person that login_hint names) in without asking and sends the browser
// back, by a form or by a redirect.
func (s *Server) authorize(r *http.Request) *reply {
	q := r.URL.Query()
	client := strings.ToLower(q.Get("client_id"))
	back, err := url.Parse(q.Get("redirect_uri"))
	s.mu.Lock()
	_, known := s.entra.secrets[client]
	user := s.first()
	if hint := q.Get("login_hint"); hint != "" {
		if u := s.userBy(hint); u != nil {
			user = u
		}
	}
	s.mu.Unlock()
	switch {
	case !known:
		return page("AADSTS700016: Application with identifier '" + html.EscapeString(client) + "' was not found in the directory.")
	case user == nil:
		return page("AADSTS50034: The user account does not exist in the directory.")
	case err != nil || back.Host == "" && back.Opaque == "":
		return page("AADSTS50011: The redirect URI specified in the request does not match.")
	}
	code := "SECRET-CODE-" + random(24)
	s.mu.Lock()
	s.entra.codes[code] = &signIn{principal: principal{client: client, user: user, scope: q.Get("scope"), ends: s.now().Add(10 * time.Minute)},
		redirect: q.Get("redirect_uri"), challenge: q.Get("code_challenge"), method: q.Get("code_challenge_method"), nonce: q.Get("nonce")}
	s.mu.Unlock()
	if q.Get("response_mode") == "form_post" {
		return page(fmt.Sprintf(`<form method="post" action="%s"><input type="hidden" name="code" value="%s"><input type="hidden" name="state" value="%s"><noscript><button>Go on</button></noscript></form><script>document.forms[0].submit()</script>`,
			html.EscapeString(back.String()), code, html.EscapeString(q.Get("state"))))
	}
	v := back.Query()
	v.Set("code", code)
	if st := q.Get("state"); st != "" {
		v.Set("state", st)
	}
	back.RawQuery = v.Encode()
	out := newReply(http.StatusFound)
	out.header.Set("Location", back.String())
	return out
}

func (s *Server) redeemCode(f url.Values, client string, capable bool) *reply {
	code := f.Get("code")
	s.mu.Lock()
	d := s.entra.codes[code]
	delete(s.entra.codes, code)
	s.mu.Unlock()
	switch {
	case d == nil:
		return s.aadError(http.StatusBadRequest, "invalid_grant", 54005, "OAuth2 Authorization code was already redeemed, please retry with a new valid code or use an existing refresh token.")
	case d.client != client:
		return s.aadError(http.StatusBadRequest, "invalid_grant", 70000, "The code was issued to another client.")
	case !s.now().Before(d.ends):
		return s.aadError(http.StatusBadRequest, "invalid_grant", 70008, "The provided authorization code or refresh token has expired due to inactivity.")
	case f.Get("redirect_uri") != d.redirect:
		return s.aadError(http.StatusBadRequest, "invalid_grant", 50011, "The redirect URI does not match the one of the authorization request.")
	}
	if d.challenge != "" {
		got := f.Get("code_verifier")
		if d.method == "S256" {
			sum := sha256.Sum256([]byte(got))
			got = base64.RawURLEncoding.EncodeToString(sum[:])
		}
		if got != d.challenge {
			return s.aadError(http.StatusBadRequest, "invalid_grant", 501481, "The Code_Verifier does not match the code_challenge supplied in the authorization request.")
		}
	}
	if f.Get("scope") == "" {
		f.Set("scope", d.scope)
	}
	p := d.principal
	p.capable = capable
	return s.userTokens(f, p, d.nonce)
}
