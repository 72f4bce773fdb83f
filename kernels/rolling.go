package kernels

import (
	"cmp"
	"encoding/binary"
	"slices"
)

// Together is how many versions of a header a rig searches at once, and what
// CalibrateRolling measures: with more, what is shared costs hardly less a hash.
const Together = 32

// Rolling is a Kernel for which to try a nonce in several versions of a header
// costs less than one by one. The version (BIP320 leaves 16 of its bits to miners)
// stands in the first 64-byte block of a header and the nonce in the second, so
// that what SHA-256 makes of the second block's words serves all versions.
type Rolling interface {
	Kernel

	// ScanVersions tries the nonces first, first+1, … first+count-1 in as many
	// headers as there are versions: header with its bytes 0..3 replaced by
	// the version (little-endian) and 76..79 by the nonce. It calls found with every
	// nonce and index of a version whose hash is at most target (a big-endian
	// number), in ascending order of nonces and, of one nonce, of indices, and with
	// no other. A range that goes past the last nonce 0xffffffff ends there. When
	// found returns false no further nonce is begun; those of the same nonce still
	// come. nonces is how many were tried in all versions, so that first+nonces is where to go on.
	ScanVersions(header *[HeaderSize]byte, versions []uint32, first uint32, count uint64, target *[32]byte, found func(nonce uint32, version int) bool) (nonces uint64)
}

// ScanVersions is [Rolling.ScanVersions] for any kernel: of one that is not
// Rolling it searches the versions in turn, some thousand nonces at a time.
func ScanVersions(k Kernel, header *[HeaderSize]byte, versions []uint32, first uint32, count uint64, target *[32]byte, found func(nonce uint32, version int) bool) (nonces uint64) {
	if r, ok := k.(Rolling); ok {
		return r.ScanVersions(header, versions, first, count, target, found)
	}
	const portion = 1 << 14
	type find struct {
		nonce   uint32
		version int
	}
	var finds []find
	count = Clip(first, count)
	if len(versions) == 0 {
		return count
	}
	one := *header
	for at := uint64(0); at < count; at += portion {
		finds = finds[:0]
		for i, version := range versions {
			binary.LittleEndian.PutUint32(one[:], version)
			k.Scan(&one, first+uint32(at), min(portion, count-at), target, func(nonce uint32) bool {
				finds = append(finds, find{nonce, i})
				return true
			})
		}
		slices.SortStableFunc(finds, func(a, b find) int { return cmp.Compare(a.nonce, b.nonce) })
		for i, f := range finds {
			stop := !found(f.nonce, f.version)
			if !stop {
				continue
			}
			for _, g := range finds[i+1:] {
				if g.nonce != f.nonce {
					break
				}
				found(g.nonce, g.version)
			}
			return uint64(f.nonce-first) + 1
		}
	}
	return count
}
