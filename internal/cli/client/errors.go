package client

import (
	"context"
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

const javaErrors = "org.apache.kafka.common.errors."

// Error is a failure as Kafka's tools print it: with the name of the Java exception, which scripts match on.
type Error struct {
	Code    int16  // the protocol's error code, 0 for an error of the client itself
	Class   string // full Java class name
	Message string
}

// Error is the message alone, as Kafka's "due to" lines have it.
func (e *Error) Error() string { return e.Message }

// Java is "class: message", the first line of a Java stack trace.
func Java(err error) string {
	var e *Error
	if errors.As(err, &e) {
		if e.Message == "" {
			return e.Class
		}
		return e.Class + ": " + e.Message
	}
	return "org.apache.kafka.common.KafkaException: " + err.Error()
}

// Coded turns an error code of an answer, with the message that came with it (nil: the code's own), into an Error.
// Code 0 is a nil error.
func Coded(code int16, message *string) error {
	if code == 0 {
		return nil
	}
	e := &Error{Code: code, Class: javaErrors + classOf(code)}
	if code == kerr.InvalidRecord.Code { // the one that lives elsewhere
		e.Class = "org.apache.kafka.common.InvalidRecordException"
	}
	switch {
	case message != nil:
		e.Message = *message
	default:
		e.Message = kerr.TypedErrorForCode(code).Description
	}
	return e
}

// HasCode tells whether err is a Kafka error with one of codes.
func HasCode(err error, codes ...*kerr.Error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	for _, c := range codes {
		if e.Code == c.Code {
			return true
		}
	}
	return false
}

// Timeout is the error of a call that no broker answered in time.
func Timeout(message string) error {
	return &Error{Class: javaErrors + "TimeoutException", Message: message}
}

// IllegalArgument is an error of the command line or of what it refers to.
func IllegalArgument(message string) error {
	return &Error{Class: "java.lang.IllegalArgumentException", Message: message}
}

// ConfigError is a wrong client setting.
func ConfigError(message string) error {
	return &Error{Class: "org.apache.kafka.common.config.ConfigException", Message: message}
}

// translate turns what franz-go returns into an Error.
func translate(err error) error {
	var coded *kerr.Error
	var own *Error
	switch {
	case err == nil:
		return nil
	case errors.As(err, &own):
		return own
	case isHandshakeFailure(err):
		return authenticationError(err)
	case errors.As(err, &coded):
		return Coded(coded.Code, nil)
	case errors.Is(err, context.DeadlineExceeded):
		return Timeout("The request timed out.")
	}
	return &Error{Class: "org.apache.kafka.common.KafkaException", Message: err.Error()}
}

// Unsupported tells whether err says that the brokers do not know the request, or no version of it that this
// client can send.
func Unsupported(err error) bool {
	return err != nil && (HasCode(err, kerr.UnsupportedVersion) || strings.Contains(err.Error(), "broker is too old") ||
		strings.Contains(err.Error(), "request key is unknown") || strings.Contains(err.Error(), "unable to bump"))
}

// isHandshakeFailure tells whether a connection failed because one side does not believe the other.
func isHandshakeFailure(err error) bool {
	text := err.Error()
	return strings.Contains(text, "SASL") || strings.Contains(text, "tls:") || strings.Contains(text, "x509:")
}

// authenticationError is a handshake failure with what the broker said about it.
func authenticationError(err error) error {
	text := err.Error()
	if !strings.Contains(text, "SASL") {
		return &Error{Class: javaErrors + "SslAuthenticationException", Message: text}
	}
	if _, reason, ok := strings.Cut(text, kerr.SaslAuthenticationFailed.Description+": "); ok {
		text = reason
	}
	return &Error{Code: kerr.SaslAuthenticationFailed.Code, Class: javaErrors + "SaslAuthenticationException", Message: text}
}
