package tidy

import (
	"fmt"
	"slices"
	"strings"
)

// module is the import path of this repository.
const module = "github.com/weir-stream/weir"

// A floor is one row of the table of rooms in docs/ARCHITECTURE.md.
type floor struct {
	number int
	knows  string
	rooms  []string
}

// floors is the one total order of rooms: floors from the ground up, and the
// rooms of a floor from left to right. A package imports only what comes
// before its own room. An entry "x/y" ranks the package internal/x/y apart
// from the room x.
var floors = []floor{
	{0, "nothing of Kafka", []string{"invariant", "nowait", "vfs", "lifecycle", "bufpool", "delayed", "timeline", "telemetry"}},
	{1, "formats only", []string{"wire", "record", "metarecord", "coordrecord"}},
	{2, "who may do what, and settings", []string{"security", "config", "security/channel", "quota", "clientmetrics"}},
	{3, "one replica's files and the way to other nodes; no cluster", []string{"log", "tiered", "peer"}},
	{4, "the cluster's state", []string{"image", "quorum", "controller", "uplink"}},
	{5, "replication", []string{"partition", "replica"}},
	{6, "groups and transactions", []string{"coordinator", "sharefetch"}},
	{7, "requests", []string{"handler", "server"}},
	{8, "the order of start and stop", []string{"node/format", "node"}},
	{9, "clients of any Kafka", []string{"kafkadist", "admin",
		"controlplane/spec", "controlplane/store", "controlplane/people", "controlplane/certs", "controlplane/plan", "controlplane/engine", "controlplane/provider",
		"controlplane/observe", "controlplane/heal", "controlplane/reconcile", "metricstore", "controlplane", "controlplane/watch", "schemaregistry", "connect", "restapi", "dashboard"}},
	{10, "flags and output", []string{"cli", "cmd"}},
}

// Neighbours speak to a cluster by public means only, so that they work with
// Apache Kafka as well: of the engine they may know these floors and no more.
const (
	neighbourFloor     = 9
	neighbourMayImport = 2
)

// testRooms are never part of the program: anything may be imported there, and
// only tests import them.
var testRooms = []string{"testkit", "tidy"}

// A room is a place in the order.
type room struct {
	name  string
	floor int
	rank  int
	test  bool
}

// roomOf finds the room of an import path, longest entry first. The second
// result is false for paths outside the order (other modules, the standard
// library) and for rooms that nobody has declared.
func roomOf(path string) (room, bool) {
	rest, ok := strings.CutPrefix(path, module+"/")
	if !ok {
		return room{}, false
	}
	rest = strings.TrimPrefix(rest, "internal/")
	if first, _, _ := strings.Cut(rest, "/"); slices.Contains(testRooms, first) || slices.Contains(outside, first) {
		return room{name: first, test: true}, true
	}
	best, found, rank := room{}, false, 0
	for _, f := range floors {
		for _, name := range f.rooms {
			rank++
			if (rest == name || strings.HasPrefix(rest, name+"/")) && len(name) > len(best.name) {
				best, found = room{name: name, floor: f.number, rank: rank}, true
			}
		}
	}
	return best, found
}

// outside are the top folders that hold runners and no part of the program.
var outside = []string{"conformance", "bench", "e2e", "sim"}

// checkImport says why from must not import to, or returns "".
func checkImport(from, to string, inTest bool) string {
	if !strings.HasPrefix(to, module+"/") {
		return ""
	}
	src, ok := roomOf(from)
	if !ok {
		return fmt.Sprintf("%s is in no room: add it to floors in internal/tidy/rooms.go and to docs/ARCHITECTURE.md", from)
	}
	dst, ok := roomOf(to)
	if !ok {
		return fmt.Sprintf("%s imports %s, which is in no room", from, to)
	}
	switch {
	case src.test:
		return ""
	case dst.test && !inTest:
		return fmt.Sprintf("%s imports %s, which is for tests only: it would become part of the program", from, to)
	case dst.test, src.name == dst.name:
		return ""
	case inTest && src.floor == dst.floor:
		return "" // a test may use its floor as a whole
	case src.floor == neighbourFloor && dst.floor > neighbourMayImport && dst.floor < neighbourFloor && !inTest:
		return fmt.Sprintf("%s (a neighbour, floor 9) imports %s (floor %d): a neighbour touches a cluster only through the Kafka protocol, "+
			"so that it works with any Kafka; it may import floors 0 to 2 and franz-go", from, to, dst.floor)
	case dst.rank > src.rank && !inTest, inTest && dst.floor > src.floor:
		return fmt.Sprintf("%s (floor %d, knows %s) imports %s (floor %d): a room imports only rooms before its own, so that nothing lower "+
			"calls up; declare an interface of one to four methods where it is used, or move the code", from, src.floor, knows(src.floor), to, dst.floor)
	}
	return ""
}

func knows(number int) string {
	for _, f := range floors {
		if f.number == number {
			return f.knows
		}
	}
	return ""
}
