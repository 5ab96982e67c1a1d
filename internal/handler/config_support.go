package handler

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/wire"
)

// coded is a protocol outcome with a sentence for the client.
type coded struct {
	code wire.Code
	text string
}

func (e *coded) Error() string { return e.text }
func (e *coded) Unwrap() error { return e.code }

// failure returns an error that maps to code, with text as its message.
func failure(code wire.Code, text string) error { return &coded{code, text} }

// messagePtr is message, or nil where there is nothing to say.
func messagePtr(err error) *string {
	if s := message(err); s != "" {
		return &s
	}
	return nil
}

// ask hands a request to the controller and calls then with what it answers, or with the answer that its failure
// comes to.
func (b *Broker) ask(r *wire.Request, req kmsg.Request, then func(kmsg.Response)) {
	rc := requestContext(r)
	b.Group.Go("forward", func(ctx context.Context) {
		resp, err := b.Controller.Handle(ctx, rc, req)
		if err != nil {
			answer := wire.ErrorResponse(req, wire.CodeOf(err), message(err))
			resp = answer
		}
		then(resp)
	})
}

const maxTopicName = 249

// validTopicName refuses names that no topic can have.
func validTopicName(name string) error {
	const intro = "Topic name is invalid: "
	switch {
	case name == "":
		return failure(wire.InvalidTopicException, intro+"the empty string is not allowed")
	case name == "." || name == "..":
		return failure(wire.InvalidTopicException, intro+"'"+name+"' is not allowed")
	case len(name) > maxTopicName:
		return failure(wire.InvalidTopicException, intro+"the length of '"+name+"' is longer than the max allowed length "+itoa(maxTopicName))
	}
	for i := range len(name) {
		c := name[i]
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-' {
			continue
		}
		return failure(wire.InvalidTopicException, intro+"'"+name+"' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'")
	}
	return nil
}
