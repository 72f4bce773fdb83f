// Package redis keeps what the parts of a pool share: the streams that carry journal blocks from edges to
// the settler, candidates, the mirror of the ledger that pages read, the settler's lease, window sums and
// statistics. It is the only user of the Redis client, and of the in-process server of --dev.
//
// Redis is never the truth about money. Journals and the ledger's files are; whatever is here can be lost
// at any moment and is sent again. So every write is a script that first looks at what is there: a block
// is appended only behind the one it follows, entries are mirrored only on the head they follow, and all
// writes are refused when the server turns out to be another one than before.
//
// The layout of the keys is in keys.go and, for operators, in docs/redis.md.
package redis
