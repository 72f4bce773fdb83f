//go:build itest

package itest

import (
	"net"
	"os/exec"
	"syscall"
	"testing"
	"time"
)

// process is a server at a fixed address that is started again and again.
type process struct {
	t    *testing.T
	addr string
	path string
	args []string
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has been waited for
}

func (p *process) pid() int { return p.cmd.Process.Pid }

// start returns when the address takes connections.
func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.done = make(chan struct{})
	go func(cmd *exec.Cmd, done chan struct{}) {
		_ = cmd.Wait() // killed as a rule
		close(done)
	}(p.cmd, p.done)
	for deadline := time.Now().Add(time.Minute); ; {
		conn, err := net.DialTimeout("tcp", p.addr, time.Second)
		if err == nil {
			conn.Close()
			return
		}
		if time.Now().After(deadline) {
			p.t.Fatalf("%s does not listen on %s: %v", p.path, p.addr, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func (p *process) kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// stop is a clean end.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(time.Minute):
		p.kill()
	}
}
