package monitor

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/adit-pool/adit/worker"
)

// text collects families of metrics: the head of each once, then its samples.
type text struct{ strings.Builder }

func (t *text) family(name, kind, help string) {
	fmt.Fprintf(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

// sample writes a value with label pairs.
func (t *text) sample(name string, value float64, labels ...string) {
	t.WriteString(name)
	for i := 0; i+1 < len(labels); i += 2 {
		t.WriteByte("{,"[min(i, 1)])
		t.WriteString(labels[i] + `="` + escape.Replace(labels[i+1]) + `"`)
	}
	if len(labels) > 1 {
		t.WriteByte('}')
	}
	t.WriteString(" " + strconv.FormatFloat(value, 'g', -1, 64) + "\n")
}

var escape = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// metrics is s in Prometheus' text format.
func metrics(s worker.Status) string {
	var t text
	one := func(name, kind, help string, value float64) {
		t.family(name, kind, help)
		t.sample(name, value)
	}
	truth := map[bool]float64{true: 1}
	c := s.Counts
	one("adit_rig_uptime_seconds", "gauge", "Time since the rig started.", s.Uptime().Seconds())
	one("adit_rig_hashrate_hashes_per_second", "gauge", "Of all devices over the last 30 s.", c.Hashrate)
	one("adit_rig_hashes_total", "counter", "Hashes tried.", float64(c.Hashes))
	t.family("adit_rig_shares_total", "counter", "Shares sent, by what became of them.")
	t.sample("adit_rig_shares_total", float64(c.Accepted), "result", "accepted")
	t.sample("adit_rig_shares_total", float64(c.Rejected-c.Stale), "result", "rejected")
	t.sample("adit_rig_shares_total", float64(c.Stale), "result", "stale")
	t.sample("adit_rig_shares_total", float64(c.Lost), "result", "lost")
	if len(c.Rejects) > 0 {
		t.family("adit_rig_rejects_total", "counter", "Shares refused, by the pool's words.")
		for _, r := range c.Rejects {
			t.sample("adit_rig_rejects_total", float64(r.Count), "code", strconv.Itoa(r.Code), "reason", r.Reason)
		}
	}
	one("adit_rig_connects_total", "counter", "Connections made.", float64(c.Connects))
	t.family("adit_rig_pool_connected", "gauge", "Whether the rig is logged in, by pool.")
	t.sample("adit_rig_pool_connected", truth[s.Pool.LoggedIn], "pool", s.Pool.Address, "index", strconv.Itoa(s.Pool.Index))
	if d, err := strconv.ParseFloat(s.Pool.Difficulty, 64); err == nil {
		one("adit_rig_difficulty", "gauge", "Of the last job.", d)
	}
	if s.Pool.Latency > 0 {
		one("adit_rig_answer_seconds", "gauge", "How long the pool took to answer the last share.", s.Pool.Latency.Seconds())
	}
	device := func(name, kind, help string, value func(worker.DeviceStatus) (float64, bool)) {
		head := false
		for _, d := range s.Devices {
			v, known := value(d)
			if !known {
				continue
			}
			if !head {
				t.family(name, kind, help)
				head = true
			}
			t.sample(name, v, "device", d.Name)
		}
	}
	count := func(n func(worker.DeviceStatus) uint64) func(worker.DeviceStatus) (float64, bool) {
		return func(d worker.DeviceStatus) (float64, bool) { return float64(n(d)), true }
	}
	reading := func(v func(worker.DeviceStatus) *float64) func(worker.DeviceStatus) (float64, bool) {
		return func(d worker.DeviceStatus) (float64, bool) {
			if p := v(d); p != nil {
				return *p, true
			}
			return 0, false
		}
	}
	device("adit_rig_device_hashrate_hashes_per_second", "gauge", "Over the last 30 s.",
		func(d worker.DeviceStatus) (float64, bool) { return d.Hashrate, true })
	device("adit_rig_device_hashes_total", "counter", "Hashes tried.", count(func(d worker.DeviceStatus) uint64 { return d.Hashes }))
	device("adit_rig_device_accepted_total", "counter", "Shares accepted.", count(func(d worker.DeviceStatus) uint64 { return d.Accepted }))
	device("adit_rig_device_rejected_total", "counter", "Shares refused, stale ones among them.", count(func(d worker.DeviceStatus) uint64 { return d.Rejected }))
	device("adit_rig_device_stale_total", "counter", "Shares refused as stale.", count(func(d worker.DeviceStatus) uint64 { return d.Stale }))
	device("adit_rig_device_errors_total", "counter", "Wrong results and failed searches.", count(func(d worker.DeviceStatus) uint64 { return d.Errors }))
	device("adit_rig_device_duty_ratio", "gauge", "Part of the time it searches.",
		func(d worker.DeviceStatus) (float64, bool) { return float64(d.Duty) / 100, true })
	device("adit_rig_device_disabled", "gauge", "Whether it failed too often.",
		func(d worker.DeviceStatus) (float64, bool) { return truth[d.State == worker.Disabled], true })
	device("adit_rig_device_temperature_celsius", "gauge", "As its sensor says.",
		reading(func(d worker.DeviceStatus) *float64 { return d.Temperature }))
	device("adit_rig_device_power_watts", "gauge", "As its sensor says.",
		reading(func(d worker.DeviceStatus) *float64 { return d.Power }))
	device("adit_rig_device_fan_ratio", "gauge", "Of its full speed.", func(d worker.DeviceStatus) (float64, bool) {
		if d.Fan == nil {
			return 0, false
		}
		return *d.Fan / 100, true
	})
	return t.String()
}
