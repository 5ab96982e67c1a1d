// Package nowait makes the system calls that return at once: on non-blocking
// sockets, and on files as far as the page cache has them.
//
// Calls of package syscall tell Go's scheduler that they may wait. The first
// one after a pause wakes its monitor thread, which then looks every 20 µs for
// a millisecond; with requests in bursts that was a third of the processor time
// of a consumer's broker. These calls do not wait, so that nobody need be told.
// Under the race detector, which sees the ordinary calls only, and on systems
// other than 64-bit Linux they are the ordinary ones.
//
// Errors are a syscall.Errno; EAGAIN where a call would have to wait. Safe for
// concurrent use as the calls themselves are. Callers keep descriptors open
// (syscall.RawConn does).
package nowait
