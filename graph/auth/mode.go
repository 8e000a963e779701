package auth

import "strings"

// Mode is a way to sign in.
type Mode string

// The ways to sign in. All but Person are an app that signs in as itself.
const (
	Secret      Mode = "secret"      // an app by its client secret
	Certificate Mode = "certificate" // an app by its certificate
	Federated   Mode = "federated"   // a workload by a token that its platform issues
	Managed     Mode = "managed"     // the managed identity of an Azure machine
	Person      Mode = "person"      // somebody who signed in by device code or browser, see [Login]
)

// Modes lists the ways to sign in.
func Modes() []Mode { return []Mode{Person, Secret, Certificate, Federated, Managed} }

// Choose says how a configuration signs in: as its Mode says, else by the one credential that it
// names, else as a person. It is pure. A configuration that cannot work fails with Invalid and a
// sentence that names the settings.
func Choose(c Config) (Mode, error) {
	mode := c.Mode
	if mode == "" {
		var err error
		if mode, err = infer(c); err != nil {
			return "", err
		}
	}
	const tenant, client = "the tenant (TENANT_ID)", "the app's client id (CLIENT_ID)"
	var needs [][2]string
	switch mode {
	case Secret:
		needs = [][2]string{{c.Tenant, tenant}, {c.ClientID, client}, {c.ClientSecret, "the app's client secret (CLIENT_SECRET)"}}
	case Certificate:
		needs = [][2]string{{c.Tenant, tenant}, {c.ClientID, client}, {c.Certificate, "the app's certificate (auth.certificate)"}}
	case Federated:
		needs = [][2]string{{c.Tenant, tenant}, {c.ClientID, client}, {c.AssertionFile, "the file of the workload's token (auth.assertion-file)"}}
	case Managed:
	case Person:
		needs = [][2]string{{c.ClientID, client}, {c.Dir, "the folder that keeps the sign-in"}}
	default:
		return "", invalid("there is no way to sign in called %q; auth.mode is one of %s", mode, list(Modes()))
	}
	for _, n := range needs {
		if strings.TrimSpace(n[0]) == "" {
			return "", invalid("%s is not configured", n[1])
		}
	}
	if shared(c.Tenant) && mode != Person && mode != Managed {
		return "", invalid("an application cannot sign in through the tenant %q; set TENANT_ID to your own", c.Tenant)
	}
	return mode, nil
}

// infer finds the mode from what is configured.
func infer(c Config) (Mode, error) {
	var found []Mode
	for _, given := range []struct {
		value string
		mode  Mode
	}{{c.ClientSecret, Secret}, {c.Certificate, Certificate}, {c.AssertionFile, Federated}} {
		if strings.TrimSpace(given.value) != "" {
			found = append(found, given.mode)
		}
	}
	switch len(found) {
	case 0:
		return Person, nil
	case 1:
		return found[0], nil
	}
	return "", invalid("several credentials are configured; say which one counts: auth.mode is one of %s", list(found))
}

// shared reports whether a tenant is no tenant but stands for many.
func shared(tenant string) bool {
	switch strings.ToLower(tenant) {
	case "common", "organizations", "consumers":
		return true
	}
	return false
}

func list(modes []Mode) string {
	var names []string
	for _, m := range modes {
		names = append(names, string(m))
	}
	return strings.Join(names, ", ")
}
