// Package format looks at a node's log directories before anything is opened, and makes them usable: it formats new
// ones, takes over those that Apache Kafka wrote, and rebuilds metadata from partitions when that is asked for.
//
// What it does not understand it refuses by name: it never formats over data and never sets data aside. It opens no
// log and starts nothing.
package format

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/vfs"
)

// ErrRefused is wrapped by every error that says that directories are not usable as they are. Its text tells what to
// do.
var ErrRefused = errors.New("the log directories are not usable")

func refuse(text string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrRefused, fmt.Sprintf(text, args...))
}

// Directory is what was found in one log directory.
type Directory struct {
	Path   string
	Exists bool
	// Meta is the meta.properties, if Formatted.
	Meta      log.MetaProperties
	Formatted bool
	// Partitions is the number of partition folders, without the metadata log.
	Partitions int
	// Damage is why the directory cannot be read.
	Damage error
}

// State is what was found in all of a node's log directories.
type State struct {
	Directories []Directory
	// ClusterID is that of the formatted directories, empty if there are none.
	ClusterID string
	// MetadataDir is the directory for the metadata log; HasMetadata says that it has one, or a snapshot to begin with.
	MetadataDir string
	HasMetadata bool
	// Imported says that the metadata log has Raft's log beside it; false means that Apache Kafka wrote it last.
	Imported bool
}

// Partitions is the number of partition folders in all directories.
func (s *State) Partitions() (n int) {
	for _, d := range s.Directories {
		n += d.Partitions
	}
	return n
}

// Formatted reports whether any directory is formatted.
func (s *State) Formatted() bool { return s.ClusterID != "" }

// Inspect reads the log directories and changes nothing. The error is that of directories which contradict each
// other or the settings; one that cannot be read is a Damage.
func Inspect(fsys vfs.FS, n *config.Node) (*State, error) {
	s := &State{MetadataDir: n.MetadataDir}
	for _, path := range distinctDirs(n) {
		s.Directories = append(s.Directories, inspectDirectory(fsys, path))
	}
	seen := map[[16]byte]string{}
	for _, d := range s.Directories {
		if !d.Formatted {
			continue
		}
		if d.Meta.NodeID >= 0 && d.Meta.NodeID != n.ID {
			return s, refuse("%s belongs to node %d, but the settings say node.id=%d", filepath.Join(d.Path, log.MetaPropertiesFile), d.Meta.NodeID, n.ID)
		}
		if d.Meta.ClusterID != "" {
			if s.ClusterID != "" && s.ClusterID != d.Meta.ClusterID {
				return s, refuse("%s belongs to cluster %s, the directories before it to cluster %s", d.Path, d.Meta.ClusterID, s.ClusterID)
			}
			s.ClusterID = d.Meta.ClusterID
		}
		if id := d.Meta.DirectoryID; id != ([16]byte{}) {
			if other, twice := seen[id]; twice {
				return s, refuse("%s and %s have the same directory.id %s: one is a copy of the other", other, d.Path, metarecord.FormatUUID(id))
			}
			seen[id] = d.Path
		}
	}
	var err error
	s.HasMetadata, s.Imported, err = inspectMetadata(fsys, n.MetadataDir)
	return s, err
}

// distinctDirs are the log directories and the metadata directory, each once, in the order of the settings.
func distinctDirs(n *config.Node) []string {
	seen := map[string]bool{}
	var out []string
	for _, d := range append(append([]string{}, n.LogDirs...), n.MetadataDir) {
		if !seen[d] {
			seen[d] = true
			out = append(out, d)
		}
	}
	return out
}

func inspectDirectory(fsys vfs.FS, path string) Directory {
	d := Directory{Path: path}
	entries, err := fsys.List(path)
	switch {
	case vfs.IsNotExist(err):
		return d
	case err != nil:
		d.Damage = fmt.Errorf("list %s: %w", path, err)
		return d
	}
	d.Exists = true
	for _, e := range entries {
		if e.IsDir && isPartition(e.Name) {
			d.Partitions++
		}
	}
	d.Meta, err = log.ReadMetaProperties(fsys, path)
	switch {
	case err == nil:
		d.Formatted = true
	case !vfs.IsNotExist(err):
		d.Damage = err
	}
	return d
}

// isPartition reports whether a folder's name is that of a partition, other than the metadata log's.
func isPartition(name string) bool {
	if name == quorum.LogDirName {
		return false
	}
	_, _, ok := parsePartition(name)
	return ok
}

// parsePartition splits "topic-7".
func parsePartition(name string) (topic string, partition int32, ok bool) {
	i := strings.LastIndexByte(name, '-')
	if i <= 0 || i == len(name)-1 || len(name)-i > 11 {
		return "", 0, false
	}
	for _, c := range name[i+1:] {
		if c < '0' || c > '9' || partition > 1<<31/10-1 {
			return "", 0, false
		}
		partition = partition*10 + (c - '0')
	}
	return name[:i], partition, true
}

// inspectMetadata reports whether there is a metadata log or a snapshot, and whether Raft's log is beside it.
func inspectMetadata(fsys vfs.FS, dir string) (has, imported bool, err error) {
	folder := filepath.Join(dir, quorum.LogDirName)
	entries, err := fsys.List(folder)
	if vfs.IsNotExist(err) {
		return false, false, nil
	}
	if err != nil {
		return false, false, fmt.Errorf("list %s: %w", folder, err)
	}
	for _, e := range entries {
		_, snapshot := quorum.ParseSnapshotName(e.Name)
		has = has || snapshot || (!e.IsDir && strings.HasSuffix(e.Name, ".log"))
		if e.IsDir && e.Name == quorum.RaftDirName {
			files, err := fsys.List(filepath.Join(folder, e.Name))
			if err != nil {
				return has, false, fmt.Errorf("list %s: %w", folder, err)
			}
			imported = hasRaftLog(files)
		}
	}
	return has, imported, nil
}

func hasRaftLog(files []vfs.Info) bool {
	for _, f := range files {
		if !f.IsDir {
			return true
		}
	}
	return false
}
