package stratum

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// used is what processes have used.
type used struct {
	cpu      time.Duration
	resident int64 // bytes
}

// usage sums over processes, from /proc of Linux.
func usage(pids []int) (sum used, err error) {
	const tick = time.Second / 100 // USER_HZ, the same on every Linux that Go runs on
	for _, pid := range pids {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return sum, fmt.Errorf("read the server's use: %w", err)
		}
		// The name in brackets may hold anything; field 3 comes after it.
		fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
		if len(fields) < 22 {
			return sum, fmt.Errorf("read the server's use: /proc/%d/stat has %d fields", pid, len(fields))
		}
		var n [3]int64
		for i, field := range []int{11, 12, 21} { // utime, stime, rss in pages
			if n[i], err = strconv.ParseInt(fields[field], 10, 64); err != nil {
				return sum, fmt.Errorf("read the server's use: %w", err)
			}
		}
		sum.cpu += time.Duration(n[0]+n[1]) * tick
		sum.resident += n[2] * int64(os.Getpagesize())
	}
	return sum, nil
}

func ownCPU() (time.Duration, error) {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, fmt.Errorf("read the own use: %w", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()), nil
}

// CPU is the processor time that processes have used.
func CPU(pids []int) (time.Duration, error) {
	u, err := usage(pids)
	return u.cpu, err
}
