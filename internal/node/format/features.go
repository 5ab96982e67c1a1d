package format

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-stream/weir/internal/image"
	mr "github.com/weir-stream/weir/internal/metarecord"
)

// Level is one level of a feature: the metadata.version with which a new cluster gets it, and what else it needs.
type Level struct {
	Feature string
	Level   int16
	Since   image.MetadataVersion
	// Needs is the level of another feature that must be there; nil for none.
	Needs *Level
}

// levels are the levels that a new cluster can be given, by feature in the order of names, levels rising. Every
// feature has a level 0 besides, which needs nothing.
var levels = []Level{
	{Feature: image.FeatureELR, Level: 1, Since: 26, Needs: &Level{Feature: image.FeatureMetadata, Level: 23}},
	{Feature: image.FeatureGroup, Level: 1, Since: 22},
	{Feature: image.FeatureKRaft, Level: 1, Since: 21},
	{Feature: image.FeatureShare, Level: 1, Since: 28},
	{Feature: image.FeatureStreams, Level: 1, Since: 29},
	{Feature: image.FeatureTransaction, Level: 1, Since: 24},
	{Feature: image.FeatureTransaction, Level: 2, Since: 24},
}

// Features are the names of the features besides metadata.version, sorted.
func Features() []string {
	var out []string
	for _, l := range levels {
		if !slices.Contains(out, l.Feature) {
			out = append(out, l.Feature)
		}
	}
	return out
}

// DefaultLevel is the level of a feature that a new cluster of that metadata.version gets.
func DefaultLevel(feature string, v image.MetadataVersion) (level int16) {
	for _, l := range levels {
		if l.Feature == feature && l.Since <= v {
			level = l.Level
		}
	}
	return level
}

// Dependency is the level of another feature that a level needs; ok is false for a level that does not exist.
func Dependency(feature string, level int16) (needs *Level, ok bool) {
	if feature == image.FeatureMetadata {
		return nil, image.MetadataVersion(level).Known()
	}
	for _, l := range levels {
		if l.Feature == feature && l.Level == level {
			return l.Needs, true
		}
	}
	return nil, level == 0 && slices.Contains(Features(), feature)
}

// maxLevel is the highest level of a feature.
func maxLevel(feature string) (level int16) {
	for _, l := range levels {
		if l.Feature == feature {
			level = max(level, l.Level)
		}
	}
	return level
}

// ParseFeature reads "name=level".
func ParseFeature(text string) (name string, level int16, err error) {
	name, value, ok := strings.Cut(text, "=")
	n, err := strconv.ParseInt(value, 10, 16)
	if !ok || name == "" || err != nil {
		return "", 0, fmt.Errorf("Can't parse feature=level string %s: expected the form name=level", text)
	}
	return name, int16(n), nil
}

// chosenLevels settles the levels of all features of a new cluster, metadata.version included.
func chosenLevels(release string, given map[string]int16) (map[string]int16, error) {
	v := image.DefaultMetadataVersion
	if release != "" {
		var ok bool
		if v, ok = image.MetadataVersionOf(release); !ok {
			return nil, fmt.Errorf("Unknown metadata.version '%s'. Supported metadata.version are: %s to %s",
				release, image.MinMetadataVersion, image.MaxMetadataVersion)
		}
	}
	if level, both := given[image.FeatureMetadata]; both {
		if release != "" {
			return nil, fmt.Errorf("Use --release-version instead of --feature %s=%d to avoid ambiguity.", image.FeatureMetadata, level)
		}
		v = image.MetadataVersion(level)
		if !v.Known() {
			return nil, fmt.Errorf("No feature:%s with feature level %d", image.FeatureMetadata, level)
		}
	}
	out := map[string]int16{image.FeatureMetadata: int16(v)}
	for _, name := range Features() {
		out[name] = DefaultLevel(name, v)
	}
	for name, level := range given {
		if _, known := out[name]; !known {
			return nil, fmt.Errorf("Unsupported feature: %s. Supported features are: %s", name, strings.Join(append(Features(), image.FeatureMetadata), ", "))
		}
		if level < 0 || (name != image.FeatureMetadata && level > maxLevel(name)) {
			return nil, fmt.Errorf("No feature:%s with feature level %d", name, level)
		}
		out[name] = level
	}
	for name, level := range out {
		if needs, _ := Dependency(name, level); needs != nil && out[needs.Feature] < needs.Level {
			return nil, fmt.Errorf("%s could not be set to %d because it depends on %s level %d", name, level, needs.Feature, needs.Level)
		}
	}
	return out, nil
}

// featureRecords are the records of a new cluster's features: metadata.version first, then by name. kraft.version is
// no metadata record: it stands among the control records.
func featureRecords(levels map[string]int16) []mr.Versioned {
	out := []mr.Versioned{mr.V0(&mr.FeatureLevelRecord{Name: image.FeatureMetadata, FeatureLevel: levels[image.FeatureMetadata]})}
	for _, name := range Features() {
		if level := levels[name]; level > 0 && name != image.FeatureKRaft {
			out = append(out, mr.V0(&mr.FeatureLevelRecord{Name: name, FeatureLevel: level}))
		}
	}
	return out
}
