package cli_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strconv"

	"github.com/rogpeppe/go-internal/testscript"
)

// people plays the persons of the tenant:
//
//	people auto      type every device code at once
//	people revoke    make all sign-ins so far worthless
func (w *world) people(_ *testscript.TestScript, args []string) error {
	switch args[0] {
	case "auto":
		w.server.AutoApprove(true)
	case "revoke":
		w.server.RevokeSignIns()
	default:
		return fmt.Errorf("people %s is not known", args[0])
	}
	return nil
}

// mode checks the permissions of files: mode 0600 FILE...
func (w *world) mode(ts *testscript.TestScript, args []string) error {
	want, err := strconv.ParseUint(args[0], 8, 32)
	if err != nil {
		return err
	}
	for _, name := range args[1:] {
		i, err := os.Stat(ts.MkAbs(name))
		if err != nil {
			return err
		}
		if i.Mode().Perm() != os.FileMode(want) {
			return fmt.Errorf("%s has mode %o", name, i.Mode().Perm())
		}
	}
	return nil
}

// browse is a browser in which somebody is signed in: it opens an address and posts the form that it
// gets to where that belongs.
func browse() {
	if err := browseTo(os.Args[len(os.Args)-1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func browseTo(address string) error {
	pem, err := os.ReadFile(os.Getenv("DUSKFS_CA_FILE"))
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	resp, err := client.Get(address)
	if err != nil {
		return err
	}
	page, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return err
	}
	action := regexp.MustCompile(`action="([^"]+)"`).FindSubmatch(page)
	if action == nil {
		return fmt.Errorf("no form in %s", page)
	}
	form := url.Values{}
	for _, f := range regexp.MustCompile(`name="([^"]+)" value="([^"]*)"`).FindAllSubmatch(page, -1) {
		form.Set(string(f[1]), html.UnescapeString(string(f[2])))
	}
	back, err := client.PostForm(html.UnescapeString(string(action[1])), form)
	if err != nil {
		return err
	}
	return back.Body.Close()
}
