package simtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
)

// Address is where another process finds the service of a world: what Join needs.
type Address struct {
	URL, CA, User, Drive, Token string
}

// remoteKey is the variable by which a process hands an Address to a child of its own.
const remoteKey = "DUSKFS_SIMTEST_REMOTE"

// Env is the address as a variable for a child.
func (a Address) Env() string {
	return remoteKey + "=" + strings.Join([]string{a.URL, a.CA, a.User, a.Drive, a.Token}, "\n")
}

// AddressFromEnv returns the address that the parent gave; ok is false if this is no child.
func AddressFromEnv() (a Address, ok bool) {
	v, ok := os.LookupEnv(remoteKey)
	if f := strings.Split(v, "\n"); ok && len(f) == 5 {
		return Address{f[0], f[1], f[2], f[3], f[4]}, true
	}
	return a, false
}

// Serve makes a service that listens on loopback, and a world at it whose store is not opened yet:
// another process will Join it, and after that one's death Open goes on with what it left.
func Serve(t testing.TB, prepare func(*graphtest.Drive)) (*World, Address) {
	t.Helper()
	s := graphtest.Start(t, graphtest.Options{})
	w := &World{T: t, Server: s, Far: s.Me().Drive(), Dir: Folder(t)}
	if prepare != nil {
		prepare(w.Far)
	}
	w.must(s.Listen("127.0.0.1:0"))
	w.connect(s.Transport(), s.GraphURL(), s.Me().UPN, graph.DriveID(w.Far.ID()), &tokens{s: s})
	return w, Address{s.GraphURL(), s.CAFile(), s.Me().UPN, w.Far.ID(), s.AccessToken("")}
}

// Join makes a world in this process at a service that another one serves. Nobody plays the
// colleague here: Server and Far are nil. The store in dir is opened.
func Join(t testing.TB, a Address, dir string) *World {
	t.Helper()
	w := &World{T: t}
	pem, err := os.ReadFile(a.CA)
	w.must(err)
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		t.Fatal(errors.New("the CA file holds no certificate"))
	}
	under := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}}
	t.Cleanup(under.CloseIdleConnections)
	w.connect(under, a.URL, a.User, graph.DriveID(a.Drive), fixed(a.Token))
	w.Open(dir)
	return w
}

// fixed is a token that cannot be renewed.
type fixed string

func (f fixed) Token(context.Context) (string, error) { return string(f), nil }

func (f fixed) Refresh(context.Context, string, string) (string, error) {
	return "", fmt.Errorf("the token of a child cannot be renewed: %w", graph.SignIn)
}
