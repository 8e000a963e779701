package flush

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush/push"
)

// ReceiptFile is a receipt that is written while the work it tells of goes on: it may have any number of
// items without holding them. Until End it is a part, which FinishReceipt makes a receipt of after a crash.
type ReceiptFile struct {
	ID    string
	state string
	f     *os.File
	w     *bufio.Writer
	some  bool  // there are items
	err   error // the first of Add
}

const partEnd = ".part"

// ReceiptPath is where the receipt with an ID is, given the folder of the account's state.
func ReceiptPath(state, id string) string { return filepath.Join(state, receiptDir, id+".json") }

func partPath(state, id string) string { return filepath.Join(state, receiptDir, "."+id+partEnd) }

// BeginReceipt begins a receipt in the folder of an account's state. Of r all counts but its ID and items, in
// case that End is never called.
func BeginReceipt(state string, r Receipt) (*ReceiptFile, error) {
	dir := filepath.Join(state, receiptDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("keep a receipt: %w", err)
	}
	for i := 0; ; i++ {
		id := receiptID(r.Started, r.Num, i)
		if _, err := os.Lstat(filepath.Join(dir, id+".json")); err == nil && i < 1000 {
			continue
		}
		f, err := os.OpenFile(partPath(state, id), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) && i < 1000 {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("keep a receipt: %w", err)
		}
		p := &ReceiptFile{ID: id, state: state, f: f, w: bufio.NewWriter(f)}
		r.Items = []ReceiptItem{}
		p.line(r)
		p.Flush()
		return p, p.err
	}
}

func receiptID(started time.Time, num cache.DriveNum, again int) string {
	id := fmt.Sprintf("%s-%d", started.UTC().Format(receiptTime), num)
	if again > 0 {
		id += fmt.Sprintf("~%d", again)
	}
	return id
}

func (p *ReceiptFile) line(v any) {
	text, err := json.Marshal(v)
	if err == nil {
		_, err = p.w.Write(append(text, '\n'))
	}
	p.err = errors.Join(p.err, err)
}

// Add adds an item. What fails is returned by End.
func (p *ReceiptFile) Add(i ReceiptItem) { p.some = true; p.line(i) }

// Empty reports whether nothing was added.
func (p *ReceiptFile) Empty() bool { return !p.some }

// Flush hands what was added to the disk, so that it survives the end of this process.
func (p *ReceiptFile) Flush() { p.err = errors.Join(p.err, p.w.Flush()) }

// End makes a receipt of it, r with the items that were added, and makes that survive a power cut before it
// returns.
func (p *ReceiptFile) End(r Receipt) error {
	p.Flush()
	if err := errors.Join(p.err, p.f.Close()); err != nil {
		return fmt.Errorf("keep a receipt: %w", err)
	}
	r.ID = p.ID
	return finish(p.state, &r)
}

// WhyEnded says for people what ended a run early, for its receipt; empty if nothing did.
func WhyEnded(err error) string {
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.Canceled):
		return "it was interrupted"
	}
	return err.Error()
}

// Leave ends it as a crash would: FinishReceipt makes a receipt of it.
func (p *ReceiptFile) Leave() error {
	p.Flush()
	return errors.Join(p.err, p.f.Close())
}

// Discard takes it back: nothing happened, or what did is in another receipt.
func (p *ReceiptFile) Discard() error {
	return errors.Join(p.f.Close(), os.Remove(p.f.Name()))
}

// FinishReceipt makes a receipt of the part that a crash has left, with why for its error. A part that is not there,
// or that has no item, leaves none; nor does one of which there is a receipt: all was written then.
func FinishReceipt(state, id, why string) error {
	f, err := os.Open(partPath(state, id))
	if errors.Is(err, fs.ErrNotExist) || id == "" || id != filepath.Base(id) {
		return nil
	}
	if err != nil {
		return err
	}
	var r Receipt
	in := json.NewDecoder(f)
	err = in.Decode(&r)
	st, _ := f.Stat()
	some := false
	for err == nil {
		var i ReceiptItem
		if err = in.Decode(&i); err == nil { // the last line may be torn
			some = true
			r.Ended = st.ModTime().UTC()
			switch i.Outcome {
			case string(push.Sent):
				r.Totals.Sent++
				r.Totals.Bytes += i.Bytes
			case string(push.Deferred):
				r.Totals.Deferred++
			}
		}
	}
	_ = f.Close() // read only
	if _, there := os.Lstat(ReceiptPath(state, id)); !some || there == nil {
		return os.Remove(partPath(state, id))
	}
	r.ID, r.Error = id, why
	return finish(state, &r)
}

// finishReceipts makes receipts of the parts that flushes of a drive have left that were killed.
func finishReceipts(state string, num cache.DriveNum) error {
	entries, err := os.ReadDir(filepath.Join(state, receiptDir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, entry := range entries {
		id, ok := strings.CutSuffix(strings.TrimPrefix(entry.Name(), "."), partEnd)
		if _, end, _ := strings.Cut(id, "-"); !ok || end != fmt.Sprint(num) && !strings.HasPrefix(end, fmt.Sprintf("%d~", num)) {
			continue
		}
		err = errors.Join(err, FinishReceipt(state, id, "the process ended before the flush had, or could not write its receipt"))
	}
	return err
}

// finish writes the receipt of a part, and takes the part away.
func finish(state string, r *Receipt) error {
	err := func() error {
		part, err := os.Open(partPath(state, r.ID))
		if err != nil {
			return err
		}
		defer part.Close()
		r.Items = []ReceiptItem{}
		text, err := json.MarshalIndent(r, "", " ")
		if err != nil {
			return err
		}
		head, tail, _ := strings.Cut(string(text), "\n \"items\": []")
		err = writeReceipt(state, r.ID, func(w io.Writer) error {
			_, err := io.WriteString(w, head+"\n \"items\": [")
			err = errors.Join(err, copyItems(w, part))
			_, terr := io.WriteString(w, "]"+tail+"\n")
			return errors.Join(err, terr)
		})
		if err != nil {
			return err
		}
		return os.Remove(part.Name())
	}()
	if err != nil {
		return fmt.Errorf("keep a receipt: %w", err)
	}
	return nil
}

func copyItems(w io.Writer, part io.Reader) error {
	in := json.NewDecoder(part)
	var head json.RawMessage
	if err := in.Decode(&head); err != nil {
		return err
	}
	for first := true; ; first = false {
		var i ReceiptItem
		if err := in.Decode(&i); err != nil {
			return nil // the end, or a line that a crash has torn
		}
		text, err := json.MarshalIndent(i, "  ", " ")
		if err != nil {
			return err
		}
		sep := ",\n  "
		if first {
			sep = "\n  "
		}
		if _, err := io.WriteString(w, sep+string(text)); err != nil {
			return err
		}
	}
}
