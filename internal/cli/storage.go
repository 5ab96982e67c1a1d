package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/cli/kafkaflag"
	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/node/format"
	"github.com/weir-stream/weir/internal/vfs"
)

// storageTool is kafka-storage. What it does to directories is in node/format; here are its flags.
type storageTool struct {
	flags *kafkaflag.Set
	run   map[string]func(Env) error
	fs    vfs.FS
}

func newStorageTool() Command {
	s := kafkaflag.New("kafka-storage", "Looks at the log directories of a node and formats them.", kafkaflag.Argparse)
	s.FromFile = true
	c := &storageTool{flags: s, run: map[string]func(Env) error{}, fs: vfs.OS()}
	c.declareInfo()
	c.declareFormat()
	c.declareAdopt()
	c.declareMapping()
	c.declareDependencies()
	s.Sub("random-uuid", "Print an id for a new cluster.")
	c.run["random-uuid"] = func(env Env) error {
		id, err := format.RandomUUID()
		if err == nil {
			fmt.Fprintln(env.Stdout, metarecord.FormatUUID(id))
		}
		return err
	}
	return c
}

func (c *storageTool) Flags() *kafkaflag.Set { return c.flags }

func (c *storageTool) Run(_ context.Context, env Env) error {
	if err := c.run[c.flags.Chosen().SubName()](env); err != nil {
		return storageFailure(err)
	}
	return nil
}

// storageFailure makes an error that is printed as its message alone.
func storageFailure(err error) error {
	if kafkaflag.Handled(err) {
		return err
	}
	return &kafkaflag.ExitError{Code: 1, Message: err.Error()}
}

func configFlag(s *kafkaflag.Set) *kafkaflag.Flag {
	return s.String("config", "CONFIG", "The properties file of the node.", kafkaflag.Short('c'), kafkaflag.Required())
}

// settings reads the properties file of a node; what is wrong with it is printed a line each.
func (c *storageTool) settings(file string) (*config.Set, error) {
	cfg, _, err := loadServerConfig(file, nil)
	if err != nil {
		return nil, &kafkaflag.ExitError{Code: 1, Message: settingErrors(file, err)}
	}
	return cfg, nil
}

func (c *storageTool) declareInfo() {
	s := c.flags.Sub("info", "Show what is in the log directories of this node.")
	file := configFlag(s)
	c.run["info"] = func(env Env) error {
		cfg, err := c.settings(file.Value())
		if err != nil {
			return err
		}
		ok, err := format.Info(c.fs, cfg.Node(), env.Stdout)
		if err != nil {
			return err
		}
		if !ok {
			return &kafkaflag.ExitError{Code: 1}
		}
		return nil
	}
}

func (c *storageTool) declareFormat() {
	s := c.flags.Sub("format", "Format the log directories of this node.")
	file := configFlag(s)
	cluster := s.String("cluster-id", "CLUSTER_ID", "The id of the cluster.", kafkaflag.Short('t'), kafkaflag.Required())
	scram := s.String("add-scram", "ADD_SCRAM", "A SCRAM credential to begin with, for example 'SCRAM-SHA-256=[name=alice,password=alice-secret]'.",
		kafkaflag.Short('S'), kafkaflag.Repeatable())
	ignore := s.Switch("ignore-formatted", "Pass over directories that are formatted instead of failing.", kafkaflag.Short('g'))
	release := s.String("release-version", "RELEASE_VERSION", "The release whose feature levels the cluster begins with. The least is "+
		image.MinMetadataVersion.String()+", the default "+image.DefaultMetadataVersion.String()+".", kafkaflag.Short('r'))
	feature := s.String("feature", "FEATURE", "The level of one feature, in the form feature=level, for example kraft.version=1.", kafkaflag.Short('f'), kafkaflag.Repeatable())
	alone := s.Switch("standalone", "Begin with this controller as the only voter. controller.quorum.voters must not be set.", kafkaflag.Short('s'))
	none := s.Switch("no-initial-controllers", "Format without voters; controllers join later. controller.quorum.voters must not be set.", kafkaflag.Short('N'))
	initial := s.String("initial-controllers", "INITIAL_CONTROLLERS", "The first voters, in the form id@host:port:directory-id,… "+
		"The same list must be given to all of them. controller.quorum.voters must not be set.", kafkaflag.Short('I'))
	s.Exclusive(false, alone, none, initial)
	c.run["format"] = func(env Env) error {
		cfg, err := c.settings(file.Value())
		if err != nil {
			return err
		}
		r := format.Request{Node: cfg.Node(), ClusterID: cluster.Value(), Release: release.Value(), IgnoreFormatted: ignore.Present(),
			Standalone: alone.Present(), NoInitialControllers: none.Present(), Features: map[string]int16{}, Out: env.Stdout, Now: time.Now()}
		for _, f := range feature.Values() {
			name, level, err := format.ParseFeature(f)
			if err != nil {
				return err
			}
			r.Features[name] = level
		}
		for _, arg := range scram.Values() {
			record, err := format.ParseScram(arg)
			if err != nil {
				return err
			}
			r.Scram = append(r.Scram, record)
		}
		if r.InitialControllers, err = parseInitialControllers(initial.Value()); err != nil {
			return err
		}
		return format.Format(c.fs, r)
	}
}

// parseInitialControllers reads id@host:port:directory-id entries. An IPv6 address stands in brackets.
func parseInitialControllers(list string) ([]format.Voter, error) {
	var out []format.Voter
	for _, e := range strings.Split(list, ",") {
		if e = strings.TrimSpace(e); e == "" {
			continue
		}
		v, err := parseInitialController(e)
		if err != nil {
			return nil, fmt.Errorf("--initial-controllers: %s: %w", e, err)
		}
		for _, o := range out {
			if o.ID == v.ID {
				return nil, fmt.Errorf("--initial-controllers: the id %d stands there twice", v.ID)
			}
		}
		out = append(out, v)
	}
	return out, nil
}

