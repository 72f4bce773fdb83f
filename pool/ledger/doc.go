// Package ledger is a pool's book: double-entry, append-only, in whole base units. Entries are never
// edited; a correction is a new entry and an orphaned block a reversal. Balances and documents are folds
// over the entries. It knows nothing of Redis, nodes or shares.
//
// On disk the book is one file, ledger.log, one line an entry:
//
//	<64 hex digits: SHA-256(32 bytes of the line before ‖ body)> <body: one JSON object>\n
//
// The first line is chained to 32 zero bytes. An entry is on disk, fsynced, before [Book.Post] returns.
// Opening the book reads and checks every line; a last line without its newline was never acknowledged
// and is cut, any other damage is an error that names line and offset.
package ledger
