package auth

import (
	"net/url"
	"slices"
	"strings"

	"github.com/duskfs/duskfs/graph"
)

// Cloud is one of Microsoft's clouds (graph-facts §1.7). Tokens of one are worth nothing in another.
type Cloud struct {
	Name               string
	LoginURL, GraphURL string // roots
}

// Clouds lists Microsoft's clouds; the first one is that of almost everybody.
func Clouds() []Cloud {
	return []Cloud{
		{"global", DefaultLoginURL, DefaultGraphURL},
		{"usgov", "https://login.microsoftonline.us", "https://graph.microsoft.us"},
		{"dod", "https://login.microsoftonline.us", "https://dod-graph.microsoft.us"},
		{"china", "https://login.chinacloudapi.cn", "https://microsoftgraph.chinacloudapi.cn"},
	}
}

// allOf is the scope of an app that signs in as itself: all that an administrator granted it.
func allOf(graphRoot *url.URL) string { return graphRoot.String() + "/.default" }

// job is what a person's token has to be good for, as scopes.
type job struct {
	want []string // the least that does
	also []string // does as well, for who has agreed to that already; may be nil
}

// jobOf finds the least scopes for a job (graph-facts §1.6). The worldwide Graph's are short names,
// which the service itself answers with; those of another Graph carry its address. Personal
// accounts know no sites.
func jobOf(readOnly bool, graphRoot *url.URL, tenant string) job {
	prefix := ""
	if graphRoot.String() != DefaultGraphURL {
		prefix = graphRoot.String() + "/"
	}
	scopes := func(verb string) []string {
		all := []string{prefix + "Files." + verb + ".All"}
		if !strings.EqualFold(tenant, "consumers") {
			all = append(all, prefix+"Sites."+verb+".All")
		}
		return append(all, prefix+"User.Read")
	}
	if readOnly {
		return job{want: scopes("Read"), also: scopes("ReadWrite")}
	}
	return job{want: scopes("ReadWrite")}
}

// among chooses the scopes to ask for from those that the person has agreed to.
func (j job) among(granted []string) ([]string, error) {
	switch {
	case covers(granted, j.want):
		return j.want, nil
	case j.also != nil && covers(granted, j.also):
		return j.also, nil
	}
	return nil, &graph.Error{Op: op, Kind: graph.SignIn,
		Message: "the sign-in that is kept does not allow what this needs, such as changing files; run `duskfs login` again, or mount with --read-only"}
}

func covers(granted, want []string) bool {
	for _, w := range want {
		if !slices.ContainsFunc(granted, func(g string) bool { return strings.EqualFold(g, w) }) {
			return false
		}
	}
	return true
}
