package auth

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/duskfs/duskfs/graph"
)

// sentence is what a person reads about codes of the service that ask for the same.
type sentence struct {
	kind  graph.Kind
	text  string
	codes []int
	// over: what is kept of the sign-in is worth nothing any more.
	over bool
}

// sentences is graph-facts §1.4: the service's AADSTS numbers, and what each asks a person to do.
func sentences() []sentence {
	return []sentence{
		{graph.SignIn, "the client secret is wrong; make sure that CLIENT_SECRET is the secret's value, not its id", []int{7000215}, false},
		{graph.SignIn, "the client secret has expired; make a new one in the app registration and configure it", []int{7000222}, false},
		{graph.SignIn, "the certificate or the workload's token is not one that the app registration knows; add it there, or configure the right one", []int{700027, 50027, 700023, 700211, 700212, 700213}, false},
		{graph.SignIn, "the certificate's or workload's proof is out of its time; check the clock of this machine, and that the workload's token is renewed", []int{700024}, false},
		{graph.SignIn, "the app registration does not allow this sign-in without a secret; switch \"Allow public client flows\" on there", []int{7000218}, false},
		{graph.SignIn, "the app registration is for people only and takes no secret; remove CLIENT_SECRET and run `duskfs login`", []int{700025}, false},
		{graph.SignIn, "the app's credential is refused; check CLIENT_ID and the secret or certificate", []int{70002, 7000216}, false},
		{graph.SignIn, "user name or password is wrong", []int{50126}, false},
		{graph.SignIn, "the tenant knows no app with this client id; check CLIENT_ID and TENANT_ID", []int{700016}, false},
		{graph.SignIn, "there is no such tenant; check TENANT_ID", []int{90002, 50059, 900023}, false},
		{graph.SignIn, "the tenant is in a national cloud; set cloud to usgov, dod or china", []int{90038}, false},
		{graph.SignIn, "the login address is that of no cloud the service knows; check cloud, or DUSKFS_LOGIN_URL", []int{50049}, false},
		{graph.SignIn, "this app cannot sign in through a shared tenant; set TENANT_ID to your own", []int{50194, 9001023}, false},
		{graph.SignIn, "the app registration lacks the address that the browser comes back to; add http://localhost there, under mobile and desktop applications", []int{50011}, false},
		{graph.SignIn, "the app is disabled; have an administrator enable it", []int{70001, 7000112}, false},
		{graph.SignIn, "the app is not set up for Microsoft Graph; have an administrator give it Graph permissions", []int{500011, 70011, 1002012, 650056, 650057, 65005}, false},
		{graph.SignIn, "consent is missing; have an administrator grant the app's Microsoft Graph permissions", []int{65001, 90094}, false},
		{graph.SignIn, "consent was refused; sign in again and accept, or ask an administrator", []int{65004}, false},
		{graph.SignIn, "the account is not assigned to the app; ask an administrator", []int{50105}, false},
		{graph.SignIn, "the sign-in is over; sign in again with `duskfs login`", []int{50173, 700082, 70008, 700084, 70043, 50132, 50133, 50058, 54005, 70000, 700005, 501481, 50089}, true},
		{graph.SignIn, "the password has expired; change it, then sign in again with `duskfs login`", []int{50055}, true},
		{graph.SignIn, "the organisation asks for more than this sign-in gave; sign in again with `duskfs login --browser`, or ask an administrator about conditional access",
			[]int{50072, 50074, 50076, 50078, 50079, 53000, 53001, 53002, 53003, 530035}, false},
		{graph.SignIn, "there is no such account; check the name, and TENANT_ID", []int{50034}, false},
		{graph.SignIn, "the account is locked, or refused from this network; ask an administrator", []int{50053}, false},
		{graph.SignIn, "the account is disabled; ask an administrator", []int{50057}, false},
		{graph.SignIn, "the code was not typed in in time; run `duskfs login` again", []int{70016, 70019}, false},
		{graph.SignIn, "the code is not known to the service; run `duskfs login` again", []int{70018}, false},
		{graph.SignIn, "the sign-in was declined; run `duskfs login` again", []int{70012}, false},
		{graph.Failed, "the sign-in service misses something in the request; this is a mistake of duskfs, please report it", []int{90014, 900144}, false},
		{graph.Throttled, "the sign-in service asks to wait", []int{90055, 50196}, false},
		{graph.Offline, "the sign-in service is out of order for the moment", []int{50033, 90006, 90024, 90033}, false},
	}
}

// sentenceOf finds what to say about a code of the service; the zero value if there is nothing.
func sentenceOf(code int) sentence {
	for _, s := range sentences() {
		if slices.Contains(s.codes, code) {
			return s
		}
	}
	return sentence{}
}

// advice says what a person has to do about a code of the service, or "".
func advice(code int) (graph.Kind, string) {
	s := sentenceOf(code)
	return s.kind, s.text
}

// isOver reports whether an error says that a person has to sign in anew whatever we do: the refresh
// token is not to be tried again (graph-facts §1.4).
func isOver(err error) bool {
	var e *graph.Error
	if !errors.As(err, &e) {
		return false
	}
	code, cerr := strconv.Atoi(strings.TrimPrefix(e.Code, "AADSTS"))
	return cerr == nil && sentenceOf(code).over
}
