package telemetry

import (
	"io/fs"
	"math"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

func files(pairs ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1] + "\n"), Mode: 0o400}
	}
	return m
}

const (
	zone0 = "class/powercap/intel-rapl:0/"
	zone1 = "class/powercap/intel-rapl:1/"
	core  = "class/powercap/intel-rapl:0:0/"
	chip  = "class/hwmon/hwmon2/"
)

// Two packages, a zone inside one, and the platform's, whose energy would be
// counted twice.
func machine() fstest.MapFS {
	return files(
		zone0+"name", "package-0", zone0+"energy_uj", "1000000", zone0+"max_energy_range_uj", "262143328850",
		zone1+"name", "package-1", zone1+"energy_uj", "262143000000", zone1+"max_energy_range_uj", "262143328850",
		core+"name", "core", core+"energy_uj", "500",
		"class/powercap/intel-rapl:2/name", "psys", "class/powercap/intel-rapl:2/energy_uj", "7",
		"class/hwmon/hwmon0/name", "nvme", "class/hwmon/hwmon0/temp1_input", "90000",
		chip+"name", "coretemp", chip+"temp1_input", "61500", chip+"temp1_label", "Package id 0",
		chip+"temp2_input", "99000", chip+"temp2_label", "Core 0",
	)
}

func TestCPUReading(t *testing.T) {
	sys := machine()
	c, err := NewCPU(sys)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1000, 0)
	c.now = func() time.Time { return now }
	r, err := c.Read()
	if err != nil || r.Power != nil || r.Temperature == nil || *r.Temperature != 61.5 || r.Fan != nil {
		t.Fatalf("first reading %+v, %v", r, err)
	}
	set := func(file, text string) { sys[file].Data = []byte(text) }
	now = now.Add(2 * time.Second)
	set(zone0+"energy_uj", "91000000") // 45 W
	set(zone1+"energy_uj", "9671150")  // wrapped: 5 W
	if r, err = c.Read(); err != nil || r.Power == nil || math.Abs(*r.Power-50) > 1e-6 {
		t.Fatalf("%+v, %v", r, err)
	}
	// A counter that was set back without a wrap gives no figure, and the next is right.
	now = now.Add(time.Second)
	set(zone0+"energy_uj", "0")
	set(zone0+"max_energy_range_uj", "0")
	c.packages[0].wrap = 0
	if r, err = c.Read(); err != nil || r.Power != nil {
		t.Fatalf("%+v, %v", r, err)
	}
	now = now.Add(time.Second)
	set(zone0+"energy_uj", "7000000")
	set(zone1+"energy_uj", "10671150")
	if r, err = c.Read(); err != nil || math.Abs(*r.Power-8) > 1e-6 {
		t.Fatalf("%+v, %v", r, err)
	}
	// What fails is told, what works is given.
	set(zone0+"energy_uj", "many")
	now = now.Add(time.Second)
	if r, err = c.Read(); err == nil || r.Power != nil || r.Temperature == nil {
		t.Fatalf("%+v, %v", r, err)
	}
	delete(sys, chip+"temp1_input")
	if r, err = c.Read(); err == nil || !r.Empty() {
		t.Fatalf("%+v, %v", r, err)
	}
}

// locked refuses to open one file, as the kernel does to all but root.
type locked struct {
	fstest.MapFS
	file string
}

func (l locked) Open(name string) (fs.File, error) {
	if name == l.file {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return l.MapFS.Open(name)
}

func (l locked) ReadFile(name string) ([]byte, error) {
	if name == l.file {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return l.MapFS.ReadFile(name)
}

func TestCPUWithout(t *testing.T) {
	f := func(sys fs.FS, want ...string) {
		t.Helper()
		c, err := NewCPU(sys)
		if err == nil {
			t.Fatalf("got %+v", c)
		}
		for _, w := range want {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%v, want %q in it", err, w)
			}
		}
	}
	f(fstest.MapFS{}, "no powercap zones", "no hwmon sensors")
	f(locked{files(zone0+"name", "package-0", zone0+"energy_uj", "1"), zone0 + "energy_uj"}, "permission denied", "no hwmon")
	f(files("class/hwmon/hwmon0/name", "nvme", "class/hwmon/hwmon0/temp1_input", "1"), "no hwmon sensor is a processor's")
	// Temperature alone, of a chip without labels: the highest.
	c, err := NewCPU(files(chip+"name", "k10temp", chip+"temp1_input", "40000", chip+"temp3_input", "-3000"))
	if err != nil {
		t.Fatal(err)
	}
	if r, err := c.Read(); err != nil || r.Power != nil || *r.Temperature != 40 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestParseBus(t *testing.T) {
	f := func(s string, want Bus, ok bool) {
		t.Helper()
		got, err := ParseBus(s)
		if (err == nil) != ok || got != want {
			t.Errorf("%q: %v, %v", s, got, err)
		}
	}
	f("00000000:3B:00.0", Bus{0, 0x3b, 0}, true)
	f("0001:02:1f", Bus{1, 2, 0x1f}, true)
	f("02:00.0", Bus{0, 2, 0}, true)
	f("", Bus{}, false)
	f("1:2:3:4.0", Bus{}, false)
	f("0000:zz:00.0", Bus{}, false)
	f("0000:100000000:00.0", Bus{}, false)
	if s := (Bus{0, 0x3b, 0}).String(); s != "0000:3b:00" {
		t.Error(s)
	}
}

// This machine's own files, whatever there are.
func TestCPUHere(t *testing.T) {
	c, err := NewCPU(os.DirFS("/sys"))
	if err != nil {
		t.Logf("nothing to read: %v", err)
		return
	}
	r, err := c.Read()
	t.Logf("%+v, %v", r, err)
	if r.Temperature != nil && (*r.Temperature < -60 || *r.Temperature > 200) {
		t.Errorf("%v °C", *r.Temperature)
	}
}
