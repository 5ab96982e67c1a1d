package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/node/format"
)

// The ways to change a feature's level, with the numbers of the protocol.
const (
	featureUpgrade         int8 = 1
	featureSafeDowngrade   int8 = 2
	featureUnsafeDowngrade int8 = 3
)

// featuresTool is kafka-features: which feature levels a cluster has, and their change.
type featuresTool struct {
	set *kafkaflag.Set

	brokers, controllers, config *kafkaflag.Flag
	commands                     []*featuresCommand
}

// featuresCommand is one of its subcommands. Flags that a subcommand does not have are nil.
type featuresCommand struct {
	set                                        *kafkaflag.Set
	nodeID                                     *kafkaflag.Flag
	feature, release, metadata, dryRun, unsafe *kafkaflag.Flag
	local                                      func(*featuresCommand, Env) error // needs no cluster
	remote                                     func(*featuresCommand, context.Context, Env, *cluster) error
}

func newFeaturesTool() Command {
	s := kafkaflag.New("kafka-features", "This tool manages feature flags in Kafka.", kafkaflag.Argparse)
	t := &featuresTool{
		set:         s,
		brokers:     s.String("bootstrap-server", "BOOTSTRAP_SERVER", "the brokers to contact first, as host:port, separated by commas"),
		controllers: s.String("bootstrap-controller", "BOOTSTRAP_CONTROLLER", "the controllers to contact first, instead of brokers"),
		config:      s.String("command-config", "COMMAND_CONFIG", "a properties file with settings for the admin client"),
	}
	s.Exclusive(false, t.brokers, t.controllers)
	describe := t.add("describe", "Show the features and their levels.")
	describe.nodeID = describe.set.Int("node-id", "NODE_ID", "ask this node instead of any")
	describe.remote = (*featuresCommand).describe
	for _, name := range []string{"upgrade", "downgrade", "disable"} {
		c := t.add(name, strings.ToUpper(name[:1])+name[1:]+" features.")
		c.feature = c.set.String("feature", "FEATURE", "the feature and its new level, as feature=level (with disable: the feature alone)", kafkaflag.Repeatable())
		c.dryRun = c.set.Switch("dry-run", "only check the change, do not make it")
		if name != "disable" {
			c.release = c.set.String("release-version", "RELEASE_VERSION", "set all features to the levels of this release")
			c.metadata = c.set.String("metadata", "METADATA", "DEPRECATED: the release to set metadata.version to")
		}
		if name != "upgrade" {
			c.unsafe = c.set.Switch("unsafe", "make the change even if it may destroy metadata for good")
		}
		c.remote = (*featuresCommand).change
	}
	mapping := t.add("version-mapping", "Show the feature levels that belong to a release.")
	mapping.release = mapping.set.String("release-version", "RELEASE_VERSION", "the release", kafkaflag.Default(image.DefaultMetadataVersion.String()))
	mapping.local = (*featuresCommand).versionMapping
	dependencies := t.add("feature-dependencies", "Show what a level of a feature needs.")
	dependencies.feature = dependencies.set.String("feature", "FEATURE", "the feature and its level, as feature=level", kafkaflag.Required(), kafkaflag.Repeatable())
	dependencies.local = (*featuresCommand).dependencies
	return t
}

func (t *featuresTool) add(name, purpose string) *featuresCommand {
	c := &featuresCommand{set: t.set.Sub(name, purpose)}
	t.commands = append(t.commands, c)
	return c
}

// Flags implements Command.
func (t *featuresTool) Flags() *kafkaflag.Set { return t.set }

// Run implements Command.
func (t *featuresTool) Run(ctx context.Context, env Env) error {
	i := slices.IndexFunc(t.commands, func(c *featuresCommand) bool { return c.set == t.set.Chosen() })
	if i < 0 {
		return &kafkaflag.ArgumentError{Set: t.set, Message: "too few arguments"}
	}
	c := t.commands[i]
	if c.local != nil {
		return onlyMessage(c.local(c, env))
	}
	if kafkaflag.Count(t.brokers, t.controllers) == 0 {
		return terseErrorf("Command line error: You must specify either --bootstrap-controller or --bootstrap-server.. Type --help for help.")
	}
	p, err := loadProperties(t.config.Value())
	if err != nil {
		return onlyMessage(err)
	}
	reached, err := reach(env, p, t.brokers.Value(), t.controllers.Value())
	if err != nil {
		return throw(env, err)
	}
	defer reached.close()
	return onlyMessage(c.remote(c, ctx, env, reached))
}

