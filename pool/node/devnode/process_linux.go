package devnode

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
)

// sysProcAttr gives the child its own process group, so that Ctrl-C on the
// terminal reaches only the parent, which then stops its children in order; and
// SIGKILL for the moment the parent dies.
func sysProcAttr() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// identity names one process so that a later one with the same pid differs: its
// start time in clock ticks since boot, and its program. Empty when there is no
// such process, or only its zombie.
func identity(pid int) (string, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read process state: %w", err)
	}
	// proc(5): pid (comm) state … ; comm may hold anything, and field 22 is the start time.
	text := string(stat)
	fields := strings.Fields(text[strings.LastIndexByte(text, ')')+1:])
	if len(fields) < 20 {
		return "", fmt.Errorf("read process state: %q is not understood", text)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return "", nil
	}
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", pid))
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return "", nil // it ended meanwhile
	}
	if err != nil {
		exe = "unknown" // another user's process; its start time still tells it apart
	}
	return fields[19] + " " + strings.TrimSuffix(exe, " (deleted)"), nil
}
