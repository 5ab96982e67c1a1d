package log

import (
	"cmp"
	"errors"
	"reflect"
	"syscall"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
)

// must holds the assertions of this package's tests; each ends the test when it does not hold.
var must asserts

type asserts struct{}

func (asserts) NoError(t testing.TB, err error, msg ...any) {
	t.Helper()
	if err != nil {
		t.Fatal(append([]any{"unexpected error:", err}, msg...)...)
	}
}

func (asserts) ErrorIs(t testing.TB, err, want error, msg ...any) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatal(append([]any{"error is", err, "want", want}, msg...)...)
	}
}

func (asserts) Equal(t testing.TB, want, got any, msg ...any) {
	t.Helper()
	if !reflect.DeepEqual(want, got) {
		if d := gocmp.Diff(want, got, gocmp.Exporter(func(reflect.Type) bool { return true })); d != "" {
			t.Fatal(append([]any{"(-want +got)\n" + d}, msg...)...)
		}
	}
}

func (asserts) True(t testing.TB, ok bool, msg ...any) {
	t.Helper()
	if !ok {
		t.Fatal(append([]any{"is not so:"}, msg...)...)
	}
}

func greater[T cmp.Ordered](t testing.TB, a, b T) {
	t.Helper()
	if a <= b {
		t.Fatalf("%v is not above %v", a, b)
	}
}

var errNoSpace error = syscall.ENOSPC
