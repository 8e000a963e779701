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
// The same is offered to scripts under /_emulator/ at the Graph and the login host, in JSON: docs/EMULATOR.md.
package graphtest
