package peer

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/bufpool"
)

// Answer is the body of an answer as it came, in a pooled buffer. Whoever holds it releases it once.
type Answer struct {
	Key, Version int16
	// Body is what follows the answer's header. It is valid until Release.
	Body []byte
	buf  *bufpool.Buf
}

// Release gives the buffer back. Nothing that was decoded from Body may be used afterwards.
func (a *Answer) Release() {
	if a.buf != nil {
		a.buf.Release()
		a.buf, a.Body = nil, nil
	}
}

// Detach takes the bytes out of the pool: they live as long as somebody holds them. It stands in for Release.
func (a *Answer) Detach() {
	if a.buf != nil {
		a.buf.Detach()
		a.buf = nil
	}
}

// DecodeInto decodes the body. Strings and bytes of resp alias Body.
func (a *Answer) DecodeInto(resp kmsg.Response) error {
	resp.SetVersion(a.Version)
	if u, ok := resp.(kmsg.UnsafeReadFrom); ok {
		return a.wrap(u.UnsafeReadFrom(a.Body))
	}
	return a.wrap(resp.ReadFrom(a.Body))
}

// decode decodes the body into a new answer, whose byte slices alias Body.
func (a *Answer) decode(req kmsg.Request) (kmsg.Response, error) {
	resp := req.ResponseKind()
	resp.SetVersion(a.Version)
	if err := a.wrap(resp.ReadFrom(a.Body)); err != nil {
		return nil, err
	}
	return resp, nil
}

func (a *Answer) wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the answer of key %d, version %d is not valid: %w", a.Key, a.Version, err)
}
