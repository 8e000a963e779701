// Package house holds the rules of the repository as tests: who may import whom, which third-party
// module belongs where, what may lie at the top. It has no code of its own.
//
// The tests read the source files themselves, all platforms at once, instead of asking the go
// command: a cached answer of "go list" would stay green, and it shows one platform only.
package house
