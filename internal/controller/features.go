package controller

import (
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/wire"
)

// supported is what this build can do of each feature.
var supported = image.SupportedFeatures()

// defaultLevel is the level of a feature that a new cluster of a metadata.version gets.
func defaultLevel(feature string, v image.MetadataVersion) int16 {
	var level int16
	switch feature {
	case image.FeatureELR:
		if v >= 26 {
			level = 1
		}
	case image.FeatureGroup:
		if v >= 22 {
			level = 1
		}
	case image.FeatureTransaction:
		if v >= 24 {
			level = 2
		}
	case image.FeatureShare:
		switch {
		case v >= 31:
			level = 2
		case v >= 28:
			level = 1
		}
	case image.FeatureStreams:
		if v >= 29 {
			level = 1
		}
	}
	for _, s := range supported {
		if s.Name == feature {
			level = min(level, s.Max)
		}
	}
	return level
}

// BootstrapRecords are the feature levels that a new cluster of a metadata.version begins with. overrides, by name,
// replace the defaults.
func BootstrapRecords(v image.MetadataVersion, overrides map[string]int16) []mr.Versioned {
	records := []mr.Versioned{mr.V0(&mr.FeatureLevelRecord{Name: image.FeatureMetadata, FeatureLevel: int16(v)})}
	for _, s := range supported {
		if s.Name == image.FeatureMetadata || s.Name == image.FeatureKRaft {
			continue
		}
		level, given := overrides[s.Name]
		if !given {
			level = defaultLevel(s.Name, v)
		}
		if level > 0 {
			records = append(records, mr.V0(&mr.FeatureLevelRecord{Name: s.Name, FeatureLevel: level}))
		}
	}
	return records
}

// DefaultBootstrap is what a new cluster begins with when nothing was asked for.
func DefaultBootstrap() Bootstrap {
	return Bootstrap{Records: BootstrapRecords(image.DefaultMetadataVersion, nil), Source: "default"}
}

// Upgrade types of UpdateFeatures.
const (
	upgradeOnly     int8 = 1
	safeDowngrade   int8 = 2
	unsafeDowngrade int8 = 3
)

// raisesKRaft reports whether a request may make the quorum a dynamic one.
func raisesKRaft(req *kmsg.UpdateFeaturesRequest) bool {
	return slices.ContainsFunc(req.FeatureUpdates, func(u kmsg.UpdateFeaturesRequestFeatureUpdate) bool {
		return u.Feature == image.FeatureKRaft && u.MaxVersionLevel > 0
	})
}

// upgradeKRaft answers UpdateFeatures where kraft.version is among the features: if nothing else is wrong the quorum is
// asked first, which writes records of its own, and the rest is decided after that. It runs in the loop.
func (c *Controller) upgradeKRaft(rc RequestContext, req *kmsg.UpdateFeaturesRequest, done func(kmsg.Response, error)) {
	if !c.active {
		done(nil, wire.NotController)
		return
	}
	try := *req
	try.ValidateOnly = true
	d, err := c.updateFeatures(rc, &try)
	if err != nil || d.answer.(*kmsg.UpdateFeaturesResponse).ErrorCode != 0 || c.q.Status().KRaftVersion > 0 {
		c.decide(handlerOf(req.Key()), rc, req, done)
		return
	}
	c.q.UpgradeVersion(req.ValidateOnly, func(err error) {
		switch {
		case err == nil:
			c.post(func() { c.decide(handlerOf(req.Key()), rc, req, done) })
		case wire.CodeOf(err) == wire.NotController:
			done(nil, wire.NotController)
		default:
			done(failedUpdate(req, err), nil)
		}
	})
}

// failedUpdate is the answer when one of the features cannot be changed.
func failedUpdate(req *kmsg.UpdateFeaturesRequest, err error) *kmsg.UpdateFeaturesResponse {
	resp := req.ResponseKind().(*kmsg.UpdateFeaturesResponse)
	message := fmt.Sprintf("The update failed for all features since the following feature had an error: %s", err)
	resp.ErrorCode, resp.ErrorMessage = int16(wire.CodeOf(err)), &message
	return resp
}

// updateFeatures answers UpdateFeatures v0 to v2 (KIP-584, KIP-778).
func (c *Controller) updateFeatures(_ RequestContext, req *kmsg.UpdateFeaturesRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.UpdateFeaturesResponse)
	var records []mr.Versioned
	for _, u := range req.FeatureUpdates {
		kind := u.UpgradeType
		if req.Version == 0 {
			kind = upgradeOnly
			if u.AllowDowngrade {
				kind = safeDowngrade
			}
		}
		recs, err := c.updateFeature(u.Feature, u.MaxVersionLevel, kind)
		if err != nil {
			return decision{answer: failedUpdate(req, err)}, nil
		}
		records = append(records, recs...)
	}
	if req.ValidateOnly {
		records = nil
	}
	return decision{answer: resp, records: records}, nil
}

func invalidUpdate(feature string, level int16, why string) error {
	return refuse(wire.InvalidUpdateVersion, "Invalid update version %d for feature %s. %s", level, feature, why)
}

