package handler

import "github.com/twmb/franz-go/pkg/kmsg"

// addFeatures tells clients which feature levels this build supports and which are finalized (KIP-584). A level that
// an imported directory has finalized above what is supported here is told as the supported one, so that no client
// relies on what is not there. Versions below 4 cannot say that a feature's minimum is 0 and leave those out.
func (b *Broker) addFeatures(version int16, resp *kmsg.ApiVersionsResponse) {
	if version < 3 {
		return
	}
	img := b.Image()
	for _, f := range b.Features {
		if f.Min == 0 && version < 4 {
			continue
		}
		s := kmsg.NewApiVersionsResponseSupportedFeature()
		s.Name, s.MinVersion, s.MaxVersion = f.Name, f.Min, f.Max
		resp.SupportedFeatures = append(resp.SupportedFeatures, s)
	}
	resp.FinalizedFeaturesEpoch = img.Offset()
	for _, f := range img.EffectiveFeatures() {
		if f.Max <= 0 {
			continue
		}
		rf := kmsg.NewApiVersionsResponseFinalizedFeature()
		rf.Name, rf.MinVersionLevel, rf.MaxVersionLevel = f.Name, f.Max, f.Max
		resp.FinalizedFeatures = append(resp.FinalizedFeatures, rf)
	}
}
