package graphtest

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// Federation says whose tokens an application accepts as its own proof (workload identity). Its
// audience is api://AzureADTokenExchange.
type Federation struct {
	Issuer, Subject string
	Key             *rsa.PublicKey
}

// AddCertificate registers a certificate (RSA) of an application, made if it is not known.
func (s *Server) AddCertificate(clientID string, cert *x509.Certificate) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entra.know(clientID)
	s.entra.certs[strings.ToLower(clientID)] = append(s.entra.certs[strings.ToLower(clientID)], cert)
}

// AddFederation registers a federated credential of an application, made if it is not known.
func (s *Server) AddFederation(clientID string, f Federation) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entra.know(clientID)
	s.entra.federations[strings.ToLower(clientID)] = append(s.entra.federations[strings.ToLower(clientID)], f)
}

func (e *entra) know(clientID string) {
	if id := strings.ToLower(clientID); e.secrets[id] == "" {
		e.secrets[id] = ""
	}
}

// jwt is a JSON web token that has been taken apart, not judged.
type jwt struct {
	head struct {
		Alg     string `json:"alg"`
		X5T     string `json:"x5t"`
		X5TS256 string `json:"x5t#S256"`
	}
	claims struct {
		Aud any    `json:"aud"`
		Iss string `json:"iss"`
		Sub string `json:"sub"`
		Exp int64  `json:"exp"`
		Nbf int64  `json:"nbf"`
		JTI string `json:"jti"`
	}
	signed, signature []byte
}

func parseJWT(text string) (t jwt, ok bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 3 {
		return t, false
	}
	t.signed = []byte(parts[0] + "." + parts[1])
	var err error
	if t.signature, err = base64.RawURLEncoding.DecodeString(parts[2]); err != nil {
		return t, false
	}
	for i, into := range []any{&t.head, &t.claims} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err != nil || json.Unmarshal(raw, into) != nil {
			return t, false
		}
	}
	return t, true
}

// signedBy checks the signature, PS256 or RS256.
func (t jwt) signedBy(key *rsa.PublicKey) bool {
	sum := sha256.Sum256(t.signed)
	switch t.head.Alg {
	case "PS256":
		return rsa.VerifyPSS(key, crypto.SHA256, sum[:], t.signature, nil) == nil
	case "RS256":
		return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], t.signature) == nil
	}
	return false
}

// names reports whether the head of a token names a certificate, in either base64.
func (t jwt) names(cert *x509.Certificate) bool {
	is := func(got string, want []byte) bool {
		got = strings.TrimRight(strings.NewReplacer("+", "-", "/", "_").Replace(got), "=")
		return got == base64.RawURLEncoding.EncodeToString(want)
	}
	long, short := sha256.Sum256(cert.Raw), sha1.Sum(cert.Raw)
	if t.head.X5TS256 != "" {
		return is(t.head.X5TS256, long[:])
	}
	return is(t.head.X5T, short[:])
}

// in reports whether an audience is among those of the token.
func (t jwt) in(audiences ...string) bool {
	for _, a := range audiences {
		if t.claims.Aud == a {
			return true
		}
		if list, ok := t.claims.Aud.([]any); ok {
			for _, x := range list {
				if x == a {
					return true
				}
			}
		}
	}
	return false
}

// proves judges the client assertion of a token request. It returns nil if it proves the client.
func (s *Server) proves(r *http.Request, f url.Values, client string) *reply {
	const skew = 5 * time.Minute
	t, ok := parseJWT(f.Get("client_assertion"))
	switch now := s.now(); {
	case f.Get("client_assertion_type") != assertionType:
		return s.aadError(http.StatusBadRequest, "invalid_request", 900144, "The request body must contain the following parameter: 'client_assertion_type'.")
	case !ok:
		return s.aadError(http.StatusUnauthorized, "invalid_client", 50027, "JWT token is invalid or malformed.")
	case now.After(time.Unix(t.claims.Exp, 0).Add(skew)) || now.Add(skew).Before(time.Unix(t.claims.Nbf, 0)):
		return s.aadError(http.StatusUnauthorized, "invalid_client", 700024, "Client assertion is not within its valid time range.")
	}
	s.mu.Lock()
	certs, federations := s.entra.certs[client], s.entra.federations[client]
	s.mu.Unlock()
	if t.claims.Iss != client { // somebody else's token
		for _, fed := range federations {
			if fed.Issuer != t.claims.Iss || fed.Subject != t.claims.Sub || !t.in("api://AzureADTokenExchange") {
				continue
			}
			if t.signedBy(fed.Key) {
				return nil
			}
			return s.aadError(http.StatusUnauthorized, "invalid_client", 700027, "Client assertion failed signature validation.")
		}
		return s.aadError(http.StatusBadRequest, "invalid_client", 700213, "No matching federated identity record found for presented assertion subject '"+t.claims.Sub+"'.")
	}
	own := "https://" + r.Host + r.URL.Path
	if t.claims.Sub != client || !t.in(own, strings.TrimSuffix(own, "/oauth2/v2.0/token")+"/v2.0") {
		return s.aadError(http.StatusUnauthorized, "invalid_client", 700023, "Client assertion audience claim does not match Realm issuer.")
	}
	for _, cert := range certs {
		if key, ok := cert.PublicKey.(*rsa.PublicKey); ok && t.names(cert) && t.claims.JTI != "" && t.signedBy(key) {
			return nil
		}
	}
	return s.aadError(http.StatusUnauthorized, "invalid_client", 700027, "The certificate with identifier used to sign the client assertion is not registered on application.")
}
