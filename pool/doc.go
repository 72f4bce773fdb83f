// Package pool holds the nouns and rules of a mining pool: template, job, share, target, work, amount,
// the engine that judges a submission and the vardiff rule that sets a session's difficulty.
// It does no I/O: no sockets, no Redis, no HTTP, no clock of its own. Everything else in Adit speaks in
// its types.
//
// Byte order: a [Hash] holds the 32 bytes as they stand in a block header ("internal" order); as a
// number it is little-endian, and [Hash.String] prints it reversed, as explorers do.
package pool
