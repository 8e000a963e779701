package flush_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/duskfs/duskfs/flush"
	"github.com/duskfs/duskfs/flush/simtest"
	"github.com/duskfs/duskfs/graph/graphtest"
)

// TestAReceiptThatCannotBeWrittenIsWrittenLater: what the flush did is not forgotten, and nothing torn takes its place.
func TestAReceiptThatCannotBeWrittenIsWrittenLater(t *testing.T) {
	in(t, nil, func(t *testing.T, w *simtest.World) {
		must(t, w.Mkdir("/d"), w.Write("/d/a.bin", simtest.Data("a", 900<<10)))
		obstacle := ""
		w.Between(func(r *http.Request, under http.RoundTripper) (*http.Response, error) {
			if parts, err := filepath.Glob(filepath.Join(w.Dir, "receipts", ".*.part")); err == nil && len(parts) == 1 && obstacle == "" {
				id := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(parts[0]), "."), ".part")
				obstacle = flush.ReceiptPath(w.Dir, id) + ".new"
				must(t, os.Mkdir(obstacle, 0o700))
			}
			return under.RoundTrip(r)
		})
		if _, err := w.Engine.Flush(t.Context(), flush.Request{}); err == nil || obstacle == "" {
			t.Errorf("the receipt was written: %v, %q", err, obstacle)
		}
		w.Between(nil)
		if list, err := flush.Receipts(w.Dir, 0); err != nil || len(list) != 0 {
			t.Errorf("receipts: %+v, %v", list, err)
		}
		must(t, os.Remove(obstacle))
		w.Use(w.Near)
		list, err := flush.Receipts(w.Dir, 0)
		if must(t, err); len(list) != 1 {
			t.Fatalf("receipts: %+v", list)
		}
		full, err := flush.ReadReceipt(w.Dir, list[0].ID)
		if must(t, err); full.Totals.Sent != 2 || len(full.Items) != 2 || !strings.Contains(full.Error, "could not write its receipt") {
			t.Errorf("receipt: %+v", full)
		}
		w.Quiet()
		if left, err := filepath.Glob(filepath.Join(w.Dir, "receipts", ".*")); err != nil || len(left) > 0 {
			t.Errorf("left %v, %v", left, err)
		}
	})
}

func TestAReceiptTellsWhatIsNeverDeletedFromWhatWaitsToBeConfirmed(t *testing.T) {
	in(t, func(d *graphtest.Drive) { put(t, d, "/a.txt", "a") }, func(t *testing.T, w *simtest.World) {
		w.Options.NoDeletes = true
		w.Use(w.Near)
		must(t, w.Remove("/a.txt"), w.Write("/b.txt", []byte("b")))
		full, err := flush.ReadReceipt(w.Dir, w.Flush().File)
		if must(t, err); len(full.Guarded) != 0 || full.Totals.Guarded != 0 || len(full.Kept) != 1 || full.Kept[0] != "/a.txt" {
			t.Errorf("receipt: %+v", full)
		}
	})
}
