package ledger

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// processCPU is the processor time that this process has used.
func processCPU() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0 // does not happen
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// redisCPU is the processor time that the server has used, 0 when it does not say.
func (b *bench) redisCPU(ctx context.Context) time.Duration {
	var sum float64
	text, _ := b.server.raw.Info(ctx, "cpu").Result() // what is missing counts as 0
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
		if name == "used_cpu_sys" || name == "used_cpu_user" {
			v, err := strconv.ParseFloat(value, 64)
			if err == nil {
				sum += v
			}
		}
	}
	return time.Duration(sum * float64(time.Second))
}

// info reads one number of INFO.
func (b *bench) info(ctx context.Context, section, name string) (int64, error) {
	text, err := b.server.raw.Info(ctx, section).Result()
	if err != nil {
		return 0, fmt.Errorf("ask redis for %s: %w", name, err)
	}
	for line := range strings.Lines(text) {
		if key, value, _ := strings.Cut(strings.TrimSpace(line), ":"); key == name {
			return strconv.ParseInt(value, 10, 64)
		}
	}
	return 0, fmt.Errorf("redis does not tell %s", name)
}
