package push_test

import (
	"errors"
	"fmt"
	"net/http"
	"path"
	"testing"

	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph/name"
)

// A rename to another Unicode form of the name goes by way of a temporary name, which nothing keeps, whatever comes
// between.
func TestARenameToAnotherUnicodeFormLeavesNoTemporaryName(t *testing.T) {
	const composed, decomposed = "/\u00e9.txt", "/e\u0301.txt"
	between := map[string]func(w *simtest.World){
		"nothing":                   func(*simtest.World) {},
		"a colleague uses the name": func(w *simtest.World) { put(w.T, w.Far, composed, "theirs") },
		"it is renamed back":        func(w *simtest.World) { must(w.T, w.Move(decomposed, composed)) },
		"it is removed":             func(w *simtest.World) { must(w.T, w.Remove(decomposed)) },
	}
	for what, happens := range between {
		for _, lost := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, answer lost: %v", what, lost), func(t *testing.T) {
				in(t, map[string]string{composed: "ours"}, func(t *testing.T, w *simtest.World) {
					must(t, w.Move(composed, decomposed))
					renames := 0
					w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
						answer, err := under.RoundTrip(r)
						if r.Method != http.MethodPatch || err != nil {
							return answer, err
						}
						if renames++; renames != 2 { // the first is refused, the second is to the temporary name
							return answer, nil
						}
						happens(w)
						if lost {
							answer.Body.Close()
							return nil, errors.New("the connection breaks")
						}
						return answer, nil
					})
					w.Flush()
					w.Between(nil)
					w.Flush()
					for p := range w.There() {
						if name.IsTemporary(path.Base(p)) {
							t.Errorf("%s is left", p)
						}
					}
					w.Equal()
					w.Quiet()
				})
			})
		}
	}
}

// The name under which a twin was shown, which has gone since, stands for its true name, whoever has it now.
func TestARenameToTheNameOfATwinThatHasGoneIsOneToAnotherUnicodeForm(t *testing.T) {
	const composed, decomposed = "/\u00e9.txt", "e\u0301.txt"
	in(t, map[string]string{composed: "ours"}, func(t *testing.T, w *simtest.World) {
		must(t, w.Move(composed, "/"+name.Twin(decomposed, 0)))
		w.Flush()
		if got, ok := w.There()["/"+decomposed]; !ok || got != "ours" {
			t.Errorf("there is %q", w.There())
		}
		w.Flush()
		w.Equal()
		w.Quiet()
	})
}
