package observe

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/admin"
)

// maxAnswer bounds what a pinged port may send.
const maxAnswer = 1 << 20

// ping asks a broker on its own port which requests it knows: the one question
// that needs no account, and that is answered by the threads that answer all
// others. A halted or stuck process accepts connections and never answers.
func ping(ctx context.Context, a admin.Access, address string) error {
	conf, err := a.TLS()
	if err != nil {
		return err
	}
	var conn net.Conn
	if conf == nil {
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", address)
	} else {
		conn, err = (&tls.Dialer{Config: conf}).DialContext(ctx, "tcp", address)
	}
	if err != nil {
		return err
	}
	defer conn.Close()
	if deadline, ok := ctx.Deadline(); ok {
		if err := conn.SetDeadline(deadline); err != nil {
			return err
		}
	}
	req := kmsg.NewPtrApiVersionsRequest()
	const correlation = 1
	frame := kmsg.NewRequestFormatter(kmsg.FormatterClientID("weir-ping")).AppendRequest(nil, req, correlation)
	if _, err := conn.Write(frame); err != nil {
		return err
	}
	var head [8]byte
	if _, err := io.ReadFull(conn, head[:]); err != nil {
		return err
	}
	size, got := binary.BigEndian.Uint32(head[:]), binary.BigEndian.Uint32(head[4:])
	if size < 4 || size > maxAnswer || got != correlation {
		return fmt.Errorf("%s is no Kafka: it answered %x", address, head)
	}
	_, err = io.CopyN(io.Discard, conn, int64(size)-4)
	return err
}