func parseInitialController(e string) (format.Voter, error) {
	id, rest, ok := strings.Cut(e, "@")
	if !ok {
		return format.Voter{}, fmt.Errorf("No @ found in dynamic voter string.")
	}
	n, err := strconv.ParseInt(id, 10, 32)
	if err != nil || n < 0 {
		return format.Voter{}, fmt.Errorf("Failed to parse node id in dynamic voter string.")
	}
	host, rest, ok := cutHost(rest)
	if !ok {
		return format.Voter{}, fmt.Errorf("No colon found after hostname in dynamic voter string.")
	}
	portText, dir, ok := strings.Cut(rest, ":")
	if !ok {
		return format.Voter{}, fmt.Errorf("No colon found after port in dynamic voter string.")
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return format.Voter{}, fmt.Errorf("Failed to parse port in dynamic voter string.")
	}
	dirID, err := metarecord.ParseUUID(dir)
	if err != nil || dir == "" {
		return format.Voter{}, fmt.Errorf("Failed to parse directory ID in dynamic voter string.")
	}
	return format.Voter{ID: int32(n), Host: host, Port: int(port), DirectoryID: dirID}, nil
}

func cutHost(s string) (host, rest string, ok bool) {
	if strings.HasPrefix(s, "[") {
		host, rest, ok = strings.Cut(s[1:], "]:")
		return host, rest, ok && host != ""
	}
	host, rest, ok = strings.Cut(s, ":")
	return host, rest, ok && host != ""
}

func (c *storageTool) declareAdopt() {
	s := c.flags.Sub("adopt", "Rebuild topics from the partitions that lie in the log directories of a node without metadata.")
	file := configFlag(s)
	c.run["adopt"] = func(env Env) error {
		cfg, err := c.settings(file.Value())
		if err != nil {
			return err
		}
		return format.Adopt(c.fs, cfg.Node(), env.Stdout, time.Now())
	}
}

// storageFeatures are the features besides metadata.version, in the order in which Kafka lists them.
var storageFeatures = []string{image.FeatureKRaft, image.FeatureTransaction, image.FeatureGroup, image.FeatureELR, image.FeatureShare, image.FeatureStreams}

func (c *storageTool) declareMapping() {
	s := c.flags.Sub("version-mapping", "Show the feature levels that belong to a release.")
	release := s.String("release-version", "RELEASE_VERSION", "The release. The least is "+image.MinMetadataVersion.String()+", the default "+
		image.DefaultMetadataVersion.String()+".", kafkaflag.Short('r'))
	c.run["version-mapping"] = func(env Env) error {
		name := image.DefaultMetadataVersion.String()
		if release.HasValue() {
			name = release.Value()
		}
		v, ok := image.MetadataVersionOf(name)
		if !ok {
			return unknownRelease(name)
		}
		fmt.Fprintf(env.Stdout, "%s=%d (%s)\n", image.FeatureMetadata, v, name)
		for _, f := range storageFeatures {
			fmt.Fprintf(env.Stdout, "%s=%d\n", f, format.DefaultLevel(f, v))
		}
		return nil
	}
}

func unknownRelease(name string) error {
	var all []string
	for v := image.MinMetadataVersion; v <= image.MaxMetadataVersion; v++ {
		all = append(all, v.String())
	}
	return fmt.Errorf("Unknown metadata.version '%s'. Supported metadata.version are: %s", name, strings.Join(all, ", "))
}

func (c *storageTool) declareDependencies() {
	s := c.flags.Sub("feature-dependencies", "Show what a level of a feature needs.")
	feature := s.String("feature", "FEATURE", "The feature and its level, in the form feature=level, for example metadata.version=5.",
		kafkaflag.Short('f'), kafkaflag.Required(), kafkaflag.Repeatable())
	c.run["feature-dependencies"] = func(env Env) error {
		for _, f := range feature.Values() {
			if err := printDependency(env.Stdout, f); err != nil {
				return err
			}
		}
		return nil
	}
}

func printDependency(out io.Writer, arg string) error {
	name, text, ok := strings.Cut(arg, "=")
	if !ok {
		return fmt.Errorf("Invalid feature format: %s. Expected format: 'feature=version' (e.g. 'group.version=1')", arg)
	}
	level, err := strconv.ParseInt(text, 10, 16)
	if err != nil {
		return fmt.Errorf("Invalid version format: %s for feature %s", text, name)
	}
	if name == image.FeatureMetadata {
		v := image.MetadataVersion(level)
		if !v.Known() {
			return fmt.Errorf("Unknown metadata.version %d", level)
		}
		fmt.Fprintf(out, "%s=%d (%s) has no dependencies.\n", name, level, v)
		return nil
	}
	if !slices.Contains(storageFeatures, name) {
		return fmt.Errorf("Unknown feature: %s", name)
	}
	needs, ok := format.Dependency(name, int16(level))
	switch {
	case !ok:
		return fmt.Errorf("Feature level %d is not supported for feature %s", level, name)
	case needs == nil:
		fmt.Fprintf(out, "%s=%d has no dependencies.\n", name, level)
	default:
		fmt.Fprintf(out, "%s=%d requires:\n    %s=%d", name, level, needs.Feature, needs.Level)
		if needs.Feature == image.FeatureMetadata {
			fmt.Fprintf(out, " (%s)", image.MetadataVersion(needs.Level))
		}
		fmt.Fprintln(out)
	}
	return nil
}
