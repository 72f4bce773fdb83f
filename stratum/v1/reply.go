package v1

import (
	"strconv"
	"unicode/utf8"

	"github.com/adit-pool/adit/pool"
)

// appendID begins a reply: {"id":ID,"result":. A nil id is null.
func appendID(dst, id []byte) []byte {
	dst = append(dst, beginOfReply...)
	if id == nil {
		dst = append(dst, "null"...)
	} else {
		dst = append(dst, id...)
	}
	return append(dst, betweenIDAndResult...)
}

const (
	beginOfReply       = `{"id":`
	betweenIDAndResult = `,"result":`
)

// appendResult appends a reply whose result is a JSON text.
func appendResult(dst, id []byte, result string) []byte {
	dst = append(appendID(dst, id), result...)
	return append(dst, endOfResult...)
}

const endOfResult = ",\"error\":null}\n"

// appendError appends an error reply; its result is false where refused is set (authorize and others that
// answer yes or no), else null.
func appendError(dst, id []byte, refused bool, code int, message string) []byte {
	dst = appendID(dst, id)
	if refused {
		dst = append(dst, "false"...)
	} else {
		dst = append(dst, "null"...)
	}
	dst = append(dst, `,"error":[`...)
	dst = strconv.AppendInt(dst, int64(code), 10)
	dst = append(dst, ',')
	dst = appendString(dst, message)
	return append(dst, ",null]}\n"...)
}

// appendReject appends the error reply of a refused submission.
func appendReject(dst, id []byte, r pool.Reject) []byte {
	return appendError(dst, id, false, r.Code(), r.Message())
}

const hexLower = "0123456789abcdef"

// appendString appends s as a JSON string. Bytes that are not UTF-8 become '?'.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		b := s[i]
		switch {
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b < ' ' || b == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hexLower[b>>4], hexLower[b&15])
		case b < utf8.RuneSelf:
			dst = append(dst, b)
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				dst = append(dst, '?')
			} else {
				dst = append(dst, s[i:i+n]...)
			}
			i += n
			continue
		}
		i++
	}
	return append(dst, '"')
}

// appendHex32 appends 8 lower-case hex digits, the highest first.
func appendHex32(dst []byte, v uint32) []byte {
	for shift := 28; shift >= 0; shift -= 4 {
		dst = append(dst, hexLower[v>>shift&15])
	}
	return dst
}
