package format

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/log"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/vfs"
)

// Prepared is what a node starts with.
type Prepared struct {
	ClusterID string
	// MetadataDirectoryID is the directory.id of the metadata directory.
	MetadataDirectoryID [16]byte
	// Bootstrap are the records that a new cluster begins with, from a 0-0 checkpoint or a bootstrap.checkpoint; and
	// BootstrapSource names the file.
	Bootstrap       []mr.Versioned
	BootstrapSource string
}

// Prepare makes the directories of a node ready to be opened: it formats those of a node that is alone and empty, gives
// directory ids to those of older versions, and takes over a metadata log that Apache Kafka wrote. It is called by
// the only process that uses the directories. What it cannot do it refuses before it writes anything.
func Prepare(fsys vfs.FS, n *config.Node, now time.Time, logger *slog.Logger) (Prepared, error) {
	s, err := Inspect(fsys, n)
	if err != nil {
		return Prepared{}, err
	}
	if err := s.check(n); err != nil {
		return Prepared{}, err
	}
	if !s.Formatted() {
		if s, err = selfFormat(fsys, n, now, logger); err != nil {
			return Prepared{}, err
		}
	}
	if err := complete(fsys, n, s, now, logger); err != nil {
		return Prepared{}, err
	}
	p := Prepared{ClusterID: s.ClusterID}
	for _, d := range s.Directories {
		if d.Path == s.MetadataDir {
			p.MetadataDirectoryID = d.Meta.DirectoryID
		}
	}
	if s.HasMetadata && !s.Imported && n.Controller { // a broker without that role only follows
		if err := takeOver(fsys, n, s, p.MetadataDirectoryID, now, logger); err != nil {
			return Prepared{}, err
		}
	}
	p.Bootstrap, p.BootstrapSource, err = readBootstrap(fsys, n)
	return p, err
}

// check refuses what must not be started.
func (s *State) check(n *config.Node) error {
	usable := 0
	for _, d := range s.Directories {
		switch {
		case d.Damage != nil && d.Path == s.MetadataDir:
			return refuse("the metadata directory cannot be read: %v", d.Damage)
		case d.Damage != nil:
			continue // its partitions are offline, the others serve
		case !d.Formatted && d.Partitions > 0:
			return unreadable(d)
		case d.Formatted && d.Meta.Version == 0 && d.Partitions > 0:
			return unreadable(d)
		}
		usable++
	}
	switch {
	case usable == 0:
		return refuse("none of them can be read, the first one because: %v", s.Directories[0].Damage)
	case !s.Formatted() && !n.Alone:
		return refuse("no readable meta.properties files found: a node of several is formatted by hand, with `weir kafka-storage format -t CLUSTER_ID -c FILE` (the same cluster id on each node)")
	case s.Partitions() > 0 && !s.HasMetadata && n.Controller && n.Alone:
		return unreadable(Directory{Path: s.MetadataDir, Partitions: s.Partitions()})
	}
	return nil
}

// selfFormat formats the empty directories of a node that is alone. A cluster id that the directories of a broker of
// ZooKeeper's days have is kept by complete, not here.
func selfFormat(fsys vfs.FS, n *config.Node, now time.Time, logger *slog.Logger) (*State, error) {
	id, err := RandomUUID()
	if err != nil {
		return nil, err
	}
	r := Request{Node: n, ClusterID: mr.FormatUUID(id), Out: discard{}, Now: now, IgnoreFormatted: true}
	// A controller listener that was made up has no port that others could be told: such a quorum is static.
	if !n.Legacy && len(n.Voters) == 0 {
		r.Standalone = true
	}
	if err := Format(fsys, r); err != nil {
		return nil, err
	}
	logger.Info("the log directories were empty and have been formatted", "cluster", r.ClusterID, "node", n.ID, "dirs", distinctDirs(n))
	return Inspect(fsys, n)
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// complete writes what formatted directories lack: a directory id, version 1, or everything, for a directory that is
// new among formatted ones.
func complete(fsys vfs.FS, n *config.Node, s *State, now time.Time, logger *slog.Logger) error {
	for i := range s.Directories {
		d := &s.Directories[i]
		if d.Damage != nil || (d.Formatted && d.Meta.Version == 1 && d.Meta.DirectoryID != ([16]byte{})) {
			continue
		}
		id, err := RandomUUID()
		if err != nil {
			return err
		}
		if err := vfs.MakeDir(fsys, d.Path); err != nil {
			return fmt.Errorf("make log directory %s: %w", d.Path, err)
		}
		d.Meta = log.MetaProperties{Version: 1, ClusterID: s.ClusterID, NodeID: n.ID, DirectoryID: id}
		if err := log.WriteMetaProperties(fsys, d.Path, d.Meta, now); err != nil {
			return err
		}
		what := "got a directory id"
		if !d.Formatted {
			what = "was empty and has been formatted"
		}
		logger.Info("log directory "+what, "dir", d.Path, "directory.id", mr.FormatUUID(id))
		d.Formatted = true
	}
	return nil
}

// readBootstrap reads the records that a new cluster begins with.
func readBootstrap(fsys vfs.FS, n *config.Node) ([]mr.Versioned, string, error) {
	for _, path := range []string{
		filepath.Join(n.MetadataDir, quorum.LogDirName, bootstrapName),
		filepath.Join(n.MetadataDir, oldBootstrapName),
	} {
		snap, err := quorum.ReadSnapshot(fsys, path)
		if vfs.IsNotExist(err) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		var out []mr.Versioned
		for v, err := range snap.Records() {
			if err != nil {
				return nil, "", fmt.Errorf("%s: %w", path, err)
			}
			out = append(out, v)
		}
		return out, path, nil
	}
	return nil, "", nil
}
