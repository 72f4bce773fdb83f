package web

import "strings"

const (
	keysCookie = "keys"
	maxKeys    = 8   // of one client
	maxKey     = 128 // bytes
)

// Keys are the keys of accounts that a client has: by cookie, and as Authorization: Bearer KEY.
func (r Request) Keys() (keys []string) {
	add := func(key string) {
		if GoodKey(key) && len(keys) < maxKeys {
			keys = append(keys, key)
		}
	}
	if key, ok := strings.CutPrefix(string(r.Request.Header.Peek("Authorization")), "Bearer "); ok {
		add(strings.TrimSpace(key))
	}
	for key := range strings.SplitSeq(string(r.Request.Header.Cookie(keysCookie)), ".") {
		add(key)
	}
	return keys
}

// GoodKey reports letters and digits.
func GoodKey(key string) bool {
	for _, c := range []byte(key) {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9') {
			return false
		}
	}
	return key != "" && len(key) <= maxKey
}

// KeepKey has a browser keep a key for a year, before those that it has.
func (r Request) KeepKey(key string) {
	keys := []string{key}
	for _, k := range r.Keys() {
		if k != key && len(keys) < maxKeys {
			keys = append(keys, k)
		}
	}
	r.Response.Header.Set("Set-Cookie", keysCookie+"="+strings.Join(keys, ".")+"; Path=/; Max-Age=31536000; SameSite=Lax; HttpOnly")
}
