package controller

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/weir-stream/weir/internal/wire"
)

// outcome is a protocol error with the sentence that Apache Kafka says with it.
type outcome struct {
	code     wire.Code
	message  string
	wordless bool // Kafka says nothing with it
}

func (o *outcome) Error() string { return o.message }
func (o *outcome) Unwrap() error { return o.code }

// refuse is an error with Kafka's own sentence.
func refuse(code wire.Code, format string, args ...any) error {
	return &outcome{code: code, message: fmt.Sprintf(format, args...)}
}

// plain is an error with the sentence that belongs to its code.
func plain(code wire.Code) error { return &outcome{code: code, message: defaultMessage(code)} }

// wordless is an error whose message is null in the answer.
func wordless(code wire.Code) error {
	return &outcome{code: code, message: defaultMessage(code), wordless: true}
}

func defaultMessage(code wire.Code) string {
	switch code { // those whose wording differs between Kafka and the client library
	case wire.ElectionNotNeeded:
		return "Leader election not needed for topic partition."
	case wire.PreferredLeaderNotAvailable:
		return "The preferred leader was not available."
	case wire.EligibleLeadersNotAvailable:
		return "Eligible topic partition leaders are not available."
	}
	if e := kerr.TypedErrorForCode(int16(code)); e != nil {
		return e.Description
	}
	return code.Name()
}

// errorFields are the code and message of an answer: 0 and nil for no error.
func errorFields(err error) (code int16, message *string) {
	if err == nil {
		return 0, nil
	}
	var o *outcome
	text := ""
	if errors.As(err, &o) {
		if o.wordless {
			return int16(o.code), nil
		}
		text = o.message
	} else {
		text = defaultMessage(wire.CodeOf(err))
	}
	return int16(wire.CodeOf(err)), &text
}
