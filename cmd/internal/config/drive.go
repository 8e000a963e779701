package config

import (
	"fmt"
	"strings"
)

// DriveKind says by what a drive is named.
type DriveKind string

// The ways to name a drive.
const (
	Me         DriveKind = "me"         // OneDrive of whoever is signed in, or of auth.user
	User       DriveKind = "user"       // OneDrive of a person
	Site       DriveKind = "site"       // library of a SharePoint site
	Group      DriveKind = "group"      // library of a group
	ByID       DriveKind = "drive"      // any drive, by its id
	SharePoint DriveKind = "sharepoint" // all libraries that one may see
)

// Drive is a drive as a person names it.
type Drive struct {
	Kind    DriveKind
	Name    string // user's sign-in name, group's or drive's id; empty for the others
	Host    string // of a site
	Path    string // of a site: begins with /
	Library string // of a site: name of the library, empty for the default one
}

// String returns the drive as it is written, fit for ParseDrive.
func (d Drive) String() string {
	switch d.Kind {
	case Me, SharePoint:
		return string(d.Kind)
	case Site:
		s := "site:" + d.Host + ":" + d.Path
		if d.Library != "" {
			s += "#" + d.Library
		}
		return s
	}
	return string(d.Kind) + ":" + d.Name
}

// ParseDrive reads the name of a drive. The error is one line that says what would be right.
func ParseDrive(s string) (Drive, error) {
	kind, rest, colon := strings.Cut(s, ":")
	switch DriveKind(kind) {
	case Me, SharePoint:
		if colon {
			return Drive{}, malformed(s, kind)
		}
		return Drive{Kind: DriveKind(kind)}, nil
	case User:
		if rest == "" || strings.ContainsAny(rest, "/:# \t") {
			return Drive{}, malformed(s, "user:NAME@EXAMPLE.COM")
		}
		return Drive{Kind: User, Name: rest}, nil
	case Group, ByID:
		if rest == "" || strings.ContainsAny(rest, "/:# \t?") {
			return Drive{}, malformed(s, kind+":ID")
		}
		return Drive{Kind: DriveKind(kind), Name: rest}, nil
	case Site:
		host, path, ok := strings.Cut(rest, ":")
		path, library, hash := strings.Cut(path, "#")
		if !ok || host == "" || strings.ContainsAny(host, "/# \t") || !strings.HasPrefix(path, "/") ||
			strings.Contains(path, ":") || hash && library == "" || strings.Contains(library, "/") {
			return Drive{}, malformed(s, "site:HOST:/PATH or site:HOST:/PATH#LIBRARY")
		}
		return Drive{Kind: Site, Host: host, Path: path, Library: library}, nil
	}
	return Drive{}, malformed(s, "me, user:NAME, site:HOST:/PATH[#LIBRARY], group:ID or drive:ID")
}

func malformed(s, want string) error {
	return fmt.Errorf("%q does not name a drive: want %s", s, want)
}
