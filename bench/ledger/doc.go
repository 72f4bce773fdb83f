// Package ledger measures the way of a share from its submission to the books on this machine: journal
// with fsync, a redis-server of its own, stream, fold, and the closing of a PPLNS block over many accounts.
// It is a load generator: engine, edge, journal, Redis and settler are the product's; only the full node
// answers from memory. Rigs and sockets are not part of it.
package ledger
