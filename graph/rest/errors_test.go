package rest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/duskfs/duskfs/graph"
	"github.com/duskfs/duskfs/graph/graphtest"
	"github.com/duskfs/duskfs/graph/rest"
)

// What is asked of the service where an error of the table is met.
const (
	askItem   = "item"   // read an item
	askUpdate = "update" // change one
	askDelta  = "delta"  // go on in the feed
	askRead   = "read"   // read bytes
	askSend   = "send"   // upload two fragments
	askFind   = "find"   // look for the own drive
	askNotice = "notice"
	askMkdir  = "mkdir"
)

// TestEachErrorOfTheTable answers once, or for ever, with every error that is known of the service (graph-facts §10.2 and the
// bodies below it), and checks what becomes of the call: "" is that it succeeds all the same.
func TestEachErrorOfTheTable(t *testing.T) {
	const ever = -1
	html := "<html><body>Oops</body></html>"
	for _, c := range []struct {
		name  string
		ask   string
		fault graphtest.Fault
		want  graph.Kind
		asked int           // requests of the kind met, 0 is any number
		waits time.Duration // at least
	}{
		{"400 invalidRequest", askUpdate, graphtest.Fault{Status: 400, Code: "invalidRequest", Inner: "invalidPath"}, graph.Invalid, 1, 0},
		{"400 pathIsTooLong", askMkdir, graphtest.Fault{Status: 400, Code: "invalidRequest", Inner: "pathIsTooLong"}, graph.Invalid, 1, 0},
		{"400 malformedEntityTag", askUpdate, graphtest.Fault{Status: 400, Code: "invalidRequest", Inner: "malformedEntityTag"}, graph.Invalid, 1, 0},
		{"400 on a feed's token", askDelta, graphtest.Fault{Status: 400, Code: "invalidRequest", Message: "Invalid paging token"}, graph.Restart, 1, 0},
		{"400 notSupported", askUpdate, graphtest.Fault{Status: 400, Code: "notSupported"}, graph.Invalid, 1, 0},
		{"400 no SPO license", askFind, graphtest.Fault{Status: 400, Code: "BadRequest", Message: "Tenant does not have a SPO license.", Times: ever}, graph.Invalid, 1, 0},
		{"400 mysite URL", askFind, graphtest.Fault{Status: 400, Code: "BadRequest", Message: "Unable to retrieve user's mysite URL.", Times: ever}, graph.Invalid, 1, 0},
		{"400 socketIo notSupported", askNotice, graphtest.Fault{Status: 400, Code: "notSupported"}, graph.NoNotices, 1, 0},
		{"401 unauthenticated", askItem, graphtest.Fault{Status: 401, Code: "unauthenticated"}, "", 2, 0},
		{"401 InvalidAuthenticationToken", askUpdate, graphtest.Fault{Status: 401, Code: "InvalidAuthenticationToken"}, "", 2, 0},
		{"401 for ever", askItem, graphtest.Fault{Status: 401, Times: ever}, graph.SignIn, 2, 0},
		{"401 insufficient_claims", askItem, graphtest.Fault{Status: 401, Header: map[string]string{"WWW-Authenticate": `Bearer error="insufficient_claims", claims="e30="`}}, "", 2, 0},
		{"401 expiredToken on an upload", askSend, graphtest.Fault{Status: 401, Code: "unauthenticated", Inner: "expiredToken"}, "", 0, 0},
		{"401 on a download", askRead, graphtest.Fault{Status: 401, Body: "401 UNAUTHORIZED"}, "", 2, 0},
		{"402 paymentRequired", askItem, graphtest.Fault{Status: 402, Code: "paymentRequired"}, graph.Denied, 1, 0},
		{"403 accessDenied", askUpdate, graphtest.Fault{Status: 403, Code: "accessDenied", Inner: "accessRestricted"}, graph.Denied, 1, 0},
		{"403 on a read", askItem, graphtest.Fault{Status: 403, Code: "accessDenied"}, graph.Denied, 1, 0},
		{"403 on an upload", askSend, graphtest.Fault{Status: 403}, "", 0, 0},
		{"403 notAllowed", askUpdate, graphtest.Fault{Status: 403, Code: "notAllowed"}, graph.Denied, 1, 0},
		{"403 malwareDetected", askRead, graphtest.Fault{Status: 403, Code: "malwareDetected", Inner: "virusSuspicious", Times: ever}, graph.Denied, 0, 0},
		{"403 provisioningNotAllowed", askFind, graphtest.Fault{Status: 403, Code: "provisioningNotAllowed"}, graph.Denied, 1, 0},
		{"404 itemNotFound", askItem, graphtest.Fault{Status: 404, Code: "itemNotFound", Times: ever}, graph.NotExist, 4, time.Second},
		{"404 at first", askItem, graphtest.Fault{Status: 404, Code: "itemNotFound", Times: 3}, "", 4, time.Second},
		{"404 ResourceNotFound", askFind, graphtest.Fault{Status: 404, Code: "ResourceNotFound", Message: "User's mysite not found.", Times: ever}, graph.NotExist, 2, 0},
		{"404 on a feed", askDelta, graphtest.Fault{Status: 404, Times: ever}, graph.Restart, 0, 0},
		{"404 on an upload", askSend, graphtest.Fault{Status: 404, Inner: "uploadSessionNotFound"}, "", 0, 0},
		{"404 on a download", askRead, graphtest.Fault{Status: 404, Body: "404 FILE NOT FOUND"}, "", 2, 0},
		{"405", askUpdate, graphtest.Fault{Status: 405, Code: "invalidRequest"}, graph.Invalid, 1, 0},
		{"406", askItem, graphtest.Fault{Status: 406, Code: "invalidRequest"}, graph.Invalid, 1, 0},
		{"411", askUpdate, graphtest.Fault{Status: 411, Body: html, Type: "text/html"}, graph.Invalid, 1, 0},
		{"413", askUpdate, graphtest.Fault{Status: 413, Body: html, Type: "text/html"}, graph.Invalid, 1, 0},
		{"415", askUpdate, graphtest.Fault{Status: 415, Code: "invalidRequest"}, graph.Invalid, 1, 0},
		{"409 nameAlreadyExists", askUpdate, graphtest.Fault{Status: 409, Code: "nameAlreadyExists"}, graph.Exist, 1, 0},
		{"409 similarRelationshipNameAlreadyExists", askMkdir, graphtest.Fault{Status: 409, Code: "nameAlreadyExists", Inner: "similarRelationshipNameAlreadyExists"}, graph.Exist, 1, 0},
		{"409 upload_name_conflict", askSend, graphtest.Fault{Status: 409, Code: "upload_name_conflict"}, graph.Exist, 1, 0},
		{"409 resourceModified", askUpdate, graphtest.Fault{Status: 409, Code: "resourceModified", Message: "ETag does not match current item's value"}, graph.Changed, 1, 0},
		{"409 conflict", askUpdate, graphtest.Fault{Status: 409, Code: "conflict"}, graph.Changed, 1, 0},
		{"410 resyncRequired", askDelta, graphtest.Fault{Status: 410, Code: "resyncRequired"}, graph.Restart, 1, 0},
		{"410 resyncChangesApplyDifferences", askDelta, graphtest.Fault{Status: 410, Code: "resyncRequired", Inner: "resyncChangesApplyDifferences"}, graph.Restart, 1, 0},
		{"410 resyncChangesUploadDifferences", askDelta, graphtest.Fault{Status: 410, Code: "resyncChangesUploadDifferences"}, graph.Restart, 1, 0},
		{"410 syncStateNotFound", askDelta, graphtest.Fault{Status: 410, Code: "syncStateNotFound"}, graph.Restart, 1, 0},
		{"410 on a download", askRead, graphtest.Fault{Status: 410}, "", 2, 0},
		{"412 resourceModified", askUpdate, graphtest.Fault{Status: 412, Code: "resourceModified", Inner: "entityTagDoesNotMatch"}, graph.Changed, 1, 0},
		{"412 notAllowed", askUpdate, graphtest.Fault{Status: 412, Code: "notAllowed", Message: "ETag does not match current item's value"}, graph.Changed, 1, 0},
		{"416 fragmentOverlap", askSend, graphtest.Fault{Status: 416, Code: "invalidRange", Inner: "fragmentOverlap", Work: true}, "", 2, 0},
		{"416 fragmentOutOfOrder", askSend, graphtest.Fault{Status: 416, Code: "invalidRange", Inner: "fragmentOutOfOrder"}, "", 3, 0},
		{"416 fragmentLengthMismatch", askSend, graphtest.Fault{Status: 416, Code: "invalidRange", Inner: "fragmentLengthMismatch"}, "", 3, 0},
		{"416 on a download", askRead, graphtest.Fault{Status: 416, Header: map[string]string{"Content-Range": "bytes */99"}, Times: ever}, graph.Failed, 0, 0},
		{"422", askUpdate, graphtest.Fault{Status: 422, Code: "invalidRequest"}, graph.Invalid, 1, 0},
		{"423 resourceLocked", askUpdate, graphtest.Fault{Status: 423, Code: "resourceLocked"}, graph.Locked, 1, 0},
		{"423 accessDenied", askUpdate, graphtest.Fault{Status: 423, Code: "accessDenied", Message: "Lock token does not match existing lock"}, graph.Locked, 1, 0},
		{"423 notAllowed", askSend, graphtest.Fault{Status: 423, Code: "notAllowed", Inner: "resourceLocked"}, graph.Locked, 1, 0},
		{"424 failedDependency", askUpdate, graphtest.Fault{Status: 424, Code: "failedDependency"}, graph.Invalid, 1, 0},
		{"429 activityLimitReached", askUpdate, graphtest.Fault{Status: 429, Code: "activityLimitReached", Inner: "throttledRequest", RetryAfter: 30}, "", 2, 30 * time.Second},
		{"429 TooManyRequests on a read", askItem, graphtest.Fault{Status: 429, Code: "TooManyRequests", RetryAfter: 30, Times: 3}, "", 4, 90 * time.Second},
		{"429 without Retry-After", askItem, graphtest.Fault{Status: 429, Code: "FraudThrottled", Times: 3}, "", 4, 3 * time.Second},
		{"429 from storage", askRead, graphtest.Fault{Status: 429, RetryAfter: 30, Body: html}, "", 2, 30 * time.Second},
		{"429 on a fragment", askSend, graphtest.Fault{Status: 429, RetryAfter: 30}, "", 3, 30 * time.Second},
		{"500 on a read", askItem, graphtest.Fault{Status: 500, Code: "generalException", Times: 3}, "", 4, time.Second},
		{"500 on a write", askUpdate, graphtest.Fault{Status: 500, Code: "generalException"}, graph.Lost, 1, 0},
		{"500 for ever", askItem, graphtest.Fault{Status: 500, Times: ever}, graph.Failed, 4, time.Second},
		{"501 notSupported", askItem, graphtest.Fault{Status: 501, Code: "notSupported"}, graph.Failed, 1, 0},
		{"502 UnknownError", askItem, graphtest.Fault{Status: 502, Code: "UnknownError", Times: 3}, "", 4, time.Second},
		{"502 in HTML from storage", askSend, graphtest.Fault{Status: 502, Body: html, Type: "text/html"}, "", 3, 0},
		{"503 with Retry-After", askSend, graphtest.Fault{Status: 503, Code: "serviceNotAvailable", RetryAfter: 30}, "", 3, 30 * time.Second},
		{"503 on a write", askUpdate, graphtest.Fault{Status: 503, Code: "serviceNotAvailable"}, graph.Lost, 1, 0},
		{"503 with Retry-After on a write", askUpdate, graphtest.Fault{Status: 503, RetryAfter: 30}, "", 2, 30 * time.Second},
		{"503 serviceReadOnly", askUpdate, graphtest.Fault{Status: 503, Code: "serviceNotAvailable", Inner: "serviceReadOnly"}, graph.Offline, 1, 0},
		{"504 on a read", askItem, graphtest.Fault{Status: 504, Times: 3}, "", 4, time.Second},
		{"504 on a write", askUpdate, graphtest.Fault{Status: 504, Work: true}, graph.Lost, 1, 0},
		{"507 quotaLimitReached", askSend, graphtest.Fault{Status: 507, Code: "quotaLimitReached", Inner: "insufficientStorage"}, graph.Full, 1, 0},
		{"509 bandwidthLimitExceeded", askItem, graphtest.Fault{Status: 509, Code: "bandwidthLimitExceeded"}, "", 2, 500 * time.Millisecond},
		{"302 where 200 is documented", askItem, graphtest.Fault{Status: 302, Header: map[string]string{"Location": "?again=1"}, Body: " "}, "", 2, 0},
		{"204 where JSON is documented", askUpdate, graphtest.Fault{Status: 204, Work: true, Body: " "}, "", 1, 0},
		{"an HTML page instead of JSON", askItem, graphtest.Fault{Status: 200, Body: html, Type: "text/html"}, graph.Failed, 1, 0},
		{"reset in the middle", askRead, graphtest.Fault{Drop: graphtest.DropBody, Truncate: 1000, Times: 3}, "", 4, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			simply(t, func(w *world) {
				data := noise(2*fragment, 1)
				i := w.put("/f", data)
				_, link, _ := w.follow(graph.Start)
				root := w.root()
				kind := map[string]string{askItem: graphtest.OpItem, askUpdate: graphtest.OpUpdate, askDelta: graphtest.OpDelta, askRead: graphtest.OpDownload,
					askSend: graphtest.OpFragment, askFind: graphtest.OpDrive, askNotice: graphtest.OpSocket, askMkdir: graphtest.OpMkdir}[c.ask]
				c.fault.Op = kind
				w.Inject(c.fault)
				w.ResetCounts()
				began := time.Now()
				var err error
				switch c.ask {
				case askItem:
					_, err = w.near.Item(w.ctx(), i.ID)
				case askUpdate:
					_, err = w.near.Update(w.ctx(), i.ID, graph.Change{Name: "g"}, i.ETag)
				case askDelta:
					_, err = w.near.Delta(w.ctx(), link)
				case askRead:
					_, err = w.read(i, 0, i.Size)
				case askSend:
					_, err = w.near.Upload(w.ctx(), upload(graph.Upload{Parent: root, Name: "new"}, data))
				case askFind:
					_, err = w.client.Find(w.ctx(), rest.Spec{Where: rest.Me})
				case askNotice:
					ctx, stop := context.WithTimeout(w.ctx(), time.Hour)
					defer stop()
					err = w.near.Notices(ctx, func() {})
				case askMkdir:
					_, err = w.near.Mkdir(w.ctx(), root, "d")
				}
				if c.want == "" {
					must(t, err)
				} else {
					wants(t, err, c.want)
					var e *graph.Error
					if !errors.As(err, &e) || e.Status != c.fault.Status && e.Status != 0 || e.Op == "" || strings.Contains(e.Message, "<") {
						t.Errorf("got %#v", err)
					}
				}
				if n := w.Counts().Of(kind); c.asked > 0 && n != c.asked {
					t.Errorf("%d requests, want %d", n, c.asked)
				}
				if took := time.Since(began); took < c.waits {
					t.Errorf("waited %v, want %v", took, c.waits)
				}
				if left := w.ClearFaults(); left > 0 && c.fault.Times != ever {
					t.Errorf("%d faults were not met", left)
				}
				if n := w.OpenSessions(); n > 0 {
					time.Sleep(time.Hour)
					w.Violations()
					w.ClearViolations()
					if c.want != graph.Offline && c.want != graph.Lost && c.want != "" {
						t.Errorf("%d sessions are left open", n)
					}
				}
			})
		})
	}
}
