package cli

import "syscall"

// inMemory tells whether a folder is on tmpfs or ramfs.
func inMemory(dir string) bool {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return false
	}
	const tmpfs, ramfs = 0x01021994, 0x858458f6
	return int64(st.Type) == tmpfs || uint32(st.Type) == ramfs
}
