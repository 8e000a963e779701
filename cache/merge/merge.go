// Package merge decides what becomes of one incoming item, given the node that has it, what was
// last agreed on, and everything in its way. It is pure: values in, a value out.
package merge

import "github.com/duskfs/duskfs/cache"

// Decide rules on a case.
func Decide(c cache.Case) cache.Ruling { return cache.Ruling{Verb: cache.Wait} }
