package image

import (
	"fmt"
	"slices"
	"strings"
)

// The names of the features.
const (
	FeatureMetadata    = "metadata.version"
	FeatureKRaft       = "kraft.version"
	FeatureTransaction = "transaction.version"
	FeatureGroup       = "group.version"
	FeatureELR         = "eligible.leader.replicas.version"
	FeatureShare       = "share.version"
	FeatureStreams     = "streams.version"
)

// MetadataVersion is a level of the feature metadata.version: it says which records, and which versions of them,
// may stand in the metadata log.
type MetadataVersion int16

// The least and the highest metadata.version that this build reads and writes, and the one that a new cluster gets.
const (
	MinMetadataVersion     MetadataVersion = 7
	MaxMetadataVersion     MetadataVersion = 33
	DefaultMetadataVersion MetadataVersion = 30
)

var metadataVersionNames = [...]string{
	"3.3-IV3", "3.4-IV0", "3.5-IV0", "3.5-IV1", "3.5-IV2", "3.6-IV0", "3.6-IV1", "3.6-IV2", "3.7-IV0", "3.7-IV1",
	"3.7-IV2", "3.7-IV3", "3.7-IV4", "3.8-IV0", "3.9-IV0", "4.0-IV0", "4.0-IV1", "4.0-IV2", "4.0-IV3", "4.1-IV0",
	"4.1-IV1", "4.2-IV0", "4.2-IV1", "4.3-IV0", "4.4-IV0", "4.4-IV1", "4.4-IV2",
}

// Known reports whether this build knows the level.
func (v MetadataVersion) Known() bool { return v >= MinMetadataVersion && v <= MaxMetadataVersion }

// String is the release name, e.g. 4.3-IV0.
func (v MetadataVersion) String() string {
	if !v.Known() {
		return fmt.Sprintf("unknown (%d)", int16(v))
	}
	return metadataVersionNames[v-MinMetadataVersion]
}

// MetadataVersionOf finds a level by its release name, either whole (4.3-IV0) or as a release (4.3, 4.3.1: the
// last one of it).
func MetadataVersionOf(name string) (MetadataVersion, bool) {
	var found MetadataVersion
	for i, n := range metadataVersionNames {
		release := n[:len(n)-len("-IV0")]
		if n == name || release == name || len(name) > len(release) && name[:len(release)+1] == release+"." {
			found = MinMetadataVersion + MetadataVersion(i)
		}
	}
	return found, found != 0
}

// RegisterBrokerRecord is the record version in which brokers are written.
func (v MetadataVersion) RegisterBrokerRecord() int16 {
	switch {
	case v >= 30:
		return 4
	case v >= 17:
		return 3
	case v >= 8:
		return 2
	}
	return 1
}

// PartitionRecord is the record version in which partitions are written.
func (v MetadataVersion) PartitionRecord() int16 {
	switch {
	case v >= 23:
		return 2
	case v >= 17:
		return 1
	}
	return 0
}

// PartitionChangeRecord is the record version in which changes of partitions are written.
func (v MetadataVersion) PartitionChangeRecord() int16 { return v.PartitionRecord() }

// DirectoryAssignment reports whether replicas know their directories (KIP-858).
func (v MetadataVersion) DirectoryAssignment() bool { return v >= 17 }

// ELR reports whether eligible leader replicas can be kept (KIP-966).
func (v MetadataVersion) ELR() bool { return v >= 23 }

// Transactions reports whether metadata transactions may be written (KIP-868).
func (v MetadataVersion) Transactions() bool { return v >= 13 }

// Scram reports whether SCRAM credentials may be written.
func (v MetadataVersion) Scram() bool { return v >= 11 }

// DelegationTokens reports whether delegation tokens may be written.
func (v MetadataVersion) DelegationTokens() bool { return v >= 14 }

// ControllerRegistration reports whether controllers register themselves.
func (v MetadataVersion) ControllerRegistration() bool { return v >= 15 }

// EpochBumpOnShrink reports whether a shrinking ISR raises the leader epoch.
func (v MetadataVersion) EpochBumpOnShrink() bool { return v < 12 }

// CordonedDirectories reports whether brokers can cordon log directories.
func (v MetadataVersion) CordonedDirectories() bool { return v >= 30 }

// SupportedFeatures is what this build can do of each feature, by name.
func SupportedFeatures() []FeatureRange {
	return []FeatureRange{
		{Name: FeatureELR, Min: 0, Max: 1},
		{Name: FeatureGroup, Min: 0, Max: 1},
		{Name: FeatureKRaft, Min: 0, Max: 1},
		{Name: FeatureMetadata, Min: int16(MinMetadataVersion), Max: int16(MaxMetadataVersion)},
		{Name: FeatureShare, Min: 0, Max: 0},
		{Name: FeatureStreams, Min: 0, Max: 0},
		{Name: FeatureTransaction, Min: 0, Max: 2},
	}
}

// EffectiveFeatures is what clients are told of finalized features, by name: never more than this build can do. Levels
// that an imported cluster finalized beyond that stay in the metadata untouched.
func (i *Image) EffectiveFeatures() []FeatureRange {
	var out []FeatureRange
	for _, s := range SupportedFeatures() {
		level := min(i.features[s.Name], s.Max)
		if s.Name == FeatureKRaft {
			level = min(i.kraft, s.Max)
		}
		if level > 0 {
			out = append(out, FeatureRange{Name: s.Name, Min: level, Max: level})
		}
	}
	return out
}

// Beyond are the features that the cluster has finalized at levels which a process with these ranges cannot do, by name,
// Min and Max being the level. No controller registers a broker of that process.
func (i *Image) Beyond(ranges []FeatureRange) []FeatureRange {
	var out []FeatureRange
	for name, level := range i.features {
		var can FeatureRange // what a broker does not name it can do at level 0 only
		for _, r := range ranges {
			if r.Name == name {
				can = r
			}
		}
		if level < can.Min || level > can.Max {
			out = append(out, FeatureRange{Name: name, Min: level, Max: level})
		}
	}
	slices.SortFunc(out, func(a, b FeatureRange) int { return strings.Compare(a.Name, b.Name) })
	return out
}
