// Package kwire is a bare client for one connection: it sends one kmsg request
// at the version that the caller chose, or any bytes at all, and returns what
// came back. It negotiates nothing, retries nothing and follows no leader,
// because what a broker says to odd requests is what its callers test.
package kwire

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxAnswer bounds what a lying length can make the client allocate.
const maxAnswer = 256 << 20

// Conn is one connection. It is not safe for concurrent use.
type Conn struct {
	conn     net.Conn
	r        *bufio.Reader
	format   *kmsg.RequestFormatter
	next     int32
	Timeout  time.Duration // for each answer
	LastBody []byte        // the last answer behind its header, valid until the next
}

// Dial connects with the client id "kwire".
func Dial(addr string) (*Conn, error) { return DialAs(addr, "kwire") }

// DialAs connects with a client id.
func DialAs(addr, clientID string) (*Conn, error) {
	return dial(net.Dialer{Timeout: 5 * time.Second}, addr, clientID)
}

// DialFrom connects from an address of this machine, such as 127.0.0.2, with the client id "kwire".
func DialFrom(local, addr string) (*Conn, error) {
	return dial(net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(local)}}, addr, "kwire")
}

// DialTLS connects through TLS with the client id "kwire".
func DialTLS(addr string, cfg *tls.Config) (*Conn, error) {
	c, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", addr, cfg)
	if err != nil {
		return nil, err
	}
	return over(c, "kwire"), nil
}

func dial(d net.Dialer, addr, clientID string) (*Conn, error) {
	c, err := d.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	return over(c, clientID), nil
}

func over(c net.Conn, clientID string) *Conn {
	return &Conn{
		conn:    c,
		r:       bufio.NewReaderSize(c, 64<<10),
		format:  kmsg.NewRequestFormatter(kmsg.FormatterClientID(clientID)),
		Timeout: 30 * time.Second,
	}
}

// Close ends the connection.
func (c *Conn) Close() error { return c.conn.Close() }

// LocalAddr is the client's end.
func (c *Conn) LocalAddr() net.Addr { return c.conn.LocalAddr() }

// Request sends a request at its version and reads the answer.
func (c *Conn) Request(req kmsg.Request) (kmsg.Response, error) {
	id, err := c.Send(req)
	if err != nil {
		return nil, err
	}
	return c.Receive(id, req)
}

// Send writes a request and returns its correlation id, for pipelining and for
// produce requests that get no answer.
func (c *Conn) Send(req kmsg.Request) (int32, error) {
	id := c.next
	c.next++
	return id, c.Write(c.format.AppendRequest(nil, req, id))
}

// Frame returns the bytes of a request with its size in front.
func (c *Conn) Frame(req kmsg.Request, correlationID int32) []byte {
	return c.format.AppendRequest(nil, req, correlationID)
}

// Write sends bytes as they are.
func (c *Conn) Write(b []byte) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(c.Timeout)); err != nil {
		return err
	}
	_, err := c.conn.Write(b)
	return err
}

// Receive reads the answer to a request that Send has sent. The decoded
// response keeps no reference to LastBody.
func (c *Conn) Receive(id int32, req kmsg.Request) (kmsg.Response, error) {
	frame, err := c.ReadFrame(c.Timeout)
	if err != nil {
		return nil, err
	}
	if len(frame) < 4 {
		return nil, fmt.Errorf("an answer of %d bytes", len(frame))
	}
	if got := int32(binary.BigEndian.Uint32(frame)); got != id {
		return nil, fmt.Errorf("correlation id %d, want %d", got, id)
	}
	body := frame[4:]
	// ApiVersions answers never have a flexible header, so that every client can read them.
	if req.IsFlexible() && req.Key() != int16(kmsg.ApiVersions) {
		if len(body) == 0 || body[0] != 0 {
			return nil, errors.New("the answer's header has tagged fields, or none at all")
		}
		body = body[1:]
	}
	c.LastBody = body
	resp := req.ResponseKind()
	resp.SetVersion(req.GetVersion())
	if err := resp.ReadFrom(bytes.Clone(body)); err != nil {
		return nil, fmt.Errorf("%s v%d: answer of %d bytes: %w", kmsg.NameForKey(req.Key()), req.GetVersion(), len(body), err)
	}
	return resp, nil
}

// ReadFrame reads one frame without its size; io.EOF when the broker hung up.
func (c *Conn) ReadFrame(timeout time.Duration) ([]byte, error) {
	if err := c.conn.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		return nil, err
	}
	var size [4]byte
	if _, err := io.ReadFull(c.r, size[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxAnswer {
		return nil, fmt.Errorf("a frame of %d bytes", n)
	}
	frame := make([]byte, n)
	_, err := io.ReadFull(c.r, frame)
	return frame, err
}
