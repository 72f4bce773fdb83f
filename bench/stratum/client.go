package stratum

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"strconv"
	"time"
)

const patience = 30 * time.Second // of one read

// client is a connection with a job.
type client struct {
	conn    net.Conn
	reader  *bufio.Reader
	user    string
	job     string
	ntime   string
	en2size int
	counter uint64 // of shares sent
	line    []byte // being built
}

// dial logs in and waits for the first job.
func dial(ctx context.Context, address, user, password string) (*client, error) {
	conn, err := (&net.Dialer{Timeout: patience}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, reader: bufio.NewReaderSize(conn, 2048), user: user}
	if err := c.login(password); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return c, nil
}

func (c *client) login(password string) error {
	opening := `{"id":1,"method":"mining.subscribe","params":["adit-bench"]}` + "\n" +
		fmt.Sprintf(`{"id":2,"method":"mining.authorize","params":[%q,%q]}`, c.user, password) + "\n"
	if _, err := c.conn.Write([]byte(opening)); err != nil {
		return err
	}
	subscribed, authorized := false, false
	for !subscribed || !authorized || c.job == "" {
		line, err := c.read()
		if err != nil {
			return err
		}
		if isCall(line) {
			if err := c.called(line); err != nil {
				return err
			}
			continue
		}
		var reply struct {
			ID     int
			Result json.RawMessage
			Error  json.RawMessage
		}
		if err := json.Unmarshal(line, &reply); err != nil {
			return fmt.Errorf("line %.100q: %w", line, err)
		}
		switch reply.ID {
		case 1:
			var result []json.RawMessage
			if err := json.Unmarshal(reply.Result, &result); err != nil || len(result) < 3 {
				return fmt.Errorf("subscribe was answered %.100s", line)
			}
			if c.en2size, err = strconv.Atoi(string(result[2])); err != nil || c.en2size < 1 || c.en2size > 16 {
				return fmt.Errorf("extranonce2 size %.20s", result[2])
			}
			subscribed = true
		case 2:
			if string(reply.Result) != "true" {
				return fmt.Errorf("login was answered %.200s", line)
			}
			authorized = true
		}
	}
	return nil
}

// read gives a line, valid until the next.
func (c *client) read() ([]byte, error) {
	_ = c.conn.SetReadDeadline(time.Now().Add(patience))
	line, err := c.reader.ReadSlice('\n')
	if !errors.Is(err, bufio.ErrBufferFull) {
		return line, err
	}
	long := bytes.Clone(line)
	for errors.Is(err, bufio.ErrBufferFull) && len(long) < 1<<20 {
		line, err = c.reader.ReadSlice('\n')
		long = append(long, line...)
	}
	return long, err
}

// isCall: a message of the pool's own, no answer.
func isCall(line []byte) bool { return bytes.Contains(line, []byte(`"method"`)) }

// accepted: an answer that says yes.
func accepted(line []byte) bool {
	return bytes.Contains(line, []byte(`"result":true`)) || bytes.Contains(line, []byte(`"result": true`))
}

// called takes the newest job.
func (c *client) called(line []byte) error {
	if !bytes.Contains(line, []byte(`"mining.notify"`)) {
		return nil
	}
	var call struct{ Params []json.RawMessage }
	if err := json.Unmarshal(line, &call); err != nil || len(call.Params) < 9 {
		return fmt.Errorf("notify %.100q", line)
	}
	return errors.Join(json.Unmarshal(call.Params[0], &c.job), json.Unmarshal(call.Params[7], &c.ntime))
}

// clean: a notify that ends earlier jobs.
func clean(line []byte) bool {
	return bytes.Contains(line, []byte(`"mining.notify"`)) &&
		(bytes.Contains(line, []byte(`true],`)) || bytes.Contains(line, []byte(`true]}`)))
}

// append adds a share that was never sent to the line under construction; its id
// is the count.
func (c *client) append() {
	c.counter++
	b := append(c.line, `{"id":`...)
	b = strconv.AppendUint(b, c.counter+10, 10)
	b = append(b, `,"method":"mining.submit","params":["`...)
	b = append(append(b, c.user...), `","`...)
	b = append(append(b, c.job...), `","`...)
	var en2 [16]byte
	for i := range 8 { // the high part of the count, so that nonces may repeat
		if at := c.en2size - 1 - i; at >= 0 {
			en2[at] = byte(c.counter >> 32 >> (8 * i))
		}
	}
	b = hex.AppendEncode(b, en2[:c.en2size])
	b = append(append(append(b, `","`...), c.ntime...), `","`...)
	n := uint32(c.counter)
	b = hex.AppendEncode(b, []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
	c.line = append(b, "\"]}\n"...)
}

// flush sends the shares that were appended.
func (c *client) flush() error {
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
	_, err := c.conn.Write(c.line)
	c.line = c.line[:0]
	return err
}
