// Package keeper runs a ledger role: it keeps one disk with a pool's ledger, slices and allocation files.
// With the lease it settles; without it stands by. Trouble ends a tenure, never the role: the disk is opened
// anew and the lease asked for again, so that what is cured goes on by itself. With a peer the disk is one of
// two copies: copies.go says when an entry counts.
package keeper
