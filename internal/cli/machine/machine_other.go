//go:build !linux

package machine

// InMemory is not known here.
func InMemory(string) bool { return false }

// ClockUnkept is not known here.
func ClockUnkept() (unkept, ok bool) { return false, false }
