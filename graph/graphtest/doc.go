// Package graphtest is an emulator of Microsoft Graph and Entra ID: an answering machine for other
// people's Graph clients, for tests, and for trying the program out. It stands in for Microsoft
// alone and shares no code with what it is used to test. What it does is what
// the notes on the protocol say that the real service does; section numbers in comments are theirs.
//
// # Hosts
//
// [New] makes a service with a tenant, people with a OneDrive each, and sites with libraries.
// It is reached in two ways. [Server.Listen] serves on loopback TLS under a CA of its own: Graph,
// the login host and the storage host each on its own port. [Server.Transport] is an
// http.RoundTripper that works without sockets and goroutines, fit for a testing/synctest bubble.
// [Server.Env] gives the variables that point a client at it.
//
// The three hosts are strict about each other: bytes go to and come from the storage host alone,
// through addresses that carry their own credential, and a request there with an Authorization
// header is noted by [Server.Violations] and, if it is about bytes, refused. Every secret the service gives out begins
// with SECRET-, so that a test can search logs and files for them.
//
// # Colleague, faults, counters
//
// The methods of [Drive] change a drive as another person would. [Server.Inject] disturbs requests,
// [Server.Switch] makes the oddities that the field knows as Q1 to Q33 ([Catalogue]),
// [Server.Counts] says what was asked, [Server.Violations] what was asked wrongly.
//
// # Sign-in and change notice
//
// Apps prove themselves by secret, certificate ([Server.AddCertificate]), federated token
// ([Server.AddFederation]) or managed identity; people by device code or browser. [Server.Challenge]
// asks for claims; a [Fault] with a number AADSTS refuses a sign-in. Changes are called out over
// socket.io and to webhook subscriptions.
//
// # Other people's clients
//
// [Server.ListenProxy] leads Microsoft's own names here, so that clients which know no other Graph run
// unchanged. rclone and Microsoft's JavaScript SDK do in the tests of this package: .ci/interop.
//
// # Admin endpoint
//
// The same is offered to scripts under /_emulator/ at the Graph and the login host, in JSON.
// DRIVE is an id, a sign-in name, "site-path#Library", a library title, or empty for the first
// person's OneDrive.
//
// What was asked, and what there is:
//
//	GET    counts                              {"kinds":{…},"reads","writes","bytes_up","bytes_down","units","events"}
//	GET    log?after=N                         the last requests: [{"n","kind","method","path","status","units",…},…]
//	GET    violations                          {"violations":[…],"open_sessions":n}
//	POST   reset                               counters and violations
//	GET    env                                 the variables to export, ["NAME=value",…]
//	GET    drives                              [{"id","type","title","web_path"},…]
//	GET    tree?drive=DRIVE                    [{"path","size","sha256","id","etag",…},…]
//	GET    stat?drive=DRIVE&path=P             one item
//
// A colleague in a drive:
//
//	PUT    file?drive=DRIVE&path=P             write the request's body there
//	DELETE file?drive=DRIVE&path=P             delete what is there
//	POST   mkdir?drive=DRIVE&path=P
//	POST   move?drive=DRIVE&from=P&to=P
//	POST   restore?drive=DRIVE&id=ID           out of the recycle bin
//	POST   touch?drive=DRIVE&path=P&mtime=RFC3339
//	POST   lock?drive=DRIVE&path=P&form=0|1|2|-1    writes answer 423; -1 unlocks
//	POST   checkout?drive=DRIVE&path=P         and checkin
//	POST   protect?drive=DRIVE&path=P&on=true|false  a folder takes no writes
//	POST   rules?drive=DRIVE                   body: Rules of a library
//	POST   share?drive=DRIVE&path=P&user=UPN&role=read|write
//	POST   grant?drive=DRIVE&path=P            body: a Grant
//	POST   revoke-grants?drive=DRIVE&path=P
//	POST   infect?drive=DRIVE&path=P           malware
//	POST   package?drive=DRIVE&path=P          a OneNote notebook
//	POST   quota?drive=DRIVE&total=BYTES
//	POST   sample?drive=DRIVE
//	POST   generate?drive=DRIVE&n=N
//	POST   follow?user=UPN&site=sites/NAME
//
// Trouble:
//
//	GET    catalogue                           every oddity by number and name
//	GET    quirk                               those that are on: [{"name","chance","times","for"},…]
//	POST   quirk                               body: a Quirk or a list of them, to switch on
//	DELETE quirk?name=Q7&name=…                switch off; without names all of them
//	POST   quirks                              body: the Quirks in force from now on
//	POST   fault                               body: a Fault or a list of them
//	DELETE fault                               forget all faults
//	POST   forget-feed?drive=DRIVE&code=C      tokens given so far answer 410
//	POST   feed-lag?for=30s
//	POST   shuffle-feed?on=true|false
//	POST   office-rewrite?for=2s
//	POST   offline?on=true|false               every connection breaks
//	POST   latency?for=200ms                   every answer waits
//	POST   bandwidth?bytes=N                   a second, either way; 0 is no limit
//	POST   drop-sockets                        notification connections break
//	POST   token-life?for=10s
//	POST   revoke?refresh=true|false           tokens given so far are worthless
//	POST   challenge                           body: claims; tokens given so far answer 401 with them
//	POST   approve?code=USERCODE&user=UPN      sign a device code in; approve?auto=true: all of them
package graphtest
