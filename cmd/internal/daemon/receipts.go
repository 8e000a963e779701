package daemon

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"

	"github.com/duskfs/duskfs/cache"
	"github.com/duskfs/duskfs/flush"
)

// Receipts lists the newest receipts of all accounts in a state folder, newest first, without their items; max 0 lists
// all. It needs no daemon, no network and no sign-in. Those that cannot be read are left out, and the error names them.
func Receipts(stateDir string, max int) ([]flush.Receipt, error) {
	accounts, unreadable := accountDirs(stateDir)
	list := []flush.Receipt{}
	for _, dir := range accounts {
		some, err := flush.Receipts(dir, max)
		list, unreadable = append(list, some...), errors.Join(unreadable, err)
	}
	slices.SortStableFunc(list, func(a, b flush.Receipt) int { return strings.Compare(b.ID, a.ID) })
	if max > 0 && len(list) > max {
		list = list[:max]
	}
	return list, unreadable
}

// Trash lists the local trash of all accounts in a state folder, newest first. It needs no daemon. What cannot be read is
// left out, and the error names it.
func Trash(stateDir string) ([]cache.Trashed, error) {
	accounts, unreadable := accountDirs(stateDir)
	var list []cache.Trashed
	for _, dir := range accounts {
		some, err := cache.TrashIn(dir)
		list, unreadable = append(list, some...), errors.Join(unreadable, err)
	}
	slices.SortStableFunc(list, func(a, b cache.Trashed) int { return b.At.Compare(a.At) })
	return list, unreadable
}

// Receipt returns one with its items and the file that it is in.
func Receipt(stateDir, id string) (r flush.Receipt, file string, err error) {
	accounts, err := accountDirs(stateDir)
	if err != nil {
		return r, "", err
	}
	for _, dir := range accounts {
		r, err := flush.ReadReceipt(dir, id)
		if !errors.Is(err, fs.ErrNotExist) {
			return r, flush.ReceiptPath(dir, id), err
		}
	}
	return r, "", fmt.Errorf("there is no receipt %q in %s; `duskfs log` lists them", id, filepath.Join(stateDir, "accounts"))
}
