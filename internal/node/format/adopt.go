package format

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/log"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/quorum"
	"github.com/weir-stream/weir/internal/vfs"
)

// found is a partition folder that Adopt came upon.
type found struct {
	dir       string // log directory
	topic     string
	partition int32
	topicID   [16]byte // zero: it has no partition.metadata
	epoch     int32    // last leader epoch, -1 if unknown
}

// Adopt makes metadata for partitions that lie in the log directories of a node that is alone, without any metadata:
// topics from the folders' names, ids from partition.metadata, one replica each, here. What metadata alone knew is
// lost (topic settings, ACLs, users), so every adopted topic keeps its records for ever until its settings are set
// again. It refuses where there is metadata already.
func Adopt(fsys vfs.FS, n *config.Node, out io.Writer, now time.Time) error {
	s, err := Inspect(fsys, n)
	if err != nil {
		return err
	}
	switch {
	case s.HasMetadata:
		return refuse("%s has metadata already; adopt is for directories that have none", s.MetadataDir)
	case !n.Alone || !n.Controller || !n.Broker:
		return refuse("adopt makes a cluster of one node that is broker and controller; the settings speak of more")
	}
	parts, err := findPartitions(fsys, s)
	if err != nil {
		return err
	}
	if len(parts) == 0 {
		return refuse("no partition folders lie in %s", strings.Join(distinctDirs(n), ", "))
	}
	ids, err := adoptDirectories(fsys, n, s, now)
	if err != nil {
		return err
	}
	records, report, err := adoptedRecords(n.ID, parts, ids)
	if err != nil {
		return err
	}
	folder := filepath.Join(n.MetadataDir, quorum.LogDirName)
	if err := fsys.MkdirAll(folder); err != nil {
		return fmt.Errorf("make %s: %w", folder, err)
	}
	at := quorum.SnapshotID{EndOffset: int64(len(records)), Epoch: 1}
	head := quorum.SnapshotHead{Epoch: at.Epoch, Timestamp: now.UnixMilli(), Now: now.UnixMilli()}
	if err := quorum.WriteSnapshot(fsys, filepath.Join(folder, at.FileName()), head, slices.Values(records)); err != nil {
		return err
	}
	if _, err := quorum.Initialize(fsys, n.MetadataDir, n.ID, ids[n.MetadataDir], false, quorum.InitialState{Epoch: at.Epoch, NextOffset: at.EndOffset}); err != nil {
		return err
	}
	_, err = io.WriteString(out, report)
	return err
}

// findPartitions reads the partition folders of all directories.
func findPartitions(fsys vfs.FS, s *State) ([]found, error) {
	var out []found
	at := map[string]string{}
	for _, d := range s.Directories {
		if d.Damage != nil && !errors.Is(d.Damage, log.ErrMetaProperties) {
			return nil, refuse("%v", d.Damage)
		}
		if !d.Exists {
			continue
		}
		entries, err := fsys.List(d.Path)
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", d.Path, err)
		}
		for _, e := range entries {
			topic, partition, ok := parsePartition(e.Name)
			if !e.IsDir || !ok || !isPartition(e.Name) {
				continue
			}
			if other, twice := at[e.Name]; twice {
				return nil, refuse("%s lies in %s and in %s: move one of them away", e.Name, other, d.Path)
			}
			at[e.Name] = d.Path
			f := found{dir: d.Path, topic: topic, partition: partition}
			if f.topicID, f.epoch, err = readPartition(fsys, filepath.Join(d.Path, e.Name)); err != nil {
				return nil, err
			}
			out = append(out, f)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		if out[i].topic != out[j].topic {
			return out[i].topic < out[j].topic
		}
		return out[i].partition < out[j].partition
	})
	return out, nil
}

