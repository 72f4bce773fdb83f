// Package dashboard serves pages, the JSON API, health checks and metrics of all pools over HTTP. It only
// reads: what it shows comes from each pool's [Store], never from a node or a ledger file, and nothing
// that a client sends changes anything.
//
// A pool's values are read at most once a second, however many clients ask ([snapshot]); documents of the
// ledger are kept until the ledger moves on. When the store does not answer, the last known values are
// shown with a notice. Pages are complete without JavaScript; with it they follow the API.
//
// Administration, accounts of people and live event streams are not here.
package dashboard
