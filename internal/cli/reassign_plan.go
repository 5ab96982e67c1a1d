package cli

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-stream/weir/internal/cli/client"
)

// anyDir stands for "whichever directory the broker likes".
const anyDir = "any"

// move is where the replicas of a partition are, or are to be.
type move struct {
	partition topicPartition
	replicas  []int32
	dirs      []string // of each replica, or anyDir
}

// replicaOf names one replica.
type replicaOf struct {
	partition topicPartition
	broker    int32
}

func (r replicaOf) String() string { return fmt.Sprintf("%s-%d", r.partition, r.broker) }

func (r replicaOf) compare(other replicaOf) int {
	if r.broker != other.broker {
		return int(r.broker - other.broker)
	}
	return r.partition.compare(other.partition)
}

// jsonMove is a move in the files of the tool.
type jsonMove struct {
	Topic     string   `json:"topic"`
	Partition int32    `json:"partition"`
	Replicas  []int32  `json:"replicas"`
	LogDirs   []string `json:"log_dirs"`
}

func commandError(format string, args ...any) error {
	return &client.Error{Class: commandFailed, Message: fmt.Sprintf(format, args...)}
}

func operationError(format string, args ...any) error {
	return &client.Error{Class: operationFailed, Message: fmt.Sprintf(format, args...)}
}

func checkVersion(version *int) error {
	if version != nil && *version != 1 {
		return operationError("Not supported version field value %d", *version)
	}
	return nil
}

