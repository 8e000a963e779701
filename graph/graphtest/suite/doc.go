// Package suite holds the behaviours that every [graph.Service] must show, whether the emulator or
// a real account answers behind it. It sees nothing but package graph.
//
// [Run] works in a folder of its own below a scratch folder and removes it at the end. It is used
// in two ways: under go test by [Under], and in a program, without package testing, by [Collect].
//
// What it says about a failure holds names that it made itself, sizes, and the kind, status and
// code of an error: never an id, an address or a name of somebody else's item.
package suite
