package dashboard

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"sync"

	"github.com/valyala/fasthttp"
)

// contentSecurity allows this site's own files and nothing else: no inline code, no foreign origin.
const contentSecurity = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

const (
	typeJSON    = "application/json"
	typeProblem = "application/problem+json"
	typeHTML    = "text/html; charset=utf-8"
	typeText    = "text/plain; charset=utf-8"
)

// request is one HTTP request. It is only used by the goroutine that serves it.
type request struct {
	*fasthttp.RequestCtx
	base  context.Context // of the server; calls of the store use it with a deadline
	loads *sync.WaitGroup // of reads that may outlive the request
}

// secure sets the headers that every answer carries.
func secure(h *fasthttp.ResponseHeader) {
	h.Set("Content-Security-Policy", contentSecurity)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// problem is an error answer, RFC 9457.
type problem struct {
	Type   string    `json:"type"`
	Title  string    `json:"title"`
	Status int       `json:"status"`
	Detail string    `json:"detail,omitempty"`
	Failed []failure `json:"failed,omitempty"`
}

// fail is an answer that is not what was asked for: its status and what to tell.
type fail struct {
	status int
	detail string
}

func (f fail) Error() string { return f.detail }

func notFound(detail string) error { return fail{fasthttp.StatusNotFound, detail} }

// asFail tells what an error means to the client: what is no [fail] is the store's.
func asFail(err error) fail {
	var f fail
	if errors.As(err, &f) {
		return f
	}
	return fail{fasthttp.StatusServiceUnavailable, "the store does not answer: " + err.Error()}
}

// json answers with v, or with 304 when the client has it.
func (r request) json(v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(true)
	if err := enc.Encode(v); err != nil {
		return err
	}
	return r.body(typeJSON, buf.Bytes())
}

// body answers with b under an entity tag.
func (r request) body(contentType string, b []byte) error {
	sum := sha256.Sum256(b)
	tag := `W/"` + hex.EncodeToString(sum[:12]) + `"`
	h := &r.Response.Header
	h.Set("ETag", tag)
	h.Set("Cache-Control", "no-cache")
	h.Set("Vary", "Accept-Encoding")
	if matches(string(r.Request.Header.Peek("If-None-Match")), tag) {
		r.SetStatusCode(fasthttp.StatusNotModified)
		return nil
	}
	r.SetContentType(contentType)
	if len(b) > 1400 && accepts(r.RequestCtx, "gzip") {
		h.Set("Content-Encoding", "gzip")
		b = gzipped(b, gzip.BestSpeed)
	}
	r.SetBody(b)
	return nil
}

// problem answers with an error.
func (r request) problem(p problem) {
	p.Type, p.Title = "about:blank", fasthttp.StatusMessage(p.Status)
	b, err := json.Marshal(p)
	if err != nil {
		b = nil
	}
	r.SetStatusCode(p.Status)
	r.SetContentType(typeProblem)
	r.Response.Header.Set("Cache-Control", "no-store")
	r.SetBody(b)
}

// matches reports whether an If-None-Match header names tag. The comparison is the weak one.
func matches(header, tag string) bool {
	tag = strings.TrimPrefix(tag, "W/")
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimPrefix(strings.TrimSpace(part), "W/")
		if part == tag || part == "*" {
			return true
		}
	}
	return false
}

// accepts reports whether the client takes a content coding: it is named, and not with a weight of 0.
func accepts(c *fasthttp.RequestCtx, coding string) bool {
	for part := range strings.SplitSeq(string(c.Request.Header.Peek("Accept-Encoding")), ",") {
		name, weight, _ := strings.Cut(strings.ToLower(strings.TrimSpace(part)), ";")
		if strings.TrimSpace(name) == coding {
			weight = strings.ReplaceAll(weight, " ", "")
			return !strings.HasPrefix(weight, "q=0") || strings.Trim(weight[3:], "0.") != ""
		}
	}
	return false
}

func gzipped(b []byte, level int) []byte {
	var buf bytes.Buffer
	w, _ := gzip.NewWriterLevel(&buf, level) // fails only on a level out of range
	w.Write(b)                               // into memory
	w.Close()
	return buf.Bytes()
}
