package flush

import (
	"errors"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/graph"
)

var errNotYet = errors.New("not there yet")

// ReceiptSchema is the version of the shape of receipts. Fields are added without a new one.
const ReceiptSchema = 1

// Receipt is the full record of one flush of one drive, as it is kept in a file of its own (docs/RECEIPTS.md).
type Receipt struct {
	Schema  int            `json:"schema"`
	ID      string         `json:"id"` // name of the file, without its end
	Started time.Time      `json:"started"`
	Ended   time.Time      `json:"ended"`
	Account string         `json:"account"` // sign-in name, may be empty
	Drive   graph.DriveID  `json:"drive"`
	Num     cache.DriveNum `json:"num"`
	Name    string         `json:"name"`            // of the drive, as people see it
	Trigger string         `json:"trigger"`         // "asked" or "schedule"
	Host    string         `json:"host"`            // machine
	Error   string         `json:"error,omitempty"` // why it ended early
	Totals  ReceiptTotals  `json:"totals"`
	Items   []ReceiptItem  `json:"items"`
	Guarded []string       `json:"guarded,omitempty"` // paths whose deletion was held back
	Emptied []string       `json:"emptied,omitempty"` // paths held back since they became empty
}

// ReceiptTotals sums a receipt up. Times are in milliseconds.
type ReceiptTotals struct {
	Sent      int   `json:"sent"`
	Bytes     int64 `json:"bytes"`
	Deferred  int   `json:"deferred"`
	Busy      int   `json:"busy"`
	Conflicts int   `json:"conflicts"`
	Guarded   int   `json:"guarded"`
	Left      int   `json:"left"` // pending afterwards
	Took      int64 `json:"took_ms"`
	Throttled int64 `json:"throttled_ms"` // of that, waited since the service asked for it
}

// ReceiptItem is one step of a flush.
type ReceiptItem struct {
	Op      string       `json:"op"`
	Path    string       `json:"path"`
	From    string       `json:"from,omitempty"`
	Item    graph.ItemID `json:"item,omitempty"`
	OldETag string       `json:"old_etag,omitempty"`
	ETag    string       `json:"etag,omitempty"`
	Bytes   int64        `json:"bytes,omitempty"`
	Hash    graph.Hash   `json:"hash,omitempty"` // quickXorHash of what was sent
	Outcome string       `json:"outcome"`
	Reason  string       `json:"reason,omitempty"`
	Took    int64        `json:"took_ms"`
	Request string       `json:"request,omitempty"` // the service's id of the request that was refused
}

// Receipts lists the newest receipts, newest first, without their items; max 0 lists all.
func (e *Engine) Receipts(max int) ([]Receipt, error) { return nil, errNotYet }

// Receipt returns one with its items. The error is fs.ErrNotExist if there is none.
func (e *Engine) Receipt(id string) (Receipt, error) { return Receipt{}, errNotYet }
