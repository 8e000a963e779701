package graph

import (
	"context"
	"strings"
	"time"
)

// Level is what a permission lets somebody do, in the three words that people use. A higher one includes the lower.
type Level uint8

// The levels.
const (
	NoLevel     Level = iota // lets nobody do anything: a link for those who have access anyway, "limited access"
	SomeLevel                // something, but the service does not say what, or says it in words of the site's own
	View                     // read
	Edit                     // read and write
	FullControl              // also decide who else may
)

// String returns the level as people know it; "" for NoLevel and "unknown" for SomeLevel.
func (l Level) String() string {
	switch l {
	case SomeLevel:
		return "unknown"
	case View:
		return "View"
	case Edit:
		return "Edit"
	case FullControl:
		return "Full Control"
	}
	return ""
}

// IdentityKind says what sort of somebody an identity is.
type IdentityKind string

// The kinds of identity.
const (
	User        IdentityKind = "user"
	Group       IdentityKind = "group"       // of the tenant; who is in it does not show
	SiteGroup   IdentityKind = "site group"  // of the site: owners, members, visitors, and others
	Application IdentityKind = "application" // also a device
)

// Identity is somebody who has a permission. Any field but Kind may be empty.
type Identity struct {
	Kind  IdentityKind
	ID    string
	Name  string // as people know it: the display name, else the email, else what the login name ends with
	Email string
	Login string // the claims name on SharePoint, such as "i:0#.f|membership|ann@contoso.com"
}

// SharingLink is an address that lets in who has it.
type SharingLink struct {
	Type  string // view, edit, embed, review, blocksDownload, createOnly
	Scope string // anonymous, organization, users, existingAccess
}

// Permission is one entry of who may do what with an item: a grant, or a link.
type Permission struct {
	ID    string
	Roles []string // in the service's words
	// To is who has it: one for a grant, and for a link the people it is meant for, if any.
	To   []Identity
	Link *SharingLink // nil for a grant
	// Inherited says that the service marks it as given on a folder above. The service does not mark all of them.
	Inherited bool
	Expires   time.Time // UTC; zero is never, or unknown
}

// Level says what the permission lets somebody do: the strongest of its roles counts, and where there are none, what its
// link is for.
func (p Permission) Level() Level {
	if p.Link != nil && p.Link.Scope == "existingAccess" {
		return NoLevel
	}
	level := NoLevel
	for _, r := range p.Roles {
		level = max(level, levelOf(r))
	}
	if len(p.Roles) > 0 {
		return level
	}
	if p.Link == nil {
		return SomeLevel
	}
	switch p.Link.Type {
	case "edit":
		return Edit
	case "view", "embed", "review", "blocksDownload":
		return View
	}
	return SomeLevel
}

// levelOf reads a role. Levels of a site's own making have names that nobody knows (graph-facts §13).
func levelOf(role string) Level {
	switch strings.TrimPrefix(strings.ToLower(strings.TrimSpace(role)), "sp.") {
	case "owner", "full control", "fullcontrol":
		return FullControl
	case "write", "edit", "contribute", "design":
		return Edit
	case "read", "view only", "restricted view", "restricted read":
		return View
	case "limited access", "web-only limited access", "":
		return NoLevel
	}
	return SomeLevel
}

// Grants are the permissions of one of several items, or why they are not known.
type Grants struct {
	Item ItemID
	All  []Permission
	Err  error // All then says nothing; it does not mean that nobody may do anything
}

// Sharing reads who may do what. A [Service] may be one.
type Sharing interface {
	// Permissions returns all permissions of an item, its own and those it inherits, as far as who asks may see them.
	Permissions(ctx context.Context, id ItemID) ([]Permission, error)
	// PermissionsOf does so for many items in fewer requests. It returns as many answers, in the same order; one that fails
	// stops no other.
	PermissionsOf(ctx context.Context, ids []ItemID) []Grants
}
