package stratum

import (
	"errors"
	"io"

	"golang.org/x/sys/unix"
)

// first reads the beginning of a message into a buffer that it borrows. On a plain connection it is not
// borrowed before there is something to read.
func (c *Conn) first() (buf []byte, n int, err error) {
	if c.plain == nil {
		buf = c.srv.readers.Get().(*[readBuffer]byte)[:]
		n, err = c.nc.Read(buf)
		return buf, n, err
	}
	c.got, c.gotErr = nil, nil
	if err := c.plain.Read(c.try); err != nil {
		return nil, 0, err
	}
	buf, n = c.got[:readBuffer], len(c.got)
	c.got = nil
	if c.gotErr == nil && n == 0 {
		return buf, 0, io.EOF
	}
	return buf, n, c.gotErr
}

// tryRead reads what is there; false when that is nothing.
func (c *Conn) tryRead(fd uintptr) bool {
	own := c.srv.readers.Get().(*[readBuffer]byte)
	for {
		n, err := unix.Read(int(fd), own[:])
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			c.srv.readers.Put(own)
			return false
		case err != nil:
			n = 0
		}
		c.got, c.gotErr = own[:n], err
		return true
	}
}

// release gives a borrowed buffer back; one that has grown goes.
func (c *Conn) release(buf []byte) {
	if len(buf) == readBuffer {
		c.srv.readers.Put((*[readBuffer]byte)(buf))
	}
}
