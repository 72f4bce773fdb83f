package kernels

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"time"

	"github.com/adit-pool/adit/kernels"
	"github.com/adit-pool/adit/kernels/scrypt"
	"github.com/adit-pool/adit/kernels/sha256d"
)

// Choice is the trial and the calibration by which a kernel finds its fastest
// implementation, which the process does once.
type Choice struct {
	Algorithm string
	Path      string
	Took      time.Duration // by the clock
	Processor time.Duration // what the processor was busy with it
}

// Choose lets both kernels choose, or the named one. Only what comes before
// everything else in a process tells how long that takes.
func Choose(algorithm string) (choices []Choice) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, a := range []struct {
		name    string
		fastest func() kernels.Implementation
	}{{"sha256d", sha256d.Fastest}, {"scrypt", scrypt.Fastest}} {
		if algorithm != "" && algorithm != a.name {
			continue
		}
		began, busy := time.Now(), kernels.ThreadTime()
		path := a.fastest().Name
		choices = append(choices, Choice{a.name, path, time.Since(began), kernels.ThreadTime() - busy})
	}
	return choices
}

// WriteChoices writes a line for people.
func WriteChoices(w io.Writer, choices []Choice) error {
	var parts []string
	for _, c := range choices {
		parts = append(parts, fmt.Sprintf("%s %s %.0f ms (%.0f ms of processor time)", c.Algorithm, c.Path,
			c.Took.Seconds()*1e3, c.Processor.Seconds()*1e3))
	}
	if _, err := fmt.Fprintf(w, "Trial and choice at start: %s.\n", strings.Join(parts, ", ")); err != nil {
		return fmt.Errorf("write choices: %w", err)
	}
	return nil
}
