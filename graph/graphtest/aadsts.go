package graphtest

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
)

// aadsts says how the login host words a refusal that nobody asked for (graph-facts §1.3, §1.4).
func aadsts(number int) (status int, code, text string) {
	status, code, text = http.StatusBadRequest, "invalid_grant", "The sign-in was refused."
	switch number {
	case 7000215, 7000222, 70002, 700027, 7000218, 700025:
		status, code, text = http.StatusUnauthorized, "invalid_client", "The client's credential was refused."
	case 700016, 70001, 7000112, 50105, 650056, 650057, 65005:
		code, text = "unauthorized_client", "The application is not usable in this directory."
	case 90002, 50059, 90014, 900144, 9001023, 50194, 90038:
		code, text = "invalid_request", "The request does not fit the tenant."
	case 70011, 1002012:
		code, text = "invalid_scope", "The scope is not valid."
	case 500011:
		code, text = "invalid_resource", "The resource principal was not found in the tenant."
	case 50072, 50074, 50076, 50078, 50079, 53000, 53001, 53002, 53003, 530035, 65001:
		code, text = "interaction_required", "The person has to do something: a second factor, a policy or a consent."
		if number == 65001 {
			code = "invalid_grant"
		}
	case 70016:
		code, text = "authorization_pending", "OAuth 2.0 device flow error. Authorization is pending. Continue polling."
	case 50033, 90006, 90024, 90033, 90055:
		status, code, text = http.StatusServiceUnavailable, "temporarily_unavailable", "A transient error has occurred. Please try again."
	case 50196:
		code, text = "invalid_grant", "The server terminated an operation because it encountered a client request loop."
	}
	return status, code, text
}

// Challenge makes Graph refuse every access token given so far to clients that declared the capability
// CP1, with a claims challenge (graph-facts §1.5). claims is its JSON; empty makes a plain one.
func (s *Server) Challenge(claims string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if claims == "" {
		claims = `{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}`
	}
	s.entra.challenge = claims
	for t, p := range s.entra.access {
		p.challenged = p.capable
		s.entra.access[t] = p
	}
}

// Claims lists the claims that token requests carried, oldest first.
func (s *Server) Claims() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.entra.claims...)
}

// noteClaims remembers the claims of a token request, and reports whether the client declares CP1.
func (e *entra) noteClaims(claims string) bool {
	if claims == "" {
		return false
	}
	e.claims = append(e.claims, claims)
	var c struct {
		Access struct {
			XMS struct {
				Values []string `json:"values"`
			} `json:"xms_cc"`
		} `json:"access_token"`
	}
	if json.Unmarshal([]byte(claims), &c) != nil {
		return false
	}
	for _, v := range c.Access.XMS.Values {
		if strings.EqualFold(v, "CP1") {
			return true
		}
	}
	return false
}

// challengeHeader is the WWW-Authenticate of a claims challenge.
func (e *entra) challengeHeader() string {
	return `Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", client_id="00000003-0000-0000-c000-000000000000", error="insufficient_claims", claims="` +
		base64.StdEncoding.EncodeToString([]byte(e.challenge)) + `"`
}
