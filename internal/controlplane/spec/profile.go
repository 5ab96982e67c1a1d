package spec

import "strings"

// A Profile is a ready choice of sizes and of the settings that go with them.
type Profile struct {
	Name    string `json:"name"`
	Brokers int    `json:"brokers"`
	// MemoryBytes and DiskBytes are per broker.
	MemoryBytes int64 `json:"memoryBytes"`
	DiskBytes   int64 `json:"diskBytes"`
	// Survives is how many brokers may fail without loss of an acknowledged
	// record or of availability.
	Survives int    `json:"survives"`
	Doc      string `json:"doc"`
}

// profiles in the order of the create page.
var profiles = []Profile{
	{Name: "dev", Brokers: 1, MemoryBytes: 512 << 20, DiskBytes: 10 << 30, Survives: 0,
		Doc: "One broker for trying things out. Nothing is replicated."},
	{Name: "prod-3", Brokers: 3, MemoryBytes: 1 << 30, DiskBytes: 100 << 30, Survives: 1,
		Doc: "Three brokers that all vote; three replicas, two of which must have a record before it is acknowledged."},
	{Name: "prod-5", Brokers: 5, MemoryBytes: 1 << 30, DiskBytes: 100 << 30, Survives: 1,
		Doc: "Five brokers, three of which vote; replication as with prod-3, more room for load."},
}

// Profiles returns all profiles. The slice is the caller's.
func Profiles() []Profile { return append([]Profile(nil), profiles...) }

// LookupProfile finds a profile by name.
func LookupProfile(name string) (Profile, bool) {
	for _, p := range profiles {
		if p.Name == name {
			return p, true
		}
	}
	return Profile{}, false
}

func profileNames() string {
	names := make([]string, 0, len(profiles))
	for _, p := range profiles {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

// Voters is how many of n brokers should vote in the metadata quorum: one
// below three brokers, where more would survive no failure, else three.
func Voters(n int) int {
	if n < 3 {
		return 1
	}
	return 3
}

// Replication is how many replicas internal and new topics get on n brokers,
// and how many of them must be in sync for a write.
func Replication(n int) (factor, minInSync int) {
	factor = min(n, 3)
	return factor, max(1, factor-1)
}
