// Package invariant is how the code says that something cannot be: a broken invariant is a bug, not bad input
// and not a fault of a disk or a peer. It panics with a Violation, which the node that owns the goroutine
// catches (Catch), so that one broken node of a process does not take the others down with it.
package invariant

import (
	"fmt"
	"runtime/debug"
)

// Violation is what a broken invariant panics with.
type Violation struct{ Message string }

func (v *Violation) Error() string { return "invariant broken: " + v.Message }

// Check panics with a Violation if ok is false. The arguments are evaluated either way, so keep them cheap; on
// hot paths write the condition out and call Fail.
func Check(ok bool, format string, args ...any) {
	if !ok {
		Fail(format, args...)
	}
}

// Fail panics with a Violation.
func Fail(format string, args ...any) {
	panic(&Violation{Message: fmt.Sprintf(format, args...)})
}

// Catch is deferred at the bottom of a goroutine; it turns a panic of any kind into a call of report with an
// error and the stack. Without a panic it does nothing.
func Catch(what string, report func(err error, stack []byte)) {
	p := recover()
	if p == nil {
		return
	}
	stack := debug.Stack()
	if err, ok := p.(error); ok {
		report(fmt.Errorf("panic in %s: %w", what, err), stack)
		return
	}
	report(fmt.Errorf("panic in %s: %v", what, p), stack)
}
