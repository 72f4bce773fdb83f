package worker

import "time"

// EventKind says what happened.
type EventKind uint8

// The events of a rig, and which members of Event go with them.
const (
	Connected       EventKind = iota + 1 // Text: the pool's address
	LoggedIn                             // the pool accepted user and password
	NewJob                               // Job, Clean, Difficulty
	Submitted                            // Share, about to be sent
	Accepted                             // Share
	Rejected                             // Share, Code, Text
	Lost                                 // Share: the connection ended before an answer
	Message                              // Text: what the pool wants the miner to read
	Disconnected                         // Text: why
	DeviceFailed                         // Device, Text: an error; it is tried again
	DeviceDisabled                       // Device, Text: why; the rest mines on
	DeviceThrottled                      // Device, Text: its temperature
	DeviceResumed                        // Device
)

// Event is something that happened to a rig. Text written by the pool is free of
// control characters and bounded.
type Event struct {
	Kind       EventKind
	Time       time.Time
	Job        string // id
	Clean      bool   // all earlier jobs are over
	Difficulty string // as the pool wrote it
	Share      Share
	Device     string // name; of Submitted, Accepted, Rejected and Lost too
	Code       int    // the pool's error code, 0 when it gave none
	Text       string
}
