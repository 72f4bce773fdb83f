package v1

import (
	"encoding/hex"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
)

// Bitcoin's block 100000 as a job: byte orders of mining.notify as every miner reads them. Values are the
// block's own; the merkle path is its first two siblings.
func TestNotifyOfBlock100000(t *testing.T) {
	hash := func(display string) pool.Hash {
		h, err := pool.ParseHash(display)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	txids := []pool.Hash{
		hash("fff2525b8931402dd09222c50775608f75787bd2b87e56995a7bdd30f79702c4"),
		hash("6359f0868171b1d194cbee1af2f16ea598ae8fad666d9b012c8ed2b79a236ec4"),
		hash("e9a66845e05d5abc0ad04ec80f774a7e585c6e8db975962d069a522137b80c1d"),
	}
	job := &pool.Job{
		Template: &pool.Template{
			PrevHash: hash("000000000002d01c1fccc21636b607dfd930d31d01c3a62104612a1719011250"),
			Version:  1, Bits: 0x1b04864c, CurTime: 0x4d1b2237,
		},
		Prefix: unhex("01000000010000"), Suffix: unhex("ffffffff"), Branch: pool.MerkleBranch(txids),
	}
	text := newJobText(job)
	got := string(text.head) + "SALT" + string(text.middle) + "SALT" + string(text.end)
	want := `{"id":null,"method":"mining.notify","params":["SALT",` +
		`"1901125004612a1701c3a621d930d31d36b607df1fccc2160002d01c00000000","01000000010000SALT","ffffffff",` +
		`["c40297f730dd7b5a99567eb8d27b78758f607507c52292d02d4031895b52f2ff","49aef42d78e3e9999c9e6ec9e1dddd6cb880bf3b076a03be1318ca789089308e"],` +
		`"00000001","1b04864c","4d1b2237",`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// A connection's state is a plain value: written down and read again it is the same.
func TestStateIsPlain(t *testing.T) {
	s := &State{Version: StateVersion, Fresh: true, Asked: true, Sent: 0.5, WishTime: time.Unix(5, 0).UTC(), Extranonce1: 7}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back State
	if err := json.Unmarshal(b, &back); err != nil || back != *s {
		t.Errorf("%+v came back as %+v, %v", s, back, err)
	}
	for f := range reflect.TypeFor[State]().Fields() {
		if !f.IsExported() || strings.ContainsAny(f.Type.String(), "*") || f.Type.Kind() == reflect.Func || f.Type.Kind() == reflect.Chan {
			t.Errorf("field %s %s is not plain", f.Name, f.Type)
		}
		if reflect.ValueOf(*s).FieldByName(f.Name).IsZero() {
			t.Errorf("field %s is not tried here", f.Name)
		}
	}
}
