package log

import (
	"crypto/rand"
	"encoding/hex"
	"strconv"
	"strings"
)

// Suffixes of the directories of partitions in transition.
const (
	deleteDirSuffix = "-delete"
	futureDirSuffix = "-future"
	strayDirSuffix  = "-stray"

	metadataDirName = "__cluster_metadata-0"
	maxNameBytes    = 255
)

// parseDirName reads the name of a partition's directory, with its suffix if it has one: topic-3,
// topic-3.<32 hex>-delete.
func parseDirName(name string) (tp TopicPartition, suffix string, ok bool) {
	for _, s := range []string{deleteDirSuffix, futureDirSuffix, strayDirSuffix} {
		rest, found := strings.CutSuffix(name, s)
		if !found {
			continue
		}
		dot := strings.LastIndexByte(rest, '.')
		if dot < 0 || len(rest)-dot-1 != 32 {
			continue
		}
		if _, err := hex.DecodeString(rest[dot+1:]); err != nil {
			continue
		}
		name, suffix = rest[:dot], s
		break
	}
	dash := strings.LastIndexByte(name, '-')
	if dash <= 0 || dash == len(name)-1 {
		return tp, "", false
	}
	digits := name[dash+1:]
	n, err := strconv.ParseInt(digits, 10, 32)
	if err != nil || n < 0 || strconv.FormatInt(n, 10) != digits {
		return tp, "", false
	}
	return TopicPartition{name[:dash], int32(n)}, suffix, true
}

// uniqueDirName makes the name of a directory in transition. Names beyond what file systems allow are cut in the topic.
func uniqueDirName(tp TopicPartition, suffix string) string {
	var id [16]byte
	_, _ = rand.Read(id[:])
	tail := "-" + strconv.Itoa(int(tp.Partition)) + "." + hex.EncodeToString(id[:]) + suffix
	return tp.Topic[:min(len(tp.Topic), maxNameBytes-len(tail))] + tail
}
