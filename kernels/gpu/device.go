package gpu

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
)

// LibraryVariable names the environment variable with the file of the OpenCL
// library, for a machine where it is not in the usual place.
const LibraryVariable = "ADIT_OPENCL"

// Library is the system's OpenCL. Its methods may be called from several
// goroutines at once.
type Library struct{ cl *opencl }

// Load loads the OpenCL library in the file path; when path is empty, that which
// [LibraryVariable] names, else the system's. It stays loaded. The error of a
// machine without one is ErrNoLibrary.
func Load(path string) (*Library, error) {
	if path == "" {
		path = os.Getenv(LibraryVariable)
	}
	cl, err := open(path)
	if err != nil {
		return nil, err
	}
	return &Library{cl}, nil
}

// Device describes one device. Its members are what the driver says, as it says it.
type Device struct {
	Index    int    // in the list, from 0: how a user names it
	Platform string // the OpenCL implementation, such as "NVIDIA CUDA"
	Name     string // such as "NVIDIA GeForce RTX 4090"
	Vendor   string
	Driver   string // version
	Kind     string // "gpu", "cpu" or "accelerator"
	Bus      string // PCI address such as "0000:01:00.0"; empty when the driver does not tell
	Units    int    // compute units
	Memory   uint64 // bytes
	Off      string // why it cannot be used at all; empty when it can

	platform, id handle
	maxGroup     uint64
	maxAlloc     uint64
}

// String is its name and place, for messages.
func (d Device) String() string {
	return fmt.Sprintf("device %d (%s, %s)", d.Index, d.Name, d.Platform)
}

// Devices lists the devices of all platforms in the driver's order, those that
// cannot be used among them. A platform that fails is left out and told of by
// the error, beside the others' devices. No device at all is ErrNoDevice.
func (l *Library) Devices() ([]Device, error) {
	var total uint32
	if code := l.cl.getPlatformIDs(0, nil, &total); code != 0 && code != noPlatform {
		return nil, &Error{Where: "OpenCL", Call: "clGetPlatformIDs", Code: code}
	} else if code == noPlatform || total == 0 {
		return nil, fmt.Errorf("%w: no driver (ICD) is installed", ErrNoDevice)
	}
	platforms := make([]handle, total)
	if code := l.cl.getPlatformIDs(total, &platforms[0], nil); code != 0 {
		return nil, &Error{Where: "OpenCL", Call: "clGetPlatformIDs", Code: code}
	}
	var all []Device
	var failed []error
	buses := map[string]int{}
	for i, platform := range platforms {
		some, err := l.devicesOf(platform, i)
		if err != nil {
			failed = append(failed, err)
		}
		for _, d := range some {
			d.Index = len(all)
			if first, twice := buses[d.Bus]; twice && d.Bus != "" && d.Off == "" {
				d.Off = fmt.Sprintf("the same card as device %d", first)
			} else if d.Off == "" {
				buses[d.Bus] = d.Index
			}
			all = append(all, d)
		}
	}
	if len(all) == 0 && failed == nil {
		return nil, ErrNoDevice
	}
	return all, errors.Join(failed...)
}

func (l *Library) devicesOf(platform handle, index int) ([]Device, error) {
	name := text(func(size uintptr, to *byte, needed *uintptr) int32 {
		return l.cl.getPlatformInfo(platform, platformName, size, to, needed)
	})
	where := fmt.Sprintf("platform %d (%s)", index, name)
	var total uint32
	if code := l.cl.getDeviceIDs(platform, kindAll, 0, nil, &total); code == noDevices || code == 0 && total == 0 {
		return nil, nil
	} else if code != 0 {
		return nil, &Error{Where: where, Call: "clGetDeviceIDs", Code: code}
	}
	ids := make([]handle, total)
	if code := l.cl.getDeviceIDs(platform, kindAll, total, &ids[0], nil); code != 0 {
		return nil, &Error{Where: where, Call: "clGetDeviceIDs", Code: code}
	}
	all := make([]Device, total)
	for i, id := range ids {
		all[i] = l.describe(platform, id, name)
	}
	return all, nil
}

