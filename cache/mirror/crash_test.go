package mirror_test

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/duskfs/duskfs/cache/mirror"
	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"

	"context"
	"crypto/x509"
)

var kills = flag.Int("kills", 25, "how many runs are killed")

// childEnv holds what the test binary does when it is started as a child.
const childEnv = "DUSKFS_MIRROR_CHILD"

type child struct{ Graph, CA, Token, User, Drive, Folder, State string }

type oneToken string

func (o oneToken) Token(context.Context) (string, error)                   { return string(o), nil }
func (o oneToken) Refresh(context.Context, string, string) (string, error) { return string(o), nil }

func TestMain(m *testing.M) {
	text := os.Getenv(childEnv)
	if text == "" {
		os.Exit(m.Run())
	}
	if err := mirrorAsChild(text); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func mirrorAsChild(text string) error {
	var c child
	if err := json.Unmarshal([]byte(text), &c); err != nil {
		return err
	}
	pem, err := os.ReadFile(c.CA)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	client, err := rest.New(rest.Options{GraphURL: c.Graph, Transport: rest.NewTransport(pool), Tokens: oneToken(c.Token), User: c.User})
	if err != nil {
		return err
	}
	r, err := mirror.New(mirror.Options{Service: client.Drive(graph.DriveID(c.Drive)), Drive: graph.Drive{ID: graph.DriveID(c.Drive)},
		Folder: c.Folder, Shown: "copy", State: c.State, Host: "here", AllowDeletes: true}).Sync(context.Background())
	if err == nil && r.InPart() {
		err = fmt.Errorf("done in part: %+v", r)
	}
	return err
}

// TestNothingIsDroppedWhenARunIsKilled kills runs at random moments while the library changes. In the end folder,
// permissions and what the reports told are those of the library, and no file was set aside.
func TestNothingIsDroppedWhenARunIsKilled(t *testing.T) {
	s := graphtest.Start(t, graphtest.Options{})
	if err := s.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	w := worldOf(t, s, "sites/Engineering#Documents", t.TempDir())
	rnd := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for n := range 60 {
		w.put(fmt.Sprintf("/d%d/e%d/f%d.txt", n%4, n%5, n), fmt.Sprint(n))
	}
	text, err := json.Marshal(child{s.GraphURL(), s.CAFile(), s.AccessToken(""), s.Me().UPN, w.far.ID(), w.o.Folder, w.o.State})
	w.ok(err)
	start := func() *exec.Cmd {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), childEnv+"="+string(text))
		c.Stderr = os.Stderr
		w.ok(c.Start())
		return c
	}
	// A run that is let be says how long one takes.
	began := time.Now()
	w.ok(start().Wait())
	whole := time.Since(began)
	killed := 0
	for round := 0; killed < *kills; round++ {
		for n := range 12 {
			w.colleague(rnd, round*100+n)
		}
		c := start()
		died := make(chan error, 1)
		go func() { died <- c.Wait() }()
		select {
		case err := <-died:
			w.ok(err)
			w.feed()
			w.equal()
		case <-time.After(time.Duration(rnd.Int64N(int64(whole)))):
			if err := c.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
				t.Fatal(err)
			}
			var ended *exec.ExitError
			if err := <-died; errors.As(err, &ended) && ended.ExitCode() == -1 {
				killed++
			}
			w.feed()
		}
	}
	w.ok(start().Wait())
	w.feed()
	w.equal()
	t.Logf("killed %d runs of about %v; %d reports", killed, whole, len(w.read))
}
