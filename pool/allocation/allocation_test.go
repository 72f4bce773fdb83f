package allocation

import (
	"bytes"
	"testing"
)

func FuzzParse(f *testing.F) {
	a := &File{V: 1, Pool: "toy", Scheme: "pplns", Rows: []Row{}}
	a.Sum, _ = a.sum()
	b, _ := a.encode()
	f.Add(b)
	f.Add([]byte(`{"v":1}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := Parse(b)
		if err != nil {
			return
		}
		again, err := a.encode()
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%s became %s, %v", b, again, err)
		}
	})
}
