package redis

import (
	"encoding/binary"
	"math"
	"slices"
	"time"

	"github.com/adit-pool/adit/pool"
)

// A history is kept as chunks, each one field of a hash. A chunk has a fixed stretch of time and stands in
// field <its number modulo the number of chunks>, so that a new one takes the place of the oldest and
// nothing has to be deleted. Layout, little-endian:
//
//	version 1 | first bucket of the chunk, 8 bytes | points, oldest first
//	point: bucket after the first, uvarint | work (hashes), float32 | presence (worker-seconds), uvarint |
//	       accepted, uvarint | number of reasons, 1 byte | for each: reason, 1 byte, and count, uvarint
//
// Reasons are numbers of pool.Reject, in falling order of their counts; 255 stands for all that the kind
// of series has no room for.
const (
	seriesVersion = 1
	otherReason   = 255
	maxChunk      = 64 << 10 // bytes of a chunk that is read at all
)

// series is one resolution of a kind of history.
type series struct {
	name    string        // part of the key or field
	step    time.Duration // a bucket
	points  int64         // buckets in a chunk
	chunks  int64         // chunks kept, the begun one included
	reasons int           // kept a point
}

// The series: what design and docs/redis.md bound.
var (
	poolMinutes  = series{"1m", time.Minute, 60, 25, 16}
	poolTens     = series{"10m", 10 * time.Minute, 144, 32, 16}
	poolHours    = series{"1h", time.Hour, 720, 26, 16}
	accountTens  = series{"10m", 10 * time.Minute, 72, 15, 4}
	accountDays  = series{"1d", 24 * time.Hour, 61, 13, 4}
	workerTens   = series{"10m", 10 * time.Minute, 48, 7, 3}
	poolSeries   = []*series{&poolMinutes, &poolTens, &poolHours}
	accountKinds = []*series{&accountTens, &accountDays}
	workerKinds  = []*series{&workerTens}
)

// bucket numbers the buckets since the Unix epoch.
func (s *series) bucket(ms int64) int64 { return ms / s.step.Milliseconds() }

// point is what happened in one bucket.
type point struct {
	bucket   int64
	work     float64 // hashes
	presence float64 // worker-seconds
	accepted uint64
	rejected map[uint8]uint64
}

func (p *point) add(q *point) {
	p.work += q.work
	p.presence += q.presence
	p.accepted += q.accepted
	for r, n := range q.rejected {
		if p.rejected == nil {
			p.rejected = make(map[uint8]uint64)
		}
		p.rejected[r] += n
	}
}

// decodeChunk reads a chunk's points; what is damaged ends it.
func (s *series) decodeChunk(b []byte) (points []point) {
	if len(b) < 9 || len(b) > maxChunk || b[0] != seriesVersion {
		return nil
	}
	first := int64(binary.LittleEndian.Uint64(b[1:]))
	b = b[9:]
	uvarint := func() (v uint64, ok bool) {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return 0, false
		}
		b = b[n:]
		return v, true
	}
	last := int64(-1)
	for len(b) > 0 {
		at, ok := uvarint()
		if !ok || at >= uint64(s.points) || int64(at) <= last || len(b) < 4 {
			return points
		}
		last = int64(at)
		p := point{bucket: first + int64(at), work: float64(math.Float32frombits(binary.LittleEndian.Uint32(b)))}
		b = b[4:]
		presence, ok1 := uvarint()
		accepted, ok2 := uvarint()
		if !ok1 || !ok2 || len(b) == 0 || math.IsNaN(p.work) || math.IsInf(p.work, 0) || p.work < 0 {
			return points
		}
		p.presence, p.accepted = float64(presence), accepted
		n := int(b[0])
		b = b[1:]
		for range n {
			if len(b) < 2 {
				return points
			}
			reason := b[0]
			b = b[1:]
			count, ok := uvarint()
			if !ok {
				return points
			}
			if p.rejected == nil {
				p.rejected = make(map[uint8]uint64)
			}
			p.rejected[reason] += count
		}
		points = append(points, p)
	}
	return points
}

