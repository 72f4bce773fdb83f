// Package audit checks what a pool has on disk, from the files alone: ledger, slices, journal and allocation
// files against each other, and one miner's credit step by step. It changes nothing, locks nothing, and
// shares no code with the settler but what reads the files and what divides a reward.
package audit
