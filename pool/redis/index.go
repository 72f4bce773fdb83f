package redis

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"

	"github.com/adit-pool/adit/pool"
	"github.com/adit-pool/adit/pool/ledger"
	goredis "github.com/redis/go-redis/v9"
)

// Every account has a list of its newest credits and one of its newest payouts. A member of it is
//
//	8 bytes of the ledger entry's hash | amount, a varint | score, big-endian without leading zeros
//
// and its rank that of the document (a block's height). The list is believed only where the set's hash of
// entries names the entry: that is written with the mirror's head, so that nothing of an entry which is half
// mirrored, or was taken back, is ever shown. Members stay below 64 bytes and lists below 128 members, as
// Redis packs those into one block of memory.
const (
	maxRows = 100 // of each list
	maxPage = maxRows
	tagSize = 8
)

// row is one new member of an account's list.
type row struct {
	key    string
	rank   int64
	member []byte
}

// moved names the entry that moved miners' amounts for a document.
type moved struct {
	set, id, head string
}

// index takes the rows out of an entry that has a document.
func (s *step) index(k keys, e *ledger.Entry, head ledger.Head) error {
	var key func(pool.AccountID) string
	var of func(*ledger.Posting) (pool.AccountID, bool)
	var scores map[pool.AccountID]pool.Work
	switch e.Subject.Set {
	case ledger.SetBlocks:
		key, of = k.credits, (*ledger.Posting).IsCredit
	case ledger.SetPayouts:
		key, of = k.payouts, (*ledger.Posting).IsPayout
	default:
		return nil
	}
	found := false
	for i := range e.Postings {
		id, ok := of(&e.Postings[i])
		if !ok {
			continue
		}
		if !found && e.Subject.Set == ledger.SetBlocks {
			var err error
			if scores, err = scoresIn(e.Body); err != nil {
				return err
			}
		}
		found = true
		s.rows = append(s.rows, row{key(id), e.Subject.Rank, appendRow(nil, head, e.Postings[i].Amount, scores[id])})
	}
	if found {
		s.moved = append(s.moved, moved{e.Subject.Set, e.Subject.ID, headText(head)})
	}
	return nil
}

