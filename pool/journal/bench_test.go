package journal

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/adit-pool/adit/pool"
)

// BenchmarkCommit has 64 sessions that each wait for their share to be durable on a real disk, and
// reports the 99th percentile of that wait.
func BenchmarkCommit(b *testing.B) {
	const sessions = 64
	j := mustOpen(b, Options{Dir: b.TempDir()})
	waits := make([][]time.Duration, sessions)
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	for k := range sessions {
		wg.Go(func() {
			s := share(k)
			for i := k; i < b.N; i += sessions {
				began := time.Now()
				c := j.Append(&s)
				<-c.Done()
				if c.Err() != nil {
					b.Error(c.Err())
					return
				}
				waits[k] = append(waits[k], time.Since(began))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Sorted(slices.Values(slices.Concat(waits...)))
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "shares/s")
}

// BenchmarkAppend is what a share costs a session that does not wait.
func BenchmarkAppend(b *testing.B) {
	j := mustOpen(b, Options{Dir: b.TempDir()})
	s := share(1)
	b.ReportAllocs()
	for b.Loop() {
		c := j.Append(&s)
		select {
		case <-c.Done():
			if c.Err() == ErrBehind {
				time.Sleep(time.Millisecond)
			}
		default:
		}
	}
}

// BenchmarkDecode is the fold's reading: shares of 200 miners.
func BenchmarkDecode(b *testing.B) {
	var shares []pool.Share
	for i := range 1000 {
		s := share(i)
		s.Script = append([]byte{0, 20}, make([]byte, 20)...)
		s.Script[5] = byte(i % 200)
		s.Account = pool.AccountOf(testPool, s.Script)
		shares = append(shares, s)
	}
	raw, err := Encode(nil, testPool, 1, 1, [32]byte{}, shares)
	if err != nil {
		b.Fatal(err)
	}
	var d Decoder
	var dst []pool.Share
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, dst, err = d.DecodeAppend(dst[:0], raw); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(1000*float64(b.N)/b.Elapsed().Seconds(), "shares/s")
}
