package kernels

// Ports are the cycles that instructions of kinds which make the kernels take
// this CPU when none waits for another: what the kernels cannot beat. A member is
// 0 where the CPU has no such instructions or it cannot be measured.
type Ports struct {
	Rounds2 float64 // a SHA256RNDS2
	Rounds4 float64 // two of them with a SHA256MSG1 and a SHA256MSG2
	Mix256  float64 // an addition, exclusive or or shift of 256 bits, half of them shifts
	Mix512  float64 // an addition, exclusive or or rotation of 512 bits
}
