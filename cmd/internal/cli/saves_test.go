package cli_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"github.com/duskfs/duskfs/flush/simtest"
)

// playable returns the recordings in which no time has to pass.
func playable() ([]simtest.Recording, error) {
	all, err := simtest.Recordings()
	var some []simtest.Recording
	for _, r := range all {
		if !r.Waits() {
			some = append(some, r)
		}
	}
	return some, err
}

// saves is the command of scripts: "put" puts the documents of all recordings onto the drive, "play FOLDER" plays
// them in a mount, and "judge" looks whose items are where afterwards.
func (w *world) saves(ts *testscript.TestScript, args []string) error {
	all, err := playable()
	if err != nil {
		return err
	}
	var errs []error
	for _, r := range all {
		var err error
		switch args[0] {
		case "put":
			err = w.putDocument(r)
		case "play":
			err = r.Play(onDisk{}, filepath.Join(ts.MkAbs(args[1]), "Saves", r.Name), 1, nil, nil)
		case "judge":
			err = w.judgeSave(r)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", r.Name, err))
		}
	}
	return errors.Join(errs...)
}

func (w *world) putDocument(r simtest.Recording) error {
	at := path.Join("/Saves", r.Name)
	info, err := w.drive.Put(path.Join(at, r.Doc), r.Old())
	if err == nil && r.Other != "" {
		_, err = w.drive.Put(path.Join(at, r.Other), []byte("another document"))
	}
	w.documents = append(w.documents, info)
	return err
}

func (w *world) judgeSave(r simtest.Recording) error {
	for _, was := range w.documents {
		if !strings.HasPrefix(was.Path, "/Saves/"+r.Name+"/") {
			continue
		}
		at := path.Join("/Saves", r.Name)
		now, err := w.drive.StatID(was.ID)
		switch {
		case r.Item == "" && err == nil:
			return fmt.Errorf("the item lives, at %s", now.Path)
		case r.Item != "" && (err != nil || now.Path != path.Join(at, r.Item)):
			return fmt.Errorf("the item is at %s: %w", now.Path, err)
		case r.Item != "" && r.Item == r.Result && now.Versions != was.Versions+1:
			return fmt.Errorf("%d versions, and %d before", now.Versions, was.Versions)
		}
		if r.Result == "" {
			return nil
		}
		data, err := w.drive.Read(path.Join(at, r.Result))
		if err != nil || string(data) != string(r.New(1)) {
			return fmt.Errorf("%s has %.20q: %w", r.Result, data, err)
		}
		return nil
	}
	return errors.New("there was no such document")
}

// onDisk plays a recording with system calls.
type onDisk struct{}

func (onDisk) Write(p string, data []byte, fresh bool) error {
	how := os.O_RDWR | os.O_CREATE | os.O_TRUNC
	if fresh {
		how |= os.O_EXCL
	}
	f, err := os.OpenFile(p, how, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close())
}

func (onDisk) Read(p string) ([]byte, error) {
	f, err := os.Open(p)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

func (onDisk) Rename(from, to string) error { return os.Rename(from, to) }
func (onDisk) Remove(p string) error        { return unix.Unlink(p) }
func (onDisk) Mkdir(p string) error         { return os.Mkdir(p, 0o755) }
func (onDisk) Rmdir(p string) error         { return unix.Rmdir(p) }
