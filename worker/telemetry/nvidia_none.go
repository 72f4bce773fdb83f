//go:build !linux || !cgo

package telemetry

import "errors"

// NVIDIA watches no cards in this build: the vendor's library needs Linux and cgo.
type NVIDIA struct{}

// OpenNVIDIA says that this build cannot.
func OpenNVIDIA() (*NVIDIA, error) {
	return nil, errors.New("no telemetry of NVIDIA cards: this program was built without cgo")
}

// Cards are none.
func (*NVIDIA) Cards() []Card { return nil }

// Close does nothing.
func (*NVIDIA) Close() {}