func (l *Library) describe(platform, id handle, platformName string) Device {
	raw := func(what uint32, size int) []byte {
		b := make([]byte, size)
		if l.cl.getDeviceInfo(id, what, uintptr(size), &b[0], nil) != 0 {
			return nil
		}
		return b
	}
	word := func(what uint32) uint32 {
		if b := raw(what, 4); b != nil {
			return binary.NativeEndian.Uint32(b)
		}
		return 0
	}
	long := func(what uint32) uint64 {
		if b := raw(what, 8); b != nil {
			return binary.NativeEndian.Uint64(b)
		}
		return 0
	}
	say := func(what uint32) string {
		return text(func(size uintptr, to *byte, needed *uintptr) int32 {
			return l.cl.getDeviceInfo(id, what, size, to, needed)
		})
	}
	d := Device{
		Platform: platformName, Name: say(deviceName), Vendor: say(deviceVendor), Driver: say(driverVersion),
		Units: int(word(deviceUnits)), Memory: long(deviceMemory),
		platform: platform, id: id, maxGroup: long(deviceMaxGroup), maxAlloc: long(deviceMaxAlloc),
	}
	extensions := " " + say(deviceExtensions) + " "
	if strings.Contains(extensions, " cl_amd_device_attribute_query ") {
		if board := say(deviceBoardNameAMD); board != "" {
			d.Name = board // its name is only the chip's
		}
	}
	d.Bus = busOf(extensions, raw, word)
	switch kind := long(deviceKind); {
	case kind&kindGPU != 0:
		d.Kind = "gpu"
	case kind&kindCPU != 0:
		d.Kind = "cpu"
	default:
		d.Kind = "accelerator"
	}
	switch language := say(deviceLanguage); {
	case word(deviceAvailable) == 0:
		d.Off = "the driver says that it is not available"
	case word(deviceCompiler) == 0:
		d.Off = "its driver has no compiler"
	case word(deviceLittleEndian) == 0:
		d.Off = "it is big-endian"
	case strings.HasPrefix(language, "OpenCL C 1.0") || strings.HasPrefix(language, "OpenCL C 1.1"):
		d.Off = "it knows " + strings.TrimSpace(language) + ", 1.2 is needed"
	}
	return d
}

// busOf is the PCI address by whichever extension the driver has.
func busOf(extensions string, raw func(uint32, int) []byte, word func(uint32) uint32) string {
	has := func(extension string) bool { return strings.Contains(extensions, " "+extension+" ") }
	address := func(domain, bus, device, function uint32) string {
		return fmt.Sprintf("%04x:%02x:%02x.%x", domain, bus, device, function)
	}
	if has("cl_khr_pci_bus_info") {
		if b := raw(devicePCI, 16); b != nil {
			at := func(i int) uint32 { return binary.NativeEndian.Uint32(b[4*i:]) }
			return address(at(0), at(1), at(2), at(3))
		}
	}
	if has("cl_nv_device_attribute_query") {
		slot := word(deviceSlotNV)
		return address(word(deviceDomainNV), word(deviceBusNV), slot>>3, slot&7)
	}
	if has("cl_amd_device_attribute_query") {
		if b := raw(deviceTopologyAMD, 24); b != nil {
			return address(0, uint32(b[21]), uint32(b[22]), uint32(b[23]))
		}
	}
	return ""
}

// text is a string that get tells the size of first; empty when it fails.
func text(get func(size uintptr, to *byte, needed *uintptr) int32) string {
	const most = 64 << 10
	var size uintptr
	if get(0, nil, &size) != 0 || size == 0 || size > most {
		return ""
	}
	b := make([]byte, size)
	if get(size, &b[0], nil) != 0 {
		return ""
	}
	s, _, _ := strings.Cut(string(b), "\x00")
	return strings.TrimSpace(s)
}
