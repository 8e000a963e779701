package graphtest

import (
	"fmt"
	"net/http"
	"time"
)

// apiError is an error answer of Graph (graph-facts §10).
type apiError struct {
	status int
	code   string
	inner  string
	msg    string
	header http.Header
}

func (e *apiError) Error() string { return fmt.Sprintf("%d %s: %s", e.status, e.code, e.msg) }

func errNotFound() *apiError {
	return &apiError{status: http.StatusNotFound, code: "itemNotFound", msg: "The resource could not be found."}
}

func errExists() *apiError {
	return &apiError{status: http.StatusConflict, code: "nameAlreadyExists", msg: "Name already exists"}
}

func errInvalid(msg string) *apiError {
	return &apiError{status: http.StatusBadRequest, code: "invalidRequest", msg: msg}
}

func errPrecondition() *apiError {
	return &apiError{status: http.StatusPreconditionFailed, code: "resourceModified", inner: "entityTagDoesNotMatch",
		msg: "ETag does not match current item's value"}
}

// locked answers 423 for an item that a colleague holds open, in one of the three shapes seen in
// the field.
func (d *Drive) locked(it *item) error {
	if err := d.heldByOther(it); err != nil {
		return err
	}
	form, ok := d.locks[it.id]
	if !ok {
		return nil
	}
	return lockedAs(form)
}

// lockedAs makes one of the three shapes.
func lockedAs(form int) *apiError {
	e := &apiError{status: http.StatusLocked}
	switch form {
	case 1:
		e.code, e.msg = "accessDenied", "Lock token does not match existing lock"
	case 2:
		e.code, e.inner, e.msg = "notAllowed", "resourceLocked",
			"The file is currently checked out or locked for editing by another user"
	default:
		e.code, e.msg = "resourceLocked", "The resource you are attempting to access is locked"
	}
	return e
}

// bodyOf builds the JSON of an error.
func (e *apiError) body(request, client string, now time.Time) map[string]any {
	inner := map[string]any{"date": now.UTC().Format("2006-01-02T15:04:05"), "request-id": request, "client-request-id": client}
	if e.inner != "" {
		inner["code"] = e.inner
	}
	return map[string]any{"error": map[string]any{"code": e.code, "message": e.msg, "innerError": inner}}
}
