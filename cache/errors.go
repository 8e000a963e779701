package cache

import (
	"errors"
	"fmt"
	"io/fs"
)

// Errors of the tree. The mount turns each into an errno in one table.
var (
	ErrNotExist    = fs.ErrNotExist
	ErrExist       = fs.ErrExist
	ErrNotEmpty    = errors.New("folder not empty")
	ErrIsFolder    = errors.New("is a folder")
	ErrNotFolder   = errors.New("not a folder")
	ErrOtherDrive  = errors.New("on another drive")
	ErrInside      = errors.New("cannot move a folder into itself")
	ErrName        = errors.New("name not allowed")
	ErrNameTooLong = errors.New("name too long")
	ErrPathTooLong = errors.New("path longer than 400 characters")
	// ErrTwin is an ErrExist: what is there has another name, which is the same one to the service.
	ErrTwin = fmt.Errorf("%w under a name that is the same to OneDrive", fs.ErrExist)
	ErrRoot = errors.New("root of a drive")
	// ErrUnlisted: the folder's content is not known yet; list it, then ask again.
	ErrUnlisted = errors.New("folder not listed yet")
	// ErrNoSpace: the disk that holds the state is nearly full; nothing was changed.
	ErrNoSpace = errors.New("no space left on the disk that holds the state folder")
	// ErrStale: the world moved since the caller looked; look again.
	ErrStale = errors.New("changed since it was looked at")
	// ErrReplaced, with a wrapped cause, is a store written by a newer version.
	ErrReplaced = errors.New("state written by a newer version of duskfs")
)