// scoresIn reads the scores in a block's document.
func scoresIn(body []byte) (map[pool.AccountID]pool.Work, error) {
	var doc struct {
		Credits []pool.Credit `json:"credits"`
		Scores  []pool.Work   `json:"scores"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return nil, fmt.Errorf("read the scores of a block: %w", err)
	}
	scores := make(map[pool.AccountID]pool.Work, len(doc.Scores))
	for i := range min(len(doc.Credits), len(doc.Scores)) {
		scores[doc.Credits[i].Account] = doc.Scores[i]
	}
	return scores, nil
}

func appendRow(dst []byte, head ledger.Head, amount pool.Amount, score pool.Work) []byte {
	dst = append(dst, head.Hash[:tagSize]...)
	dst = binary.AppendUvarint(dst, uint64(amount))
	n := len(dst)
	dst = binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, score.Hi), score.Lo)
	zeros := 0
	for zeros < 16 && dst[n+zeros] == 0 {
		zeros++
	}
	return append(dst[:n], dst[n+zeros:]...)
}

// parseRow is the inverse of appendRow.
func parseRow(b []byte) (tag [tagSize]byte, amount pool.Amount, score pool.Work, err error) {
	bad := fmt.Errorf("row %.80x of an account is not one", b)
	if len(b) < tagSize {
		return tag, 0, score, bad
	}
	copy(tag[:], b)
	n, size := binary.Uvarint(b[tagSize:])
	if size <= 0 || n == 0 || n > math.MaxInt64 {
		return tag, 0, score, bad
	}
	rest := b[tagSize+size:]
	if len(rest) > 16 || len(rest) > 0 && rest[0] == 0 {
		return tag, 0, score, bad
	}
	var wide [16]byte
	copy(wide[16-len(rest):], rest)
	return tag, pool.Amount(n), pool.Work{Hi: binary.BigEndian.Uint64(wide[:8]), Lo: binary.BigEndian.Uint64(wide[8:])}, nil
}

// addMoved appends what the sets' hashes of entries get to a script's keys and arguments.
func (p *Pool) addMoved(all []moved, keys []string, args []any) ([]string, []any) {
	number := make(map[string]int)
	for _, m := range all {
		if number[m.set] == 0 {
			keys = append(keys, p.k.entries(m.set))
			number[m.set] = len(keys) + 1 // KEYS[1] is the guard's
		}
		args = append(args, "entry", number[m.set], m.id, m.head)
	}
	return keys, args
}

// indexed is a row whose document is known.
type indexed struct {
	amount pool.Amount
	score  pool.Work
	entry  ledger.Head
	doc    []byte
}

// Credits lists up to limit, at most 100, of an account's newest credits, by height, highest first, from
// behind the place that a former call gave as next; "" is the beginning, and as next the end. The mirror
// keeps the newest 100 of an account; total is how many it has. All there ever were are in the ledger and in
// the allocation files (named by the block's hash).
func (p *Pool) Credits(ctx context.Context, id pool.AccountID, after string, limit int) (rows []ledger.CreditRow, next string, total int, err error) {
	list, next, total, err := p.indexed(ctx, p.k.credits(id), ledger.SetBlocks, after, limit)
	if err != nil {
		return nil, "", 0, fmt.Errorf("list the credits of account %s: %w", id, err)
	}
	for _, x := range list {
		doc := new(ledger.BlockDoc)
		if err := json.Unmarshal(x.doc, doc); err != nil {
			return nil, "", 0, fmt.Errorf("list the credits of account %s: %w", id, err)
		}
		doc.Credits, doc.Scores, doc.PaidByCoinbase = nil, nil, nil
		rows = append(rows, ledger.CreditRow{Block: doc, Amount: x.amount, Score: x.score, FeePPM: doc.FeeOf(id), Entry: x.entry})
	}
	return rows, next, total, nil
}

// Payouts is [Pool.Credits] for an account's newest payouts, by the rank of their documents.
func (p *Pool) Payouts(ctx context.Context, id pool.AccountID, after string, limit int) (rows []ledger.PayoutRow, next string, total int, err error) {
	list, next, total, err := p.indexed(ctx, p.k.payouts(id), ledger.SetPayouts, after, limit)
	if err != nil {
		return nil, "", 0, fmt.Errorf("list the payouts of account %s: %w", id, err)
	}
	for _, x := range list {
		rows = append(rows, ledger.PayoutRow{Payout: x.doc, Amount: x.amount, Entry: x.entry})
	}
	return rows, next, total, nil
}

// indexed reads a page of an account's list, with the documents. Members that no entry stands behind are
// left out, so that a page may have fewer than limit and yet be followed by another.
func (p *Pool) indexed(ctx context.Context, key, set, after string, limit int) (out []indexed, next string, total int, err error) {
	if limit < 1 || limit > maxPage {
		return nil, "", 0, fmt.Errorf("limit %d, want 1 to %d", limit, maxPage)
	}
	rank, member, err := parseRowPlace(after)
	if err != nil {
		return nil, "", 0, err
	}
	all, err := p.r.client.ZRevRangeWithScores(ctx, key, 0, 2*maxRows).Result()
	if err != nil {
		return nil, "", 0, err
	}
	total = len(all)
	for len(all) > 0 && after != "" && !behind(all[0], rank, member) {
		all = all[1:]
	}
	if len(all) > limit {
		all = all[:limit]
		last := all[limit-1]
		next = fmt.Sprintf("%d.%x", int64(last.Score), last.Member)
	}
	if len(all) == 0 {
		return nil, "", total, nil
	}
	found, err := p.behindRows(ctx, set, all)
	if err != nil {
		return nil, "", 0, err
	}
	for _, z := range all {
		tag, amount, score, err := parseRow([]byte(z.Member.(string)))
		if err != nil {
			return nil, "", 0, err
		}
		if x, ok := found[tag]; ok {
			out = append(out, indexed{amount, score, x.entry, x.doc})
		}
	}
	return out, next, total, nil
}

// behindRows reads the documents of the ranks in a page, by the first bytes of the hash of the entry that moved
// the amounts.
func (p *Pool) behindRows(ctx context.Context, set string, page []goredis.Z) (map[[tagSize]byte]indexed, error) {
	pipe := p.r.client.Pipeline()
	var ranks []*goredis.StringSliceCmd
	for i, z := range page {
		if i > 0 && z.Score == page[i-1].Score {
			continue
		}
		at := strconv.FormatInt(int64(z.Score), 10)
		ranks = append(ranks, pipe.ZRangeByScore(ctx, p.k.ranks(set), &goredis.ZRangeBy{Min: at, Max: at}))
	}
	if _, err := pipe.Exec(ctx); err != nil {
		return nil, err
	}
	var ids []string
	for _, r := range ranks {
		ids = append(ids, r.Val()...)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	entries, err := p.r.client.HMGet(ctx, p.k.entries(set), ids...).Result()
	if err != nil {
		return nil, err
	}
	wanted := make(map[[tagSize]byte]bool, len(page))
	for _, z := range page {
		if m := z.Member.(string); len(m) >= tagSize {
			wanted[[tagSize]byte([]byte(m[:tagSize]))] = true
		}
	}
	var heads []ledger.Head
	var names []string
	for i, id := range ids {
		head, err := parseHead(text(entries, i))
		if err != nil {
			return nil, err
		}
		if head.Seq != 0 && wanted[tagOf(head)] {
			heads, names = append(heads, head), append(names, id)
		}
	}
	if len(names) == 0 {
		return nil, nil
	}
	docs, err := p.r.client.HMGet(ctx, p.k.docs(set), names...).Result()
	if err != nil {
		return nil, err
	}
	out := make(map[[tagSize]byte]indexed, len(names))
	for i, head := range heads {
		if doc := text(docs, i); doc != "" {
			out[tagOf(head)] = indexed{entry: head, doc: []byte(doc)}
		}
	}
	return out, nil
}

func tagOf(head ledger.Head) [tagSize]byte { return [tagSize]byte(head.Hash[:tagSize]) }

// behind reports whether z comes after a place: its rank is lower, or the same and its member is.
func behind(z goredis.Z, rank int64, member string) bool {
	return int64(z.Score) < rank || int64(z.Score) == rank && z.Member.(string) < member
}

// parseRowPlace reads "rank.member", the member in hex digits.
func parseRowPlace(s string) (rank int64, member string, err error) {
	if s == "" {
		return 0, "", nil
	}
	at, digits, err := parsePlace(s)
	if err != nil {
		return 0, "", err
	}
	raw, err := hex.DecodeString(digits)
	if err != nil {
		return 0, "", fmt.Errorf("%w: %.100q", ErrCursor, s)
	}
	rank, err = strconv.ParseInt(at, 10, 64)
	return rank, string(raw), err
}