func (c *Controller) updateFeature(name string, level int16, kind int8) ([]mr.Versioned, error) {
	if kind < upgradeOnly || kind > unsafeDowngrade {
		return nil, refuse(wire.InvalidUpdateVersion, "Invalid update version %d for feature %s. %s", level, name, "The controller does not support the given upgrade type.")
	}
	current := c.state.Finalized(name)
	if name == image.FeatureKRaft {
		current = c.q.Status().KRaftVersion
	}
	if level < 0 {
		return nil, invalidUpdate(name, level, "A feature version cannot be less than 0.")
	}
	if why := c.unsupported(name, level); why != "" {
		return nil, invalidUpdate(name, level, why)
	}
	switch {
	case level < current && kind == upgradeOnly:
		return nil, invalidUpdate(name, level, "Can't downgrade the version of this feature without setting the upgrade type to either safe or unsafe downgrade.")
	case level > current && kind != upgradeOnly:
		return nil, invalidUpdate(name, level, "Can't downgrade to a newer version.")
	case level == current:
		return nil, nil
	}
	switch name {
	case image.FeatureMetadata:
		return c.updateMetadataVersion(image.MetadataVersion(current), image.MetadataVersion(level), kind)
	case image.FeatureKRaft:
		if level < current {
			return nil, invalidUpdate(name, level, "Can't downgrade the version of this feature.")
		}
		return nil, nil // the quorum's own business: see upgradeKRaft
	case image.FeatureELR:
		if level > 0 && !c.state.MetadataVersion().ELR() {
			return nil, refuse(wire.InvalidUpdateVersion, "Invalid update version %d for feature %s. %s", level, name, "metadata.version 23 or higher is needed.")
		}
		return append(c.elrSafetyRecords(level), mr.V0(&mr.FeatureLevelRecord{Name: name, FeatureLevel: level})), nil
	}
	return []mr.Versioned{mr.V0(&mr.FeatureLevelRecord{Name: name, FeatureLevel: level})}, nil
}

// unsupported is the reason why a level cannot be had, empty if it can.
func (c *Controller) unsupported(name string, level int16) string {
	i := slices.IndexFunc(supported, func(f image.FeatureRange) bool { return f.Name == name })
	if i < 0 {
		return fmt.Sprintf("Local controller %d does not support this feature.", c.cfg.NodeID)
	}
	within := func(f image.FeatureRange) bool { return level >= f.Min && level <= f.Max }
	if !within(supported[i]) {
		return fmt.Sprintf("Local controller %d only supports versions %d-%d", c.cfg.NodeID, supported[i].Min, supported[i].Max)
	}
	for b := range c.state.Brokers() {
		j := slices.IndexFunc(b.Features, func(f image.FeatureRange) bool { return f.Name == name })
		if j < 0 && level > 0 {
			return fmt.Sprintf("Broker %d does not support this feature.", b.ID)
		}
		if j >= 0 && !within(b.Features[j]) {
			return fmt.Sprintf("Broker %d only supports versions %d-%d", b.ID, b.Features[j].Min, b.Features[j].Max)
		}
	}
	if !c.state.MetadataVersion().ControllerRegistration() {
		return ""
	}
	return c.unsupportedByVoters(name, level, within)
}

// unsupportedByVoters is unsupported for the other controllers, as they registered.
func (c *Controller) unsupportedByVoters(name string, level int16, within func(image.FeatureRange) bool) string {
	registered := map[int32]bool{c.cfg.NodeID: true}
	for _, r := range c.state.Controllers() {
		if r.ID == c.cfg.NodeID {
			continue
		}
		registered[r.ID] = true
		j := slices.IndexFunc(r.Features, func(f image.FeatureRange) bool { return f.Name == name })
		if j < 0 && level > 0 {
			return fmt.Sprintf("Controller %d does not support this feature.", r.ID)
		}
		if j >= 0 && !within(r.Features[j]) {
			return fmt.Sprintf("Controller %d only supports versions %d-%d", r.ID, r.Features[j].Min, r.Features[j].Max)
		}
	}
	st := c.q.Status()
	for _, v := range st.Voters {
		if !registered[v.ID] && st.KRaftVersion == 0 {
			return fmt.Sprintf("controller %d has not registered, and may not support this feature", v.ID)
		}
	}
	return ""
}

// elrSafetyRecords fix min.insync.replicas of the cluster before eligible leader replicas are switched on.
func (c *Controller) elrSafetyRecords(level int16) []mr.Versioned {
	if level == 0 || c.state.ELREnabled() {
		return nil
	}
	if _, ok := c.state.Config(image.BrokerConfig, "")["min.insync.replicas"]; ok {
		return nil
	}
	value := c.settings().Text("min.insync.replicas")
	return []mr.Versioned{mr.V0(&mr.ConfigRecord{ResourceType: int8(image.BrokerConfig), Name: "min.insync.replicas", Value: &value})}
}

// metadataChanges are the levels that brought records which older ones do not have.
var metadataUnchanged = map[image.MetadataVersion]bool{9: true, 10: true, 12: true, 16: true, 18: true, 19: true, 20: true, 21: true,
	22: true, 24: true, 25: true, 26: true, 27: true, 28: true, 29: true, 31: true}

func (c *Controller) updateMetadataVersion(from, to image.MetadataVersion, kind int8) ([]mr.Versioned, error) {
	if to < from {
		changed := false
		for v := to + 1; v <= from; v++ {
			changed = changed || !metadataUnchanged[v]
		}
		if changed {
			why := "Refusing to perform the requested downgrade because it might delete metadata information."
			if kind == unsafeDowngrade {
				why = "Unsafe metadata downgrade is not supported in this version."
			}
			return nil, refuse(wire.InvalidUpdateVersion, "Unsupported metadata.version downgrade from %d to %d. %s", from, to, why)
		}
	}
	return []mr.Versioned{mr.V0(&mr.FeatureLevelRecord{Name: image.FeatureMetadata, FeatureLevel: int16(to)})}, nil
}
