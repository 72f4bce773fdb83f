// Package dashboard serves pages, the API, health checks and metrics of all pools over HTTP. It only reads:
// what it shows comes from each pool's store, never from a node or a ledger file.
//
// Pages are written by the server in the reader's language and complete without JavaScript; with it one
// live stream a browser keeps them fresh. What pools have is in view, the API in api.
//
// Administration and accounts of people are not here.
package dashboard
