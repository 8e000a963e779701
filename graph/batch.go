package graph

import "context"

// Do says what a [Call] does.
type Do uint8

// What a call can do.
const (
	DoMkdir  Do = iota + 1 // Parent, Name
	DoUpdate               // ID, Change, IfMatch
	DoDelete               // ID, IfMatch
	// DoBegin opens an upload session for Upload, without bytes: for a file that is not empty. Upload.Begun is
	// not called; the result's Session is to be written down and given to Writer.Upload.
	DoBegin // Upload
)

// Call is one change of several that are made together. Which fields count follows from Do.
type Call struct {
	Do      Do
	ID      ItemID
	Parent  ItemID
	Name    string
	Change  Change
	IfMatch string
	Upload  Upload
}

// Result is how one call ended: Err is what the method of [Writer] would have failed with.
type Result struct {
	Item    Item   // of DoMkdir and DoUpdate
	Session string // of DoBegin: an address that is a credential
	Err     error
}

// Batcher makes several changes in fewer requests. A [Service] may be one.
type Batcher interface {
	// Batch makes all calls and returns as many results, in the same order. The service carries them out
	// in any order, or at once, so no call may need another. One that fails stops no other. As with
	// Writer nothing is repeated that may have taken effect: of a lost answer every call in it is Lost.
	Batch(ctx context.Context, calls []Call) []Result
}
