// Package devnode runs real full nodes and a real redis-server as child
// processes, for `adit serve --dev` and for tests alike: it starts them on free
// ports with a random password, waits until they answer, ends them in order, and
// leaves none behind when its own process is killed.
//
// A child never outlives its parent: on Linux the kernel sends it SIGKILL when
// the thread that started it ends, and everywhere the next start in the same
// directory first ends the process that the pid file there still names.
//
// It is for development networks only (btcd simnet, litecoind regtest) and knows
// nothing of templates, pools or money: who mines, watches and pays talks to the
// node by its URL.
package devnode
