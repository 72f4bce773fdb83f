package gpu

import "unsafe"

// handle is a cl_platform_id, cl_device_id, cl_context or the like.
type handle uintptr

// opencl is the part of OpenCL 1.2 that is used, function by function as the
// Khronos header CL/cl.h has them. Tests put faults between.
type opencl struct {
	getPlatformIDs     func(n uint32, platforms *handle, total *uint32) int32
	getPlatformInfo    func(platform handle, name uint32, size uintptr, value *byte, needed *uintptr) int32
	getDeviceIDs       func(platform handle, kind uint64, n uint32, devices *handle, total *uint32) int32
	getDeviceInfo      func(device handle, name uint32, size uintptr, value *byte, needed *uintptr) int32
	createContext      func(properties *handle, n uint32, devices *handle, notify, data uintptr, code *int32) handle
	releaseContext     func(context handle) int32
	createCommandQueue func(context, device handle, properties uint64, code *int32) handle
	releaseQueue       func(queue handle) int32
	createBuffer       func(context handle, flags uint64, size uintptr, host uintptr, code *int32) handle
	releaseMemory      func(buffer handle) int32
	createProgram      func(context handle, n uint32, sources **byte, lengths *uintptr, code *int32) handle
	buildProgram       func(program handle, n uint32, devices *handle, options *byte, notify, data uintptr) int32
	getBuildInfo       func(program, device handle, name uint32, size uintptr, value *byte, needed *uintptr) int32
	releaseProgram     func(program handle) int32
	createKernel       func(program handle, name *byte, code *int32) handle
	getKernelWorkGroup func(kernel, device handle, name uint32, size uintptr, value *byte, needed *uintptr) int32
	setKernelArg       func(kernel handle, index uint32, size uintptr, value unsafe.Pointer) int32
	releaseKernel      func(kernel handle) int32
	writeBuffer        func(queue, buffer handle, blocking uint32, offset, size uintptr, from unsafe.Pointer, n uint32, wait, event *handle) int32
	readBuffer         func(queue, buffer handle, blocking uint32, offset, size uintptr, to unsafe.Pointer, n uint32, wait, event *handle) int32
	launch             func(queue, kernel handle, dimensions uint32, offset, global, local *uintptr, n uint32, wait, event *handle) int32
	flush              func(queue handle) int32
	getEventInfo       func(event handle, name uint32, size uintptr, value *int32, needed *uintptr) int32
	releaseEvent       func(event handle) int32
}

// functions are the members of cl by their names in the library.
func (cl *opencl) functions() map[string]any {
	return map[string]any{
		"clGetPlatformIDs":          &cl.getPlatformIDs,
		"clGetPlatformInfo":         &cl.getPlatformInfo,
		"clGetDeviceIDs":            &cl.getDeviceIDs,
		"clGetDeviceInfo":           &cl.getDeviceInfo,
		"clCreateContext":           &cl.createContext,
		"clReleaseContext":          &cl.releaseContext,
		"clCreateCommandQueue":      &cl.createCommandQueue,
		"clReleaseCommandQueue":     &cl.releaseQueue,
		"clCreateBuffer":            &cl.createBuffer,
		"clReleaseMemObject":        &cl.releaseMemory,
		"clCreateProgramWithSource": &cl.createProgram,
		"clBuildProgram":            &cl.buildProgram,
		"clGetProgramBuildInfo":     &cl.getBuildInfo,
		"clReleaseProgram":          &cl.releaseProgram,
		"clCreateKernel":            &cl.createKernel,
		"clGetKernelWorkGroupInfo":  &cl.getKernelWorkGroup,
		"clSetKernelArg":            &cl.setKernelArg,
		"clReleaseKernel":           &cl.releaseKernel,
		"clEnqueueWriteBuffer":      &cl.writeBuffer,
		"clEnqueueReadBuffer":       &cl.readBuffer,
		"clEnqueueNDRangeKernel":    &cl.launch,
		"clFlush":                   &cl.flush,
		"clGetEventInfo":            &cl.getEventInfo,
		"clReleaseEvent":            &cl.releaseEvent,
	}
}

// Constants of CL/cl.h, and of the vendors' extensions for the place of a card.
const (
	platformVersion = 0x0901
	platformName    = 0x0902
	platformVendor  = 0x0903

	deviceKind         = 0x1000
	deviceUnits        = 0x1002
	deviceMaxGroup     = 0x1004
	deviceMaxAlloc     = 0x1010
	deviceMemory       = 0x101F
	deviceLittleEndian = 0x1026
	deviceAvailable    = 0x1027
	deviceCompiler     = 0x1028
	deviceName         = 0x102B
	deviceVendor       = 0x102C
	driverVersion      = 0x102D
	deviceVersion      = 0x102F
	deviceExtensions   = 0x1030
	deviceLanguage     = 0x103D
	devicePCI          = 0x410F // cl_khr_pci_bus_info: domain, bus, device, function
	deviceBusNV        = 0x4008 // cl_nv_device_attribute_query
	deviceSlotNV       = 0x4009 // device<<3 | function
	deviceDomainNV     = 0x400A
	deviceTopologyAMD  = 0x4037 // cl_amd_device_attribute_query: 21 bytes, bus, device, function
	deviceBoardNameAMD = 0x4038

	kindCPU         = 1 << 1
	kindGPU         = 1 << 2
	kindAccelerator = 1 << 3
	kindAll         = 0xFFFFFFFF

	contextPlatform = 0x1084
	readWrite       = 1 << 0
	readOnly        = 1 << 2
	buildLog        = 0x1183
	kernelMaxGroup  = 0x11B0
	kernelMultiple  = 0x11B3
	eventStatus     = 0x11D3
	complete        = 0

	noDevices  = -1    // CL_DEVICE_NOT_FOUND
	noPlatform = -1001 // CL_PLATFORM_NOT_FOUND_KHR
)
