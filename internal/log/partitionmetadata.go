package log

import (
	"encoding/base64"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/weir-stream/weir/internal/vfs"
	"github.com/weir-stream/weir/internal/wire"
)

const partitionMetadataFile = "partition.metadata"

// encodePartitionMetadata writes the file that ties a directory to a topic id, without a newline at the end.
func encodePartitionMetadata(id TopicID) []byte {
	return []byte("version: 0\ntopic_id: " + base64.RawURLEncoding.EncodeToString(id[:]))
}

func decodePartitionMetadata(p []byte) (TopicID, error) {
	var id TopicID
	seen := map[string]string{}
	for line := range strings.Lines(string(p)) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		k, v, ok := strings.Cut(line, ":")
		if !ok {
			return id, fmt.Errorf("line %q has no colon", line)
		}
		seen[strings.TrimSpace(k)] = strings.TrimSpace(v)
	}
	if seen["version"] != "0" {
		return id, fmt.Errorf("version %q is not 0", seen["version"])
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(seen["topic_id"], "="))
	if err != nil || len(raw) != len(id) {
		return id, fmt.Errorf("topic id %q is not one", seen["topic_id"])
	}
	copy(id[:], raw)
	if id == (TopicID{}) {
		return id, errors.New("topic id is zero")
	}
	return id, nil
}

// readTopicID loads partition.metadata; the zero id if the file is missing. A damaged file is set aside.
func (l *Log) readTopicID() error {
	name := filepath.Join(l.dirPath(), partitionMetadataFile)
	p, err := vfs.ReadFile(l.env.fs, name, 64<<10)
	if vfs.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	id, err := decodePartitionMetadata(p)
	if err != nil {
		return l.damaged(&damagedError{name, err})
	}
	l.id.Store(&id)
	return nil
}

// setTopicID ties the log to a topic id; a log that has another one refuses.
func (l *Log) setTopicID(id TopicID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.TopicID() == (TopicID{}) {
		if err := l.readTopicID(); err != nil {
			return l.storageError("read topic id", err)
		}
	}
	switch have := l.TopicID(); {
	case have == id:
		return nil
	case have != (TopicID{}):
		return fmt.Errorf("%s has topic id %s, not %s: %w", l.tp, base64.RawURLEncoding.EncodeToString(have[:]),
			base64.RawURLEncoding.EncodeToString(id[:]), wire.InconsistentTopicId)
	}
	err := vfs.WriteFileAtomic(l.env.fs, filepath.Join(l.dirPath(), partitionMetadataFile), encodePartitionMetadata(id), false)
	if err != nil {
		return l.storageError("write topic id", err)
	}
	l.newFiles.Store(true)
	l.metadataUnsynced.Store(true)
	l.id.Store(&id)
	return nil
}
