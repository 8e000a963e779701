package graphtest_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/duskfs/duskfs/graph/graphtest"
)

func TestManyClientsAtOnce(t *testing.T) {
	s := graphtest.Start(t, graphtest.Options{Dir: t.TempDir()})
	d := s.Drive("")
	token := s.AccessToken(s.Me().ID)
	hc := noRedirect(s.Transport())
	one := func(method, path, body string) error {
		req, err := http.NewRequestWithContext(t.Context(), method, s.GraphURL()+"/v1.0/me/drive/"+path, strings.NewReader(body))
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := hc.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		if res.StatusCode >= 400 {
			return fmt.Errorf("%s %s: %s", method, path, res.Status)
		}
		return nil
	}
	const workers, rounds = 8, 20
	errs := make([]error, workers)
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				name := fmt.Sprintf("w%d-%d.txt", w, i)
				_, err := d.Put("/colleague/"+name, []byte(name))
				errs[w] = errors.Join(errs[w], err, one("PUT", "root:/"+name+":/content", name), one("GET", "root/delta", ""),
					one("GET", "root:/"+name+":/content", ""), one("GET", "root/children", ""))
				if i%2 == 0 {
					errs[w] = errors.Join(errs[w], one("DELETE", "root:/"+name, ""))
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	all, err := d.Walk()
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "items", len(all), 1+workers*rounds+workers*rounds/2)
	equal(t, "puts", s.Counts().Of(graphtest.OpPut), workers*rounds)
}
