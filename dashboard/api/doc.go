// Package api answers below /api/v1 in JSON. openapi.json says what: it was written before this code, and
// tests hold every answer to it. Nothing that a client sends changes anything.
package api