// onlyMessage ends a tool with the message of an error.
func onlyMessage(err error) error {
	if err == nil || kafkaflag.Handled(err) {
		return err
	}
	return terseErrorf("%v", err)
}

// featureLevel is a level as text; those of metadata.version have names.
func featureLevel(name string, level int16) string {
	if name != image.FeatureMetadata {
		return strconv.Itoa(int(level))
	}
	if v := image.MetadataVersion(level); v.Known() {
		return v.String()
	}
	return fmt.Sprintf("UNKNOWN %d", level)
}

func (c *featuresCommand) describe(ctx context.Context, env Env, reached *cluster) error {
	req := kmsg.NewPtrApiVersionsRequest()
	req.ClientSoftwareName, req.ClientSoftwareVersion = "weir", "1" // brokers refuse requests without
	var raw kmsg.Response
	var err error
	switch {
	case !c.nodeID.Present():
		raw, err = reached.call(ctx, "describeFeatures", req)
	case c.nodeID.Int64() < 0:
		return terseErrorf("Invalid node id %d: must be non-negative.", c.nodeID.Int64())
	default:
		raw, err = reached.admin.CallBroker(ctx, "describeFeatures", int32(c.nodeID.Int64()), req)
	}
	if err != nil {
		return fmt.Errorf("%s", client.Java(err)) // as out of a future
	}
	resp := raw.(*kmsg.ApiVersionsResponse)
	if err := client.Coded(resp.ErrorCode, nil); err != nil {
		return err
	}
	finalized := map[string]int16{}
	for _, f := range resp.FinalizedFeatures {
		finalized[f.Name] = f.MaxVersionLevel
	}
	epoch := "-"
	if resp.FinalizedFeaturesEpoch >= 0 {
		epoch = strconv.FormatInt(resp.FinalizedFeaturesEpoch, 10)
	}
	slices.SortFunc(resp.SupportedFeatures, func(a, b kmsg.ApiVersionsResponseSupportedFeature) int { return strings.Compare(a.Name, b.Name) })
	for _, f := range resp.SupportedFeatures {
		fmt.Fprintf(env.Stdout, "Feature: %-40s  SupportedMinVersion: %-15s  SupportedMaxVersion: %-15s  FinalizedVersionLevel: %-15s  Epoch: %s\n",
			f.Name, featureLevel(f.Name, f.MinVersion), featureLevel(f.Name, f.MaxVersion), featureLevel(f.Name, finalized[f.Name]), epoch)
	}
	return nil
}

// change upgrades, downgrades or disables features.
func (c *featuresCommand) change(ctx context.Context, env Env, reached *cluster) error {
	levels, err := c.levels(env)
	if err != nil {
		return err
	}
	op := c.set.SubName()
	if len(levels) == 0 {
		return terseErrorf("You must specify at least one feature to %s", op)
	}
	req := kmsg.NewPtrUpdateFeaturesRequest()
	req.ValidateOnly = c.dryRun.Present()
	names := slices.Sorted(maps.Keys(levels))
	for _, name := range names {
		u := kmsg.NewUpdateFeaturesRequestFeatureUpdate()
		u.Feature, u.MaxVersionLevel, u.UpgradeType = name, levels[name], c.kind()
		u.AllowDowngrade = u.UpgradeType != featureUpgrade
		req.FeatureUpdates = append(req.FeatureUpdates, u)
	}
	results, err := updateFeatures(ctx, reached, req)
	if err != nil {
		return err
	}
	failures := 0
	for _, name := range names {
		if err := results[name]; err != nil {
			failures++
			helper, what := "Could not", fmt.Sprintf("%s %s to %d", op, name, levels[name])
			if req.ValidateOnly {
				helper = "Can not"
			}
			if op == "disable" {
				what = "disable " + name
			}
			fmt.Fprintf(env.Stdout, "%s %s. %v\n", helper, what, err)
			continue
		}
		verb, what := "was", fmt.Sprintf("%sd to %d.", op, levels[name])
		if req.ValidateOnly {
			verb = "can be"
		}
		if op == "disable" {
			what = "disabled."
		}
		fmt.Fprintf(env.Stdout, "%s %s %s\n", name, verb, what)
	}
	if failures > 0 {
		return terseErrorf("%d out of %d operation(s) failed.", failures, len(names))
	}
	return nil
}

