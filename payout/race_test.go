//go:build race

package payout

// raceEnabled makes the long tests look at fewer places: the detector makes everything ten times as slow.
const raceEnabled = true
