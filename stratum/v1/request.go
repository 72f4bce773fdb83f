package v1

// request is a JSON object as a JSON-RPC message: where its members are. -1 is an absent one.
type request struct {
	doc                *document
	id, method, params int
	result             int
	answer             bool // it has a result or an error
}

// maxID is the longest id that is echoed.
const maxID = 64

// read finds the members and returns what is wrong with them in words for the miner, or "".
func (r *request) read() string {
	d := r.doc
	for key := 1; key < int(d.tokens[0].next); {
		value := key + 1
		switch {
		case d.is(key, "id"):
			r.id = value
		case d.is(key, "method"):
			r.method = value
		case d.is(key, "params"):
			r.params = value
		case d.is(key, "result"):
			r.result, r.answer = value, true
		case d.is(key, "error"):
			r.answer = true
		}
		key = int(d.tokens[value].next)
	}
	if r.id >= 0 {
		k := d.tokens[r.id].kind
		if k != kindNull && k != kindNumber && k != kindString || len(d.raw(r.id)) > maxID {
			r.id = -1
			return "id must be a number, a string or null of at most 64 bytes"
		}
	}
	if r.method >= 0 && d.tokens[r.method].kind == kindNull {
		r.method = -1
	}
	if r.method >= 0 && d.tokens[r.method].kind != kindString {
		return "method must be a string"
	}
	if r.params >= 0 && d.tokens[r.params].kind == kindNull {
		r.params = -1
	}
	if r.method >= 0 && r.params >= 0 && d.tokens[r.params].kind != kindArray {
		return "params must be an array"
	}
	return ""
}

// rawID is the id as it stands in the line, nil for none.
func (r *request) rawID() []byte {
	if r.id < 0 {
		return nil
	}
	t := &r.doc.tokens[r.id]
	if t.kind == kindString {
		return r.doc.src[t.start-1 : t.end+1]
	}
	return r.doc.src[t.start:t.end]
}

// hasID reports whether there is an id that is not null.
func (r *request) hasID() bool { return r.id >= 0 && r.doc.tokens[r.id].kind != kindNull }

// count is the number of parameters.
func (r *request) count() int {
	n := 0
	for i := r.first(); i < r.end(); i = int(r.doc.tokens[i].next) {
		n++
	}
	return n
}

// param is the token of the nth parameter, -1 when there are fewer.
func (r *request) param(n int) int {
	for i := r.first(); i < r.end(); i = int(r.doc.tokens[i].next) {
		if n == 0 {
			return i
		}
		n--
	}
	return -1
}

func (r *request) first() int { return r.params + 1 }

func (r *request) end() int {
	if r.params < 0 {
		return 0
	}
	return int(r.doc.tokens[r.params].next)
}

// kindOf is the kind of the nth parameter, kindNull when there are fewer.
func (r *request) kindOf(n int) kind {
	if i := r.param(n); i >= 0 {
		return r.doc.tokens[i].kind
	}
	return kindNull
}
