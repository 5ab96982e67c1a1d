package machine

import "syscall"

// InMemory tells whether a folder is on tmpfs or ramfs.
func InMemory(dir string) bool {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return false
	}
	const tmpfs, ramfs = 0x01021994, 0x858458f6
	return int64(st.Type) == tmpfs || uint32(st.Type) == ramfs
}

// ClockUnkept tells whether the kernel says that nothing keeps the clock right; ok is false where it does not tell.
func ClockUnkept() (unkept, ok bool) {
	var t syscall.Timex
	state, err := syscall.Adjtimex(&t)
	const unsynchronized = 0x40 // STA_UNSYNC
	const timeError = 5         // TIME_ERROR
	return state == timeError || t.Status&unsynchronized != 0, err == nil
}
