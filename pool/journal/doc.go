// Package journal is an edge's durable log of accepted shares. A share is queued by [Journal.Append],
// written with its group and acknowledged when the group's fdatasync has returned. What is in the
// journal is counted; what is not was never acknowledged. The package knows nothing of Redis, of money
// or of who reads it.
//
// # Files
//
//	<dir>/lock                                 flock; holds the pid of the owner
//	<dir>/<ordinal 8 digits>-<epoch 16 hex>/   one epoch: one run of the process
//	    epoch.json                             version, pool, epoch, creation, end of the epoch before it
//	    <first sequence 20 digits>.journal     segment: blocks one after another, then nothing or zeros
//	    next.tmp                               zeros: the next segment of a busy journal, made ready ahead
//	    end.json                               last sequence and hash, written by a clean close
//
// Every start opens a new epoch with a random id. The end of an epoch is known exactly once a later
// epoch.json or its own end.json names it; only before that may an incomplete or crc-bad last block be
// cut off as torn, and its last block is written and synced again before anybody is told of it: what a
// killed process left can be read without being on the disk. Anything else that does not fit is damage: it is reported with file and offset, the
// files stay as they are, and what comes before it is still served.
//
// # Block
//
// A block is one group commit. Its bytes are the same on disk and in the stream. Integers are
// little-endian, hashes in internal byte order.
//
//	offset  bytes  field
//	     0      4  length of the whole block, at most 1 048 576
//	     4      4  crc32c (Castagnoli) of bytes 8..length
//	     8      2  version, 1
//	    10      2  number of dictionary entries d, 1..count
//	    12      4  number of records: count, 1..8192
//	    16      8  epoch, not 0
//	    24      8  sequence of the first record, from 1; the others follow without gaps
//	    32     32  SHA-256 of all bytes of the block before it; zero in the first block of an epoch
//	    64      1  p, length of the pool id
//	    65      p  pool id, [a-z0-9-]{1,32}
//	  65+p         d dictionary entries
//	   ...         count records
//
// Dictionary entry, in the order in which records first name them, so that a block can be read, and
// paid, alone; the account id is AccountOf(pool id, script) and is not stored:
//
//	  0      1  s, length of the script, 1..255
//	  1      1  w, length of the worker name, 0..63
//	  2      s  canonical output script
//	2+s      w  worker name, [A-Za-z0-9._-]
//
// Record, 72 bytes:
//
//	 0      8  time, Unix milliseconds
//	 8     16  issued work: expected hashes of the issued target
//	24     16  credit, at most issued; 0 when early
//	40     16  first 16 bytes of the header hash
//	56      8  job
//	64      4  nBits of the job
//	68      2  dictionary index
//	70      1  scheme, not 0
//	71      1  flags: 1 early, 2 block
package journal
