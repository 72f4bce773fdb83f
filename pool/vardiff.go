package pool

import (
	"math"
	"time"
)

// Vardiff estimates a session's hashrate and says which difficulty gives the wished number of shares
// per minute. Its numbers never reach a credit.
type Vardiff struct {
	Started time.Time // of the estimate
	Updated time.Time // of Rate
	Rate    float64   // decayed sum of issued difficulty per second
	Shares  int       // since the last change
	Changed time.Time // of the assigned difficulty
}

const (
	vardiffMemory = 2 * time.Minute  // time constant of the decayed rate
	vardiffQuick  = 8                // shares after which a first guess is made
	vardiffShares = 24               // shares between looks later on
	vardiffLook   = 45 * time.Second // or this long
	vardiffBand   = 1.6              // leave the difficulty alone within this factor of the aim
	vardiffStep   = 8.0              // largest single change up
)

// Share counts an accepted share of the given issued difficulty.
func (v *Vardiff) Share(now time.Time, issued Difficulty) {
	v.decay(now)
	v.Rate += float64(issued) / vardiffMemory.Seconds()
	v.Shares++
}

// Next returns the difficulty wanted now, and whether it differs enough from assigned to be worth a new
// job. It is to be asked after each share and, for silent sessions, by a timer.
func (v *Vardiff) Next(now time.Time, assigned Difficulty, l Limits) (Difficulty, bool) {
	if l.SharesPerMinute <= 0 || l.Min == l.Max {
		return assigned, false
	}
	v.decay(now)
	since := now.Sub(v.Changed)
	first := v.Changed.Equal(v.Started)
	if v.Shares < vardiffShares && since < vardiffLook && !(first && v.Shares >= vardiffQuick) {
		return assigned, false
	}
	// The decayed sum has seen only a part of its memory yet: correct for the start.
	bias := 1 - math.Exp(-now.Sub(v.Started).Seconds()/vardiffMemory.Seconds())
	if bias <= 0 {
		return assigned, false
	}
	wanted := float64(assigned) / vardiffStep // silent: step down
	if rate := v.Rate / bias; rate > 0 {
		wanted = math.Max(rate*60/l.SharesPerMinute, wanted)
	}
	wanted = math.Min(wanted, float64(assigned)*vardiffStep)
	if ratio := wanted / float64(assigned); ratio < vardiffBand && ratio > 1/vardiffBand {
		return assigned, false
	}
	return Difficulty(wanted).Quantise(), true
}

// Assigned notes that the difficulty has changed.
func (v *Vardiff) Assigned(now time.Time) {
	if v.Started.IsZero() {
		v.Started, v.Updated = now, now
	}
	v.Changed, v.Shares = now, 0
}

func (v *Vardiff) decay(now time.Time) {
	if dt := now.Sub(v.Updated).Seconds(); dt > 0 {
		v.Rate *= math.Exp(-dt / vardiffMemory.Seconds())
		v.Updated = now
	}
}

// Clamp returns the difficulty that may be assigned: clamp(wanted, min, min(max, max(network, min))).
// A minimum asked for by the miner counts within the listener's range.
func (l Limits) Clamp(wanted, minimum, network Difficulty) Difficulty {
	low := l.Min
	if minimum > low {
		low = min(minimum, l.Max)
	}
	high := max(min(l.Max, max(network, l.Min)), l.Min)
	return max(min(max(wanted, low), high), l.Min).Quantise()
}
