//go:build !nextformat

// Package format lets a build raise the version of every format on disk by one: with -tags nextformat a
// program writes what the next release might, so that tests can force the way from one to the other.
package format

// Raise is added to every version that is written. Versions up to the one written are read.
const Raise = 0
