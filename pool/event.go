package pool

// EventField is the log field that holds an event's name. A line with a name of this list keeps it, and its
// meaning, from release to release: what people watch for. docs/operate.md explains each.
const EventField = "event"

// The events. A line at level error has one.
const (
	EventUp               = "up"                // adit serve is up
	EventBlockFound       = "block.found"       // the ledger learnt of a found block
	EventBlockMatured     = "block.matured"     // its reward can be spent
	EventBlockOrphaned    = "block.orphaned"    // another block stands at its height; credits are reversed
	EventBlockRejected    = "block.rejected"    // every node says that it is invalid
	EventBlockLost        = "block.lost"        // a found block that no node takes, or that cannot be built
	EventBlockRecord      = "block.record"      // the record of a found block cannot be read or written
	EventPayoutSent       = "payout.sent"       // a payout was given to the node
	EventPayoutConfirmed  = "payout.confirmed"  // and is as deep as the configuration wants
	EventPayoutConflicted = "payout.conflicted" // one of its inputs was spent otherwise; payouts stop
	EventPayoutWaits      = "payout.waits"      // a payout that is due cannot be made now
	EventPayoutRevived    = "payout.revived"    // a cancelled payout was confirmed all the same; it is booked
	EventLedgerStopped    = "ledger.stopped"    // nothing is settled or paid until the cause is cured
	EventLedgerUnreadable = "ledger.unreadable" // a document of the ledger cannot be read
	EventLedgerOverdraft  = "ledger.overdraft"  // an orphaned block was paid out already; the pool bears it
	EventSettleWaits      = "settle.waits"      // shares or a block cannot be settled; it is tried again
	EventHeadSigned       = "head.signed"       // the ledger's head was signed and published
	EventJournalFailed    = "journal.failed"    // the journal cannot write: shares are refused, blocks still go out
	EventJournalDamaged   = "journal.damaged"   // a journal of an earlier run is damaged
	EventStreamAhead      = "stream.ahead"      // Redis has shares that this edge's journal has not
	EventNodeNone         = "node.none"         // no node can be used: miners keep their last job
	EventNodeDisagree     = "node.disagree"     // nodes do not agree about the next block
	EventTemplateRefused  = "template.refused"  // a node gave a template that is wrong: it is faulty or lies
	EventEdgeName         = "edge.name"         // another process serves under this edge's name
	EventReconcileFailed  = "reconcile.failed"  // ledger and node could not be compared
	EventReconcileDiffers = "reconcile.differs" // ledger and node do not agree
	EventSchemeHoppable   = "scheme.hoppable"   // the reward scheme favours miners who come and go
	EventStratumPanic     = "stratum.panic"     // a bug ended one connection
	EventPageFailed       = "page.failed"       // a bug in a page
	EventDashboardBlind   = "dashboard.blind"   // the dashboard cannot read Redis and shows what it knew last
	EventDashboardSees    = "dashboard.sees"    // it can again
	EventRigEnded         = "rig.ended"         // a rig of --dev or its monitor ended
)