// readPartition reads the topic id and the last leader epoch that a folder tells.
func readPartition(fsys vfs.FS, dir string) (id [16]byte, epoch int32, err error) {
	epoch = -1
	if data, err := vfs.ReadFile(fsys, filepath.Join(dir, "partition.metadata"), 4096); err == nil {
		for _, line := range strings.Split(string(data), "\n") {
			if text, ok := strings.CutPrefix(strings.TrimSpace(line), "topic_id: "); ok {
				if id, err = mr.ParseUUID(text); err != nil {
					return id, epoch, refuse("%s: topic_id %q cannot be read: %v", dir, text, err)
				}
			}
		}
	} else if !vfs.IsNotExist(err) {
		return id, epoch, fmt.Errorf("read %s: %w", dir, err)
	}
	data, err := vfs.ReadFile(fsys, filepath.Join(dir, "leader-epoch-checkpoint"), 1<<20)
	if vfs.IsNotExist(err) {
		return id, epoch, nil
	}
	if err != nil {
		return id, epoch, fmt.Errorf("read %s: %w", dir, err)
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	for _, line := range lines[min(2, len(lines)):] {
		if e, err := strconv.ParseInt(strings.Fields(line + " x")[0], 10, 32); err == nil {
			epoch = max(epoch, int32(e))
		}
	}
	return id, epoch, nil
}

// adoptDirectories gives every directory a meta.properties of version 1.
func adoptDirectories(fsys vfs.FS, n *config.Node, s *State, now time.Time) (map[string][16]byte, error) {
	if s.ClusterID == "" {
		id, err := RandomUUID()
		if err != nil {
			return nil, err
		}
		s.ClusterID = mr.FormatUUID(id)
	}
	ids := map[string][16]byte{}
	for _, d := range s.Directories {
		id := d.Meta.DirectoryID
		if id == ([16]byte{}) {
			var err error
			if id, err = RandomUUID(); err != nil {
				return nil, err
			}
		}
		ids[d.Path] = id
		if err := vfs.MakeDir(fsys, d.Path); err != nil {
			return nil, fmt.Errorf("make log directory %s: %w", d.Path, err)
		}
		m := log.MetaProperties{Version: 1, ClusterID: s.ClusterID, NodeID: n.ID, DirectoryID: id}
		if err := log.WriteMetaProperties(fsys, d.Path, m, now); err != nil {
			return nil, err
		}
	}
	return ids, nil
}

// compacted are the internal topics whose records must be kept by key.
var compacted = map[string]bool{"__consumer_offsets": true, transactionTopic: true}

// adoptedRecords are the metadata of the topics that were found, and a report for whoever asked.
func adoptedRecords(node int32, parts []found, ids map[string][16]byte) (records []mr.Versioned, report string, err error) {
	levels, err := chosenLevels("", nil)
	if err != nil {
		return nil, "", err
	}
	records = featureRecords(levels)
	version := image.MetadataVersion(levels[image.FeatureMetadata])
	var text strings.Builder
	for len(parts) > 0 {
		n := 1
		for n < len(parts) && parts[n].topic == parts[0].topic {
			n++
		}
		topic, line, err := adoptTopic(node, version, parts[:n], ids)
		if err != nil {
			return nil, "", err
		}
		records = append(records, topic...)
		text.WriteString(line)
		parts = parts[n:]
	}
	text.WriteString("Settings of topics are not in the partitions: the topics above keep their records for ever (retention.ms=-1) until you set\n" +
		"their settings again with kafka-configs, cleanup.policy=compact first where it was set.\n")
	return records, text.String(), nil
}

func adoptTopic(node int32, version image.MetadataVersion, parts []found, ids map[string][16]byte) ([]mr.Versioned, string, error) {
	name := parts[0].topic
	id := parts[0].topicID
	for _, p := range parts {
		if p.topicID != ([16]byte{}) && id != ([16]byte{}) && p.topicID != id {
			return nil, "", refuse("the partitions of topic %s have different topic ids (%s and %s): they belong to different topics of the same name; move one kind away",
				name, mr.FormatUUID(id), mr.FormatUUID(p.topicID))
		}
		if id == ([16]byte{}) {
			id = p.topicID
		}
	}
	if id == ([16]byte{}) {
		var err error
		if id, err = RandomUUID(); err != nil {
			return nil, "", err
		}
	}
	count := parts[len(parts)-1].partition + 1
	if int(count) > 10*len(parts)+100 {
		return nil, "", refuse("topic %s has a partition %d but only %d partition folders: is that folder's name right?", name, count-1, len(parts))
	}
	out := []mr.Versioned{mr.V0(&mr.TopicRecord{Name: name, TopicID: id})}
	next := 0
	for i := int32(0); i < count; i++ {
		p := mr.NewPartitionRecord()
		p.PartitionID, p.TopicID, p.Replicas, p.ISR = i, id, []int32{node}, []int32{node}
		p.Leader, p.LeaderEpoch, p.PartitionEpoch = node, 0, 0
		p.Directories = [][16]byte{image.DirectoryUnassigned}
		if next < len(parts) && parts[next].partition == i {
			p.LeaderEpoch = parts[next].epoch + 1
			p.Directories[0] = ids[parts[next].dir]
			next++
		}
		out = append(out, mr.At(p, version.PartitionRecord()))
	}
	config := func(key, value string) {
		out = append(out, mr.V0(&mr.ConfigRecord{ResourceType: int8(image.TopicConfig), ResourceName: name, Name: key, Value: &value}))
	}
	if compacted[name] {
		config("cleanup.policy", "compact")
	} else {
		config("retention.ms", "-1")
	}
	line := fmt.Sprintf("Adopted topic %s with %d partitions", name, count)
	if missing := int(count) - len(parts); missing > 0 {
		line += fmt.Sprintf(", %d of them empty because their folders are missing", missing)
	}
	return out, line + ".\n", nil
}
