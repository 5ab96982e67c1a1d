package provider

// Machine is what this machine has for brokers.
type Machine struct {
	MemoryBytes   int64
	DiskFreeBytes int64
}
