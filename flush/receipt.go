package flush

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush/push"
	"github.com/duskfs/duskfs/graph"
)

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
	Paths   []string       `json:"paths,omitempty"` // that the flush was limited to
	// Folder is the plain folder that an upload brought, and Target where its content went, from the root of the
	// drive; both are empty for a flush.
	Folder  string        `json:"folder,omitempty"`
	Target  string        `json:"target,omitempty"`
	Error   string        `json:"error,omitempty"` // why it ended early
	Totals  ReceiptTotals `json:"totals"`
	Items   []ReceiptItem `json:"items"`
	Guarded []string      `json:"guarded,omitempty"` // paths whose deletion was held back
	Kept    []string      `json:"kept,omitempty"`    // paths whose deletion is never sent (Options.NoDeletes)
	Emptied []string      `json:"emptied,omitempty"` // paths held back since they became empty
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
	// Requests are the service's ids of those that may have changed something, oldest first, ten at most.
	Requests []string `json:"requests,omitempty"`
}

// ReceiptItemOf tells of a step.
func ReceiptItemOf(d push.Done) ReceiptItem {
	i := ReceiptItem{
		Op: string(d.Step.Op), Path: d.Step.Path, From: d.Step.From, Item: d.Item, OldETag: d.OldETag, ETag: d.ETag,
		Bytes: d.Bytes, Hash: d.Hash, Outcome: string(d.Outcome), Reason: d.Reason, Took: d.Took.Milliseconds(),
		Request: d.Request, Requests: d.Requests,
	}
	if i.Item == "" {
		i.Item = d.Step.Item
	}
	return i
}

// receiptDir, inside the folder of the account's state, holds receipts. Files are added and never changed.
const receiptDir = "receipts"

// receiptTime begins the names of receipts, which sort by it.
const receiptTime = "20060102T150405.000"

// keepReceipt writes a receipt, and makes it survive a power cut, before it returns. It gives it its ID.
func keepReceipt(state string, r *Receipt) error {
	if err := os.MkdirAll(filepath.Join(state, receiptDir), 0o700); err != nil {
		return fmt.Errorf("keep a receipt: %w", err)
	}
	for i := 0; ; i++ {
		r.ID = receiptID(r.Started, r.Num, i)
		if _, err := os.Lstat(ReceiptPath(state, r.ID)); err != nil || i > 1000 {
			break
		}
	}
	text, err := json.MarshalIndent(r, "", " ")
	if err == nil {
		err = writeReceipt(state, r.ID, func(w io.Writer) error {
			_, err := w.Write(append(text, '\n'))
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("keep a receipt: %w", err)
	}
	return nil
}

// writeReceipt makes a receipt of what fill writes, and makes that survive a power cut before it returns. Until all is
// written there is no receipt of that ID.
func writeReceipt(state, id string, fill func(w io.Writer) error) error {
	to := ReceiptPath(state, id)
	f, err := os.OpenFile(to+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(f)
	err = errors.Join(fill(w), w.Flush(), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), to)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncFolder(filepath.Dir(to))
}

func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Receipts lists the newest receipts in the folder of an account's state, newest first, without their items; max 0
// lists all. It needs no engine and no store. Those that cannot be read are left out, and the error names them.
func Receipts(state string, max int) (list []Receipt, unreadable error) {
	list = []Receipt{}
	entries, err := os.ReadDir(filepath.Join(state, receiptDir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return list, fmt.Errorf("list receipts: %w", err)
	}
	slices.Reverse(entries)
	for _, entry := range entries {
		id, ok := strings.CutSuffix(entry.Name(), ".json")
		if !ok {
			continue
		}
		r, err := ReadReceipt(state, id)
		if err != nil {
			unreadable = errors.Join(unreadable, err)
			continue
		}
		r.Items = nil
		list = append(list, r)
		if len(list) == max {
			break
		}
	}
	return list, unreadable
}

// ReadReceipt returns one with its items. The error is fs.ErrNotExist if there is none.
func ReadReceipt(state, id string) (Receipt, error) {
	if id == "" || id != filepath.Base(id) {
		return Receipt{}, fmt.Errorf("receipt %q: %w", id, fs.ErrNotExist)
	}
	text, err := os.ReadFile(filepath.Join(state, receiptDir, id+".json"))
	if err != nil {
		return Receipt{}, fmt.Errorf("receipt %s: %w", id, err)
	}
	var r Receipt
	if err := json.Unmarshal(text, &r); err != nil {
		return Receipt{}, fmt.Errorf("receipt %s: %w", id, err)
	}
	return r, nil
}