// encodeChunk writes points, which are in order and all of the chunk that begins with bucket first.
func (s *series) encodeChunk(first int64, points []point) []byte {
	b := binary.LittleEndian.AppendUint64([]byte{seriesVersion}, uint64(first))
	for i := range points {
		p := &points[i]
		b = binary.AppendUvarint(b, uint64(p.bucket-first))
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(min(p.work, math.MaxFloat32))))
		b = binary.AppendUvarint(b, uint64(math.Round(p.presence)))
		b = binary.AppendUvarint(b, p.accepted)
		reasons := make([]uint8, 0, len(p.rejected))
		for r := range p.rejected {
			if r != otherReason {
				reasons = append(reasons, r)
			}
		}
		slices.SortFunc(reasons, func(x, y uint8) int {
			switch a, b := p.rejected[x], p.rejected[y]; {
			case a != b && a > b:
				return -1
			case a != b:
				return 1
			}
			return int(x) - int(y)
		})
		other := p.rejected[otherReason]
		keep := len(reasons)
		if keep > s.reasons || keep == s.reasons && other > 0 {
			keep = s.reasons - 1
		}
		for _, r := range reasons[keep:] {
			other += p.rejected[r]
		}
		n := keep
		if other > 0 {
			n++
		}
		b = append(b, byte(n))
		for _, r := range reasons[:keep] {
			b = binary.AppendUvarint(append(b, r), p.rejected[r])
		}
		if other > 0 {
			b = binary.AppendUvarint(append(b, otherReason), other)
		}
	}
	return b
}

// merge adds q to the points of its chunk. Points of another chunk, an older one in the same field, go.
func (s *series) merge(old []byte, add []point) []byte {
	first := add[0].bucket - add[0].bucket%s.points
	var points []point
	for _, p := range s.decodeChunk(old) {
		if p.bucket >= first {
			points = append(points, p)
		}
	}
	for i := range add {
		at, found := slices.BinarySearchFunc(points, add[i].bucket, func(p point, b int64) int { return int(p.bucket - b) })
		if !found {
			points = slices.Insert(points, at, point{bucket: add[i].bucket})
		}
		points[at].add(&add[i])
	}
	return s.encodeChunk(first, points)
}

// chunkPoints reads the points of chunks as HMGET gave them, oldest first.
func (s *series) chunkPoints(chunks []any) (all []point) {
	for i := range chunks {
		all = append(all, s.decodeChunk([]byte(text(chunks, i)))...)
	}
	slices.SortFunc(all, func(a, b point) int { return int(a.bucket - b.bucket) })
	return all
}

// lastHour is the rate of the last hour, or of the part of it that a chunk has, but never of less than a
// bucket.
func (s *series) lastHour(now int64, chunk []byte) float64 {
	begin := max(now-hourMs, s.bucket(now)/s.points*s.points*s.step.Milliseconds())
	var work float64
	for _, p := range s.decodeChunk(chunk) {
		if p.bucket*s.step.Milliseconds() >= begin {
			work += p.work
		}
	}
	return work / (float64(max(now-begin, s.step.Milliseconds())) / 1000)
}

// usual is the mean rate of the whole buckets of a chunk that saw work; ok is false when they are fewer
// than three.
func (s *series) usual(now int64, chunk []byte) (rate float64, ok bool) {
	n := 0
	for _, p := range s.decodeChunk(chunk) {
		if p.work > 0 && p.bucket < s.bucket(now) {
			rate += p.work / s.step.Seconds()
			n++
		}
	}
	return rate / float64(max(n, 1)), n >= 3
}

// history turns chunks into points that can be shown: those within the series' span.
func (s *series) history(now int64, chunks []any) []pool.HistoryPoint {
	newest := s.bucket(now)
	oldest := newest - s.points*(s.chunks-1)
	all := slices.DeleteFunc(s.chunkPoints(chunks), func(p point) bool { return p.bucket <= oldest || p.bucket > newest })
	out := make([]pool.HistoryPoint, 0, len(all))
	for _, p := range all {
		begin := p.bucket * s.step.Milliseconds()
		span := float64(min(now-begin, s.step.Milliseconds())) / 1000
		if span < min(60, s.step.Seconds()) { // the bucket has just begun
			continue
		}
		h := pool.HistoryPoint{Time: begin / 1000, Hashrate: p.work / span, Workers: int(math.Round(p.presence / span)), Accepted: p.accepted}
		for r, n := range p.rejected {
			if h.Rejected == nil {
				h.Rejected = make(map[string]uint64)
			}
			h.Rejected[reasonName(r)] += n
		}
		out = append(out, h)
	}
	return out
}

// reasonNumber is the byte that stands for a reason in a chunk.
func reasonNumber(name string) uint8 {
	for _, r := range pool.Rejects() {
		if r.String() == name {
			return uint8(r)
		}
	}
	return otherReason
}

func reasonName(n uint8) string {
	for _, r := range pool.Rejects() {
		if uint8(r) == n {
			return r.String()
		}
	}
	return "other"
}