// parseMoves reads a --reassignment-json-file.
func parseMoves(text []byte) ([]move, error) {
	var file struct {
		Version    *int       `json:"version"`
		Partitions []jsonMove `json:"partitions"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, operationError("%v", err)
	}
	if err := checkVersion(file.Version); err != nil {
		return nil, err
	}
	moves := make([]move, 0, len(file.Partitions))
	for _, p := range file.Partitions {
		m := move{topicPartition{p.Topic, p.Partition}, p.Replicas, p.LogDirs}
		if m.dirs == nil {
			m.dirs = slices.Repeat([]string{anyDir}, len(m.replicas))
		}
		if len(m.dirs) != len(m.replicas) {
			return nil, commandError("Size of replicas list %s is different from size of log dirs list %s for partition %s",
				javaList(m.replicas), javaList(m.dirs), m.partition)
		}
		moves = append(moves, m)
	}
	return moves, nil
}

// checkMoves refuses what cannot be executed.
func checkMoves(moves []move) error {
	if len(moves) == 0 {
		return commandError("Partition reassignment list cannot be empty")
	}
	seen := map[topicPartition]int{}
	var twice, unclear []string
	for _, m := range moves {
		if len(m.replicas) == 0 {
			return commandError("Partition replica list cannot be empty")
		}
		if seen[m.partition]++; seen[m.partition] == 2 {
			twice = append(twice, m.partition.String())
		}
		if ids := duplicates(m.replicas); len(ids) > 0 {
			unclear = append(unclear, fmt.Sprintf("%s contains multiple entries for %s", m.partition, joinIDs(ids)))
		}
	}
	switch {
	case len(twice) > 0:
		return commandError("Partition reassignment contains duplicate topic partitions: %s", strings.Join(twice, ","))
	case len(unclear) > 0:
		return commandError("Partition replica lists may not contain duplicate entries: %s", strings.Join(unclear, ". "))
	}
	return nil
}

// duplicates are the elements that a list has more than once.
func duplicates[T comparable](list []T) (out []T) {
	seen := map[T]int{}
	for _, v := range list {
		if seen[v]++; seen[v] == 2 {
			out = append(out, v)
		}
	}
	return out
}

// formatMoves is moves in the form of the tool's files, in the order of the partitions.
func formatMoves(moves []move) string {
	slices.SortFunc(moves, func(a, b move) int { return a.partition.compare(b.partition) })
	file := struct {
		Version    int        `json:"version"`
		Partitions []jsonMove `json:"partitions"`
	}{1, []jsonMove{}}
	for _, m := range moves {
		file.Partitions = append(file.Partitions, jsonMove{m.partition.topic, m.partition.partition, m.replicas, m.dirs})
	}
	text, err := json.Marshal(file)
	if err != nil {
		return err.Error() // names and numbers always marshal
	}
	return string(text)
}

// parseTopics reads a --topics-to-move-json-file.
func parseTopics(text []byte) ([]string, error) {
	var file struct {
		Version *int `json:"version"`
		Topics  []struct {
			Topic string `json:"topic"`
		} `json:"topics"`
	}
	if err := json.Unmarshal(text, &file); err != nil {
		return nil, operationError("The input string is not a valid JSON")
	}
	if err := checkVersion(file.Version); err != nil {
		return nil, err
	}
	var names []string
	for _, t := range file.Topics {
		names = append(names, t.Topic)
	}
	if twice := duplicates(names); len(twice) > 0 {
		return nil, commandError("List of topics to reassign contains duplicate entries: %s", javaList(twice))
	}
	return names, nil
}

func parseBrokers(list string) ([]int32, error) {
	var ids []int32
	for _, word := range strings.Split(list, ",") {
		n, err := strconv.ParseInt(word, 10, 32)
		if err != nil {
			return nil, &client.Error{Class: "java.lang.NumberFormatException", Message: fmt.Sprintf("For input string: \"%s\"", word)}
		}
		ids = append(ids, int32(n))
	}
	if twice := duplicates(ids); len(twice) > 0 {
		return nil, commandError("Broker list contains duplicate entries: %s", javaList(twice))
	}
	return ids, nil
}

// spread gives each of n partitions its replicas: leaders go round the brokers from a random one on, further replicas
// are shifted by a distance that grows with each round, and racks get one replica each before one gets a second.
func spread(brokers []clusterNode, racks bool, n, factor int) ([][]int32, error) {
	if factor > len(brokers) {
		message := fmt.Sprintf("The target replication factor of %d cannot be reached because only %d broker(s) are registered or some brokers have all their log directories cordoned.", factor, len(brokers))
		if len(brokers) == 0 {
			message = "All brokers are currently fenced, or have all their log directories cordoned."
		}
		return nil, &client.Error{Class: "org.apache.kafka.common.errors.InvalidReplicationFactorException", Message: message}
	}
	arranged, rackCount := brokers, 1
	if racks {
		arranged, rackCount = alternateRacks(brokers)
	}
	start, shift := rand.IntN(len(arranged)), rand.IntN(len(arranged))
	out := make([][]int32, n)
	for p := range n {
		if p > 0 && p%len(arranged) == 0 {
			shift++
		}
		out[p] = place(arranged, (p+start)%len(arranged), shift, factor, racks, rackCount)
	}
	return out, nil
}

func place(arranged []clusterNode, first, shift, factor int, racks bool, rackCount int) []int32 {
	leader := arranged[first]
	replicas := []int32{leader.id}
	used := map[string]bool{leader.rack: true}
	if racks {
		shift *= rackCount
	}
	for k := 0; len(replicas) < factor; k++ {
		b := arranged[(first+1+(shift+k)%(len(arranged)-1))%len(arranged)]
		if racks && (used[b.rack] && len(used) < rackCount || slices.Contains(replicas, b.id)) {
			continue
		}
		replicas = append(replicas, b.id)
		used[b.rack] = true
	}
	return replicas
}

// alternateRacks orders brokers so that neighbours are in different racks where that is possible.
func alternateRacks(brokers []clusterNode) (out []clusterNode, rackCount int) {
	byRack := map[string][]clusterNode{}
	var names []string
	for _, b := range brokers {
		if byRack[b.rack] == nil {
			names = append(names, b.rack)
		}
		byRack[b.rack] = append(byRack[b.rack], b)
	}
	slices.Sort(names)
	for _, name := range names {
		slices.SortFunc(byRack[name], func(a, b clusterNode) int { return int(a.id - b.id) })
	}
	for i := 0; len(out) < len(brokers); i++ {
		for _, name := range names {
			if i < len(byRack[name]) {
				out = append(out, byRack[name][i])
			}
		}
	}
	return out, len(names)
}
