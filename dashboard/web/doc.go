// Package web is what pages and the API share of HTTP: headers that every answer carries, entity tags,
// codings, problem documents (RFC 9457), query parameters and how much one client may ask. It knows
// nothing of pools.
package web
