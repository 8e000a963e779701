package graphtest

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Managed identity: the token endpoints of a virtual machine (IMDS) and of App Service, which here
// sit at the login host; Transport reaches the first one also at its own address.
const (
	imdsHost = "169.254.169.254"
	// ManagedIdentityHeader is the secret that App Service's endpoint asks for (IDENTITY_HEADER).
	ManagedIdentityHeader = "SECRET-IDENTITY-HEADER"
)

// ManagedIdentityEndpoint is the value for IDENTITY_ENDPOINT.
func (s *Server) ManagedIdentityEndpoint() string { return s.LoginURL() + "/msi/token" }

// AddManagedIdentity makes a user-assigned identity known by its client id.
func (s *Server) AddManagedIdentity(clientID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entra.managed[strings.ToLower(clientID)] = true
}

// managedIdentity gives a token to the machine itself.
func (s *Server) managedIdentity(r *http.Request) *reply {
	q := r.URL.Query()
	bad := func(status int, why string) *reply {
		return jsonReply(status, object{"error": "invalid_request", "error_description": why})
	}
	imds := strings.HasPrefix(r.URL.Path, "/metadata/")
	switch {
	case r.Method != http.MethodGet:
		return bad(http.StatusMethodNotAllowed, "GET is needed")
	case imds && r.Header.Get("Metadata") != "true":
		return bad(http.StatusBadRequest, "Required metadata header not specified")
	case !imds && r.Header.Get("X-IDENTITY-HEADER") != ManagedIdentityHeader:
		return bad(http.StatusUnauthorized, "The header X-IDENTITY-HEADER is missing or wrong")
	case q.Get("api-version") == "":
		return bad(http.StatusBadRequest, "Required query variable 'api-version' is missing")
	case q.Get("resource") == "" || strings.HasSuffix(q.Get("resource"), ".default"):
		return bad(http.StatusBadRequest, "AADSTS500011: a resource is needed, not a scope")
	}
	client := strings.ToLower(q.Get("client_id"))
	s.mu.Lock()
	defer s.mu.Unlock()
	if client != "" && !s.entra.managed[client] {
		return bad(http.StatusBadRequest, "Identity not found")
	}
	if client == "" {
		client = "system-assigned"
	}
	now, life := s.now(), s.entra.life()
	tok := s.entra.grantApp(principal{client: client, capable: true})
	secs := strconv.Itoa(int(life / time.Second))
	return jsonReply(http.StatusOK, object{"access_token": tok, "client_id": client, "expires_in": secs, "ext_expires_in": secs,
		"expires_on": strconv.FormatInt(now.Add(life).Unix(), 10), "not_before": strconv.FormatInt(now.Unix(), 10), "resource": q.Get("resource"), "token_type": "Bearer"})
}