// updateFeatures returns the error of each feature that has one. New brokers answer for all features at once.
func updateFeatures(ctx context.Context, reached *cluster, req *kmsg.UpdateFeaturesRequest) (map[string]error, error) {
	raw, err := reached.callLeader(ctx, "updateFeatures", req)
	if err != nil {
		return nil, err
	}
	resp := raw.(*kmsg.UpdateFeaturesResponse)
	results := map[string]error{}
	if err := client.Coded(resp.ErrorCode, resp.ErrorMessage); err != nil {
		for _, u := range req.FeatureUpdates {
			results[u.Feature] = err
		}
		return results, nil
	}
	for _, r := range resp.Results {
		if err := client.Coded(r.ErrorCode, r.ErrorMessage); err != nil {
			results[r.Feature] = err
		}
	}
	return results, nil
}

func (c *featuresCommand) kind() int8 {
	switch {
	case c.set.SubName() == "upgrade":
		return featureUpgrade
	case c.unsafe.Present():
		return featureUnsafeDowngrade
	}
	return featureSafeDowngrade
}

// levels are the features to change and their new levels.
func (c *featuresCommand) levels(env Env) (map[string]int16, error) {
	levels := map[string]int16{}
	if c.set.SubName() == "disable" {
		for _, name := range c.feature.Values() {
			if _, twice := levels[name]; twice {
				return nil, fmt.Errorf("Feature %s was specified more than once.", name)
			}
			levels[name] = 0
		}
		return levels, nil
	}
	if c.release.Present() {
		if c.metadata.Present() || c.feature.Present() {
			return nil, fmt.Errorf("Can not specify `release-version` with other feature flags.")
		}
		return c.levelsOfRelease()
	}
	if c.metadata.Present() {
		fmt.Fprintln(env.Stdout, " `metadata` flag is deprecated and may be removed in a future release.")
		v, ok := image.MetadataVersionOf(c.metadata.Value())
		if !ok {
			return nil, unknownRelease(c.metadata.Value())
		}
		levels[image.FeatureMetadata] = int16(v)
	}
	for _, f := range c.feature.Values() {
		name, level, err := nameAndLevel(f)
		if err != nil {
			return nil, err
		}
		if _, twice := levels[name]; twice {
			return nil, fmt.Errorf("Feature %s was specified more than once.", name)
		}
		levels[name] = level
	}
	return levels, nil
}

func (c *featuresCommand) levelsOfRelease() (map[string]int16, error) {
	v, ok := image.MetadataVersionOf(c.release.Value())
	if !ok {
		return nil, unknownRelease(c.release.Value())
	}
	levels := map[string]int16{image.FeatureMetadata: int16(v)}
	for _, name := range storageFeatures {
		// Nothing is upgraded to level 0.
		if level := format.DefaultLevel(name, v); level > 0 || c.set.SubName() != "upgrade" {
			levels[name] = level
		}
	}
	return levels, nil
}

func nameAndLevel(text string) (string, int16, error) {
	name, level, ok := strings.Cut(text, "=")
	if !ok {
		return "", 0, fmt.Errorf("Can't parse feature=level string %s: equals sign not found.", text)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(level), 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("Can't parse feature=level string %s: unable to parse %s as a short.", text, strings.TrimSpace(level))
	}
	return strings.TrimSpace(name), int16(n), nil
}

func (c *featuresCommand) versionMapping(env Env) error {
	v, ok := image.MetadataVersionOf(c.release.Value())
	if !ok {
		return unknownRelease(c.release.Value())
	}
	fmt.Fprintf(env.Stdout, "%s=%d (%s)\n", image.FeatureMetadata, v, c.release.Value())
	for _, name := range storageFeatures {
		fmt.Fprintf(env.Stdout, "%s=%d\n", name, format.DefaultLevel(name, v))
	}
	return nil
}

func (c *featuresCommand) dependencies(env Env) error {
	for _, f := range c.feature.Values() {
		if _, _, err := nameAndLevel(f); err != nil {
			return err
		}
		if err := printDependency(env.Stdout, f); err != nil {
			return err
		}
	}
	return nil
}
