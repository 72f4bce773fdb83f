//go:build nextformat

package format

// Raise is added to every version that is written. Versions up to the one written are read.
const Raise = 1
