package invariant

import (
	"errors"
	"strings"
	"testing"
)

func TestCatchReportsViolationsAndOtherPanics(t *testing.T) {
	run := func(f func()) (got error) {
		defer Catch("the loop", func(err error, stack []byte) {
			got = err
			if !strings.Contains(string(stack), "invariant_test") {
				t.Errorf("the stack does not lead here:\n%s", stack)
			}
		})
		f()
		return nil
	}
	err := run(func() { Check(1 > 2, "%d is not more than %d", 1, 2) })
	var v *Violation
	if !errors.As(err, &v) || v.Message != "1 is not more than 2" {
		t.Errorf("err = %v", err)
	}
	if err := run(func() { panic("plain") }); err == nil || err.Error() != "panic in the loop: plain" {
		t.Errorf("err = %v", err)
	}
	if err := run(func() { Check(true, "never") }); err != nil {
		t.Errorf("err = %v", err)
	}
}
