package node

import (
	"testing"

	"github.com/weir-stream/weir/internal/image"
	mr "github.com/weir-stream/weir/internal/metarecord"
)

// TestHowToLower: a person whose broker is refused reads which features are too high, or too low, and the command for it.
func TestHowToLower(t *testing.T) {
	level := func(name string, level int16) mr.Versioned {
		return mr.V0(&mr.FeatureLevelRecord{Name: name, FeatureLevel: level})
	}
	img, _, err := image.Empty().Apply(image.Provenance{Offset: 9}, level(image.FeatureMetadata, int16(image.MaxMetadataVersion)), level("made.up", 3), level(image.FeatureELR, 1),
		mr.V0(&mr.RegisterBrokerRecord{BrokerID: 4, EndPoints: []mr.RegisterBrokerRecordBrokerEndpoint{{Name: "PLAINTEXT", Host: "there", Port: 9092}}}))
	if err != nil {
		t.Fatal(err)
	}
	beyond := img.Beyond(image.SupportedFeatures())
	want := "in this cluster made.up is 3 where this broker does 0 to 0; the command that changes it is: kafka-features --bootstrap-server there:9092 downgrade --feature made.up=0"
	if got := howToLower(img, beyond); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
