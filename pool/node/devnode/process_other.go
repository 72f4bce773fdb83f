//go:build unix && !linux

package devnode

import (
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// sysProcAttr gives the child its own process group, so that Ctrl-C on the
// terminal reaches only the parent, which then stops its children in order. A
// child of a killed parent is ended by the next start, through the pid file.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}

// identity names one process so that a later one with the same pid differs: its
// start time and its program. Empty when there is no such process, or only its
// zombie.
func identity(pid int) (string, error) {
	out, err := exec.Command("ps", "-o", "state=,lstart=,comm=", "-p", strconv.Itoa(pid)).Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read process state: %w", err)
	}
	fields := strings.Fields(string(out))
	if len(fields) < 2 || strings.HasPrefix(fields[0], "Z") {
		return "", nil
	}
	return strings.Join(fields[1:], " "), nil
}
