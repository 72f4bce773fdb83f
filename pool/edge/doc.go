// Package edge is one edge of a pool: it joins the engine that judges shares, the journal that keeps
// them, the forwarder that copies the journal to the streams, the found blocks on their way to the nodes
// and to the ledger, and statistics. It is what a Stratum server talks to. It knows neither Redis nor
// the wire: those stand behind small interfaces.
//
// A found block depends on nothing else here. Its record is written, and its submission to every node
// starts when that write returns or after two milliseconds; journal, streams and statistics may all be
// down.
//
// # Candidate records
//
// <dir>/<block id>.candidate is a found block until the ledger has it: one line of JSON (see record) and
// one line with the block in hex, as a node's submitblock takes it. A file ending in .tmp is a record
// whose writer was interrupted; it counts when it is whole.
package edge
