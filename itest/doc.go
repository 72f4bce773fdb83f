// Package itest proves the whole of Adit on real parts: the built binary, real full nodes, a real
// redis-server and rigs over real TCP. The short end-to-end run is part of every test run; the rest is
// behind the build tag itest. The package holds tests only.
package itest
