package rest

import (
	"fmt"
	"net/url"
	"strings"
)

// Where says what a Spec names.
type Where string

// The forms of a DRIVE on the command line.
const (
	Me         Where = "me"         // the OneDrive of who is signed in, or of the configured user
	User       Where = "user"       // user:UPN
	Site       Where = "site"       // site:HOST:/PATH[#LIBRARY]
	Group      Where = "group"      // group:ID
	ByID       Where = "drive"      // drive:ID
	SharePoint Where = "sharepoint" // every library of every site one may see: no single drive
)

// Spec is a DRIVE as typed, taken apart.
type Spec struct {
	Where Where
	// Name is the UPN or id for User, the id for Group and ByID, the host for Site.
	Name    string
	Path    string // of a Site: server-relative, beginning with a slash; "/" is the root site
	Library string // of a Site: title of the library; empty is the default one
}

// SpecError says why a text is no DRIVE. It is a mistake in what was typed, not of any service.
type SpecError struct {
	Text   string
	Reason string
}

// Error repeats the text and says what is wrong with it.
func (e *SpecError) Error() string {
	return fmt.Sprintf("%q names no drive: %s", e.Text, e.Reason)
}

// ParseSpec reads a DRIVE: me, user:UPN, site:HOST:/PATH[#LIBRARY], group:ID, drive:ID or
// sharepoint, or the web address of a site or of something in a library of it. Errors are *SpecError.
func ParseSpec(text string) (Spec, error) {
	bad := func(reason string) (Spec, error) { return Spec{}, &SpecError{Text: text, Reason: reason} }
	if text != strings.TrimSpace(text) || strings.ContainsAny(text, "\x00\n\r\t") {
		return bad("there are stray spaces in it")
	}
	kind, rest, colon := strings.Cut(text, ":")
	s := Spec{Where: Where(kind), Name: rest}
	switch s.Where {
	case Me, SharePoint:
		if colon {
			return bad("nothing may follow " + kind)
		}
		return s, nil
	case User, Group, ByID:
		switch {
		case rest == "":
			return bad("write " + example(s.Where))
		case strings.ContainsAny(rest, "/\\ "):
			return bad("a slash or space cannot be part of it; write " + example(s.Where))
		}
		return s, nil
	case Site:
		return parseSite(s, rest, bad)
	case "":
		return bad("write me, user:UPN, site:HOST:/PATH, group:ID, drive:ID or sharepoint")
	}
	if s.Where == "https" || s.Where == "http" {
		return parseWeb(text, bad)
	}
	return bad("write me, user:UPN, site:HOST:/PATH, group:ID, drive:ID or sharepoint")
}

// parseWeb reads what stands in a browser's address line: https://HOST/sites/NAME, also with the folder of a library
// behind it, and whatever pages add.
func parseWeb(text string, bad func(string) (Spec, error)) (Spec, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return bad("this web address is none of a site; write " + example(Site))
	}
	var parts []string
	for part := range strings.SplitSeq(u.Path, "/") {
		if part != "" && !strings.HasPrefix(part, ":") { // links to a document have parts such as ":w:"
			parts = append(parts, part)
		}
	}
	if len(parts) > 1 && parts[0] == "r" { // those behind it are of the path
		parts = parts[1:]
	}
	site := "/"
	if len(parts) >= 2 {
		switch parts[0] {
		case "sites", "teams", "personal":
			site, parts = "/"+parts[0]+"/"+parts[1], parts[2:]
		}
	}
	library := ""
	if len(parts) > 0 && !strings.HasPrefix(parts[0], "_") && !strings.Contains(strings.ToLower(parts[0]), ".aspx") && parts[0] != "SitePages" {
		library = parts[0]
	}
	rest := u.Host + ":" + site
	if library != "" {
		rest += "#" + library
	}
	return parseSite(Spec{Where: Site}, rest, bad)
}

func parseSite(s Spec, rest string, bad func(string) (Spec, error)) (Spec, error) {
	place, library, named := strings.Cut(rest, "#")
	host, path, _ := strings.Cut(place, ":")
	switch {
	case host == "" || strings.ContainsAny(host, "/ ,"):
		return bad("write " + example(Site))
	case path == "" && !strings.Contains(host, "."):
		return bad("this is no host of a site; write " + example(Site))
	case path != "" && path[0] != '/':
		return bad("the path of a site begins with a slash; write " + example(Site))
	case named && library == "":
		return bad("no library is named behind #")
	case strings.Contains(path, ":") || strings.Contains(path, "//"):
		return bad("this is no path of a site; write " + example(Site))
	}
	s.Name, s.Path, s.Library = strings.ToLower(host), "/"+strings.Trim(path, "/"), library
	return s, nil
}

func example(w Where) string {
	switch w {
	case User:
		return "user:anna@contoso.com"
	case Site:
		return "site:contoso.sharepoint.com:/sites/Engineering#Documents"
	case Group:
		return "group:ID with the id of a Microsoft 365 group"
	}
	return "drive:ID with the id that \"duskfs drives\" shows"
}

// String writes the spec as it would be typed.
func (s Spec) String() string {
	switch s.Where {
	case Me, SharePoint:
		return string(s.Where)
	case Site:
		text := "site:" + s.Name + ":" + s.Path
		if s.Library != "" {
			text += "#" + s.Library
		}
		return text
	}
	return string(s.Where) + ":" + s.Name
}
