package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"

	"github.com/valyala/fasthttp"
)

// ContentSecurity allows this site's own files and nothing else: no inline code, no foreign origin.
const ContentSecurity = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// Content types.
const (
	TypeJSON    = "application/json"
	TypeProblem = "application/problem+json"
	TypeHTML    = "text/html; charset=utf-8"
	TypeText    = "text/plain; charset=utf-8"
	TypeCSV     = "text/csv; charset=utf-8"
)

// Request is one HTTP request. It is only used by the goroutine that serves it.
type Request struct {
	*fasthttp.RequestCtx
}

// Secure sets the headers that every answer carries.
func Secure(h *fasthttp.ResponseHeader) {
	h.Set("Content-Security-Policy", ContentSecurity)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
}

// Problem is an error answer, RFC 9457.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Failed any    `json:"failed,omitempty"`
}

// Fail is an answer that is not what was asked for: its status and what to tell.
type Fail struct {
	Status int
	Detail string
}

func (f Fail) Error() string { return f.Detail }

// NotFound says that there is no such thing.
func NotFound(detail string) error { return Fail{fasthttp.StatusNotFound, detail} }

// BadRequest says what the client should have sent.
func BadRequest(detail string) error { return Fail{fasthttp.StatusBadRequest, detail} }

// AsFail tells what an error means to the client: what is no [Fail] is the store's.
func AsFail(err error) Fail {
	var f Fail
	if errors.As(err, &f) {
		return f
	}
	return Fail{fasthttp.StatusServiceUnavailable, "the store does not answer: " + err.Error()}
}

// JSON answers with v, or with 304 when the client has it.
func (r Request) JSON(v any) error {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(true)
	if err := enc.Encode(v); err != nil {
		return err
	}
	return r.Body(TypeJSON, buf.Bytes())
}

// Body answers with b under an entity tag.
func (r Request) Body(contentType string, b []byte) error {
	sum := sha256.Sum256(b)
	tag := `W/"` + hex.EncodeToString(sum[:12]) + `"`
	h := &r.Response.Header
	h.Set("ETag", tag)
	h.Set("Cache-Control", "no-cache")
	h.Add("Vary", "Accept-Encoding")
	if Matches(string(r.Request.Header.Peek("If-None-Match")), tag) {
		r.SetStatusCode(fasthttp.StatusNotModified)
		return nil
	}
	r.SetContentType(contentType)
	if len(b) > 1400 && Accepts(r.RequestCtx, "gzip") {
		h.Set("Content-Encoding", "gzip")
		b = Gzipped(b, gzip.BestSpeed)
	}
	r.SetBody(b)
	return nil
}

// Problem answers with an error.
func (r Request) Problem(p Problem) {
	p.Type, p.Title = "about:blank", fasthttp.StatusMessage(p.Status)
	b, err := json.Marshal(p)
	if err != nil {
		b = nil
	}
	r.SetStatusCode(p.Status)
	r.SetContentType(TypeProblem)
	r.Response.Header.Set("Cache-Control", "no-store")
	r.SetBody(b)
}

// RedirectTo sends the client to a path of this site.
func (r Request) RedirectTo(path string) error {
	r.Response.Header.Set("Location", path)
	r.Response.Header.Set("Cache-Control", "no-store")
	r.SetStatusCode(fasthttp.StatusSeeOther)
	return nil
}

// Matches reports whether an If-None-Match header names tag. The comparison is the weak one.
func Matches(header, tag string) bool {
	tag = strings.TrimPrefix(tag, "W/")
	for part := range strings.SplitSeq(header, ",") {
		part = strings.TrimPrefix(strings.TrimSpace(part), "W/")
		if part == tag || part == "*" {
			return true
		}
	}
	return false
}

// Accepts reports whether the client takes a content coding: it is named, and not with a weight of 0.
func Accepts(c *fasthttp.RequestCtx, coding string) bool {
	for part := range strings.SplitSeq(string(c.Request.Header.Peek("Accept-Encoding")), ",") {
		name, weight, _ := strings.Cut(strings.ToLower(strings.TrimSpace(part)), ";")
		if strings.TrimSpace(name) == coding {
			weight = strings.ReplaceAll(weight, " ", "")
			return !strings.HasPrefix(weight, "q=0") || strings.Trim(weight[3:], "0.") != ""
		}
	}
	return false
}

// Gzipped compresses b.
func Gzipped(b []byte, level int) []byte {
	var buf bytes.Buffer
	w, _ := gzip.NewWriterLevel(&buf, level) // fails only on a level out of range
	w.Write(b)                               // into memory
	w.Close()
	return buf.Bytes()
}
