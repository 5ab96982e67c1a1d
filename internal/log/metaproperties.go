package log

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/vfs"
)

// MetaPropertiesFile is the file that says to which node and cluster a log directory belongs.
const MetaPropertiesFile = "meta.properties"

// maxMetaProperties bounds what is read of a meta.properties.
const maxMetaProperties = 64 << 10

// MetaProperties is the content of a meta.properties. Version 0 is of ZooKeeper's days: broker.id instead of node.id,
// and no directory id.
type MetaProperties struct {
	Version     int
	ClusterID   string // empty in version 0 of a broker that never joined
	NodeID      int32  // -1: not given
	DirectoryID [16]byte
}

// ErrMetaProperties is wrapped by the errors of a meta.properties that does not make sense.
var ErrMetaProperties = errors.New("unusable " + MetaPropertiesFile)

// ReadMetaProperties reads the file of a log directory. A missing one gives an error that satisfies vfs.IsNotExist.
func ReadMetaProperties(fsys vfs.FS, dir string) (MetaProperties, error) {
	path := filepath.Join(dir, MetaPropertiesFile)
	data, err := vfs.ReadFile(fsys, path, maxMetaProperties)
	if err != nil {
		return MetaProperties{}, fmt.Errorf("read %s: %w", path, err)
	}
	m, err := ParseMetaProperties(data)
	if err != nil {
		return m, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// ParseMetaProperties reads the text of a meta.properties.
func ParseMetaProperties(data []byte) (MetaProperties, error) {
	m := MetaProperties{NodeID: -1}
	props, err := config.ParseProperties(data)
	if err != nil {
		return m, fmt.Errorf("%w: %w", ErrMetaProperties, err)
	}
	values := props.Map()
	if m.Version, err = strconv.Atoi(strings.TrimSpace(values["version"])); err != nil || m.Version < 0 || m.Version > 1 {
		return m, fmt.Errorf("%w: version=%q, but only 0 and 1 are known", ErrMetaProperties, values["version"])
	}
	key := "node.id"
	if m.Version == 0 {
		key = "broker.id"
	}
	m.ClusterID = values["cluster.id"]
	if text, given := values[key]; given || m.Version > 0 {
		id, err := strconv.ParseInt(strings.TrimSpace(text), 10, 32)
		if err != nil || id < 0 {
			return m, fmt.Errorf("%w: %s=%q is not a node id", ErrMetaProperties, key, text)
		}
		m.NodeID = int32(id)
	}
	if m.Version > 0 && m.ClusterID == "" {
		return m, fmt.Errorf("%w: cluster.id is missing", ErrMetaProperties)
	}
	if text, given := values["directory.id"]; given {
		if m.DirectoryID, err = metarecord.ParseUUID(strings.TrimSpace(text)); err != nil {
			return m, fmt.Errorf("%w: directory.id=%q: %w", ErrMetaProperties, text, err)
		}
	}
	return m, nil
}

// Format is the text of version 1, as Kafka writes it.
func (m MetaProperties) Format(now time.Time) []byte {
	return fmt.Appendf(nil, "#\n#%s\nnode.id=%d\ndirectory.id=%s\nversion=1\ncluster.id=%s\n",
		now.Format("Mon Jan 02 15:04:05 MST 2006"), m.NodeID, metarecord.FormatUUID(m.DirectoryID), m.ClusterID)
}

// WriteMetaProperties writes the file of a log directory, durably and in one piece.
func WriteMetaProperties(fsys vfs.FS, dir string, m MetaProperties, now time.Time) error {
	path := filepath.Join(dir, MetaPropertiesFile)
	if err := vfs.WriteFileAtomic(fsys, path, m.Format(now), true); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}
