package kafkaflag

import (
	"errors"
	"fmt"
	"io"
)

// OptionErrorStyle says what a Jopt tool prints when its command line cannot be read. Kafka's tools differ in it.
type OptionErrorStyle int

// The styles.
const (
	OptionErrorTrace  OptionErrorStyle = iota // the message, then the exception's line
	OptionErrorUsage                          // the message and the usage
	OptionErrorTerse                          // the message alone
	OptionErrorThrown                         // as the Java runtime shows what nobody caught
)

// HelpRequest is --help.
type HelpRequest struct{ Set *Set }

// VersionRequest is --version.
type VersionRequest struct{}

// UsageError is a command line that makes no sense.
type UsageError struct {
	Set     *Set
	Message string
}

// OptionError is a command line that cannot be read at all: an unknown flag, a missing or malformed value.
type OptionError struct {
	Set     *Set
	Class   string // Java's name of the error
	Message string
}

// RemovedError is a flag of a former Kafka.
type RemovedError struct {
	Set    *Set
	Flag   string
	Advice string
}

// ArgumentError is a refusal of an Argparse set.
type ArgumentError struct {
	Set     *Set
	Message string
}

// ExitError ends a tool with a message on standard error, and a code.
type ExitError struct {
	Code    int
	Message string // printed as a line unless empty
}

func (e *HelpRequest) Error() string    { return "help requested" }
func (e *VersionRequest) Error() string { return "version requested" }
func (e *UsageError) Error() string     { return e.Message }
func (e *OptionError) Error() string    { return e.Message }
func (e *ArgumentError) Error() string  { return e.Message }
func (e *ExitError) Error() string      { return e.Message }
func (e *RemovedError) Error() string {
	return fmt.Sprintf("%s is not a recognized option: %s", e.Flag, e.Advice)
}

// Handled tells whether err is one of this package's, which Report prints in full.
func Handled(err error) bool {
	var help *HelpRequest
	var version *VersionRequest
	var usage *UsageError
	var option *OptionError
	var removed *RemovedError
	var argument *ArgumentError
	var exit *ExitError
	return errors.As(err, &help) || errors.As(err, &version) || errors.As(err, &usage) || errors.As(err, &option) ||
		errors.As(err, &removed) || errors.As(err, &argument) || errors.As(err, &exit)
}

// Report prints an error as Kafka's tools do and returns the exit code. Errors of other packages are printed as a
// plain line with exit code 1. A nil error is exit code 0 and prints nothing.
func Report(stdout, stderr io.Writer, err error) int {
	var help *HelpRequest
	var version *VersionRequest
	var usage *UsageError
	var option *OptionError
	var argument *ArgumentError
	var exit *ExitError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &help):
		return reportHelp(stdout, stderr, help.Set)
	case errors.As(err, &version):
		fmt.Fprintln(stdout, KafkaVersion)
		return 0
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, usage.Message)
		usage.Set.WriteUsage(stderr)
	case errors.As(err, &option):
		reportOption(stderr, option)
	case errors.As(err, &argument):
		argument.Set.writeSynopsis(stderr)
		fmt.Fprintf(stderr, "%s: error: %s\n", argument.Set.Name, argument.Message)
	case errors.As(err, &exit):
		if exit.Message != "" {
			fmt.Fprintln(stderr, exit.Message)
		}
		return exit.Code
	default:
		fmt.Fprintln(stderr, err)
	}
	return 1
}

func reportHelp(stdout, stderr io.Writer, s *Set) int {
	if s.Dialect == Argparse {
		s.WriteUsage(stdout)
		return 0
	}
	fmt.Fprintln(stderr, s.Purpose)
	s.WriteUsage(stderr)
	return 1
}

func reportOption(stderr io.Writer, e *OptionError) {
	fmt.Fprint(stderr, e.Set.OptionErrorPrefix)
	switch e.Set.OptionErrors {
	case OptionErrorUsage:
		fmt.Fprintln(stderr, e.Message)
		e.Set.WriteUsage(stderr)
	case OptionErrorTerse:
		fmt.Fprintln(stderr, e.Message)
	case OptionErrorThrown:
		fmt.Fprintf(stderr, "Exception in thread \"main\" %s: %s\n", e.Class, e.Message)
	default:
		fmt.Fprintf(stderr, "%s\n%s: %s\n\n", e.Message, e.Class, e.Message)
	}
}
