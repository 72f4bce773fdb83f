// Package view is what pages and the API show: each pool's values at one moment, its blocks and payouts,
// accounts and their history, and figures drawn from them. It reads a [Store] at most once a second,
// however many clients ask, keeps documents of the ledger until the ledger moves on, and goes on with the
// last known values while the store does not answer. It knows nothing of HTTP.
package view
