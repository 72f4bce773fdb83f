package v1

import (
	"bytes"

	"github.com/adit-pool/adit/stratum"
)

// versionID is the id of our client.get_version; a number, since some firmware echoes nothing else.
const versionID = "2021"

// AppendMessage appends client.show_message.
func (d *Dialect) AppendMessage(_ *stratum.Conn, dst []byte, text string) []byte {
	dst = append(dst, `{"id":null,"method":"client.show_message","params":[`...)
	return append(appendString(dst, text), "]}\n"...)
}

// AppendReconnect appends client.reconnect without a host: another than the one that the miner's owner
// chose is never sent.
func (d *Dialect) AppendReconnect(_ *stratum.Conn, dst []byte) []byte {
	return append(dst, `{"id":null,"method":"client.reconnect","params":[]}`+"\n"...)
}

// AppendVersionMask appends mining.set_version_mask.
func (d *Dialect) AppendVersionMask(_ *stratum.Conn, dst []byte, mask uint32) []byte {
	dst = append(dst, `{"id":null,"method":"mining.set_version_mask","params":["`...)
	return append(appendHex32(dst, mask), "\"]}\n"...)
}

// askVersion appends client.get_version, once, where subscribe did not tell. It follows the first job:
// firmware takes anything before that for the answer that it waits for.
func askVersion(c *stratum.Conn, s *State, dst []byte) []byte {
	if s.Asked || c.Agent() != "" {
		return dst
	}
	s.Asked = true
	return append(dst, `{"id":`+versionID+`,"method":"client.get_version","params":[]}`+"\n"...)
}

// answered reads the answer to it.
func (r *request) answered(c *stratum.Conn) {
	s := c.State().(*State)
	if s.Asked && c.Agent() == "" && r.result >= 0 && r.doc.tokens[r.result].kind == kindString && bytes.Equal(r.rawID(), []byte(versionID)) {
		c.SetAgent(r.doc.text(r.result))
	}
}
