package image

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/weir-stream/weir/internal/metarecord"
)

// TopicID is a topic's id.
type TopicID = [16]byte

// UUID is any other id: of a directory, an incarnation, an ACL.
type UUID = [16]byte

// ConfigType is the kind of thing that a configuration belongs to.
type ConfigType int8

// The kinds of resources that have configurations.
const (
	TopicConfig         ConfigType = 2
	BrokerConfig        ConfigType = 4
	BrokerLoggerConfig  ConfigType = 8
	ClientMetricsConfig ConfigType = 16
	GroupConfig         ConfigType = 32
)

// ConfigResource names what a configuration belongs to. A BrokerConfig with an empty name is the cluster-wide
// default.
type ConfigResource struct {
	Type ConfigType
	Name string
}

// Provenance says up to where in the metadata log an image reaches.
type Provenance struct {
	Offset    int64 // last record contained; -1 in an empty image
	Epoch     int32
	Timestamp int64 // of the last batch, ms
}

// Image is the metadata at one offset. It is immutable and safe for concurrent use; so is everything reachable from
// it, which callers must not change.
type Image struct {
	at        Provenance
	features  map[string]int16
	kraft     int16
	brokers   map[int32]*Broker
	ctrls     map[int32]*Controller
	topics    table[TopicID, *Topic]
	topicIDs  table[string, TopicID]
	parts     int
	configs   table[ConfigResource, map[string]string]
	quotas    table[string, *ClientQuota]
	producer  int64
	acls      table[UUID, *ACL]
	aclIDs    table[ACLRule, UUID]
	scram     table[ScramKey, *ScramCredential]
	tokens    table[string, *DelegationToken]
	unknown   []metarecord.Versioned
	brokerIDs []int32 // sorted
}

// Empty is the image before the first record.
func Empty() *Image { return &Image{at: Provenance{Offset: -1, Epoch: 0, Timestamp: 0}} }

// Provenance says up to where in the metadata log the image reaches.
func (i *Image) Provenance() Provenance { return i.at }

// Offset is the offset of the last record contained, -1 for none.
func (i *Image) Offset() int64 { return i.at.Offset }

// TopicByName is nil if there is no such topic.
func (i *Image) TopicByName(name string) *Topic {
	id, ok := i.topicIDs.get(name)
	if !ok {
		return nil
	}
	t, _ := i.topics.get(id)
	return t
}

// TopicByID is nil if there is no such topic.
func (i *Image) TopicByID(id TopicID) *Topic {
	t, _ := i.topics.get(id)
	return t
}

// Partition is nil if there is no such partition.
func (i *Image) Partition(topic string, index int32) *Partition {
	return i.TopicByName(topic).Partition(index)
}

// Topics yields all topics in no order.
func (i *Image) Topics() iter.Seq[*Topic] {
	return func(yield func(*Topic) bool) {
		for _, t := range i.topics.all() {
			if !yield(t) {
				return
			}
		}
	}
}

// SortedTopics returns all topics by name.
func (i *Image) SortedTopics() []*Topic {
	out := make([]*Topic, 0, i.topics.n)
	for _, t := range i.topics.all() {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b *Topic) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// TopicCount is the number of topics.
func (i *Image) TopicCount() int { return i.topics.n }

// PartitionCount is the number of partitions of all topics.
func (i *Image) PartitionCount() int { return i.parts }

// Broker is nil if no broker with that id is registered.
func (i *Image) Broker(id int32) *Broker { return i.brokers[id] }

// Brokers yields the registered brokers by rising id, fenced ones included.
func (i *Image) Brokers() iter.Seq[*Broker] {
	return func(yield func(*Broker) bool) {
		for _, id := range i.brokerIDs {
			if !yield(i.brokers[id]) {
				return
			}
		}
	}
}

// Controllers returns the registered controllers by rising id.
func (i *Image) Controllers() []*Controller {
	out := slices.Collect(maps.Values(i.ctrls))
	slices.SortFunc(out, func(a, b *Controller) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Config is what was set on a resource, without defaults; nil if nothing was. Read-only.
func (i *Image) Config(t ConfigType, name string) map[string]string {
	c, _ := i.configs.get(ConfigResource{t, name})
	return c
}

// Configs yields every resource that has something set.
func (i *Image) Configs() iter.Seq2[ConfigResource, map[string]string] { return i.configs.all() }

// ConfigNames returns the names of the resources of one type that have something set, sorted.
func (i *Image) ConfigNames(t ConfigType) []string {
	var out []string
	for r := range i.configs.all() {
		if r.Type == t {
			out = append(out, r.Name)
		}
	}
	slices.Sort(out)
	return out
}

// Finalized is the finalized level of a feature, 0 if there is none.
func (i *Image) Finalized(feature string) int16 { return i.features[feature] }

// FinalizedFeatures is every feature with a level above 0. Read-only.
func (i *Image) FinalizedFeatures() map[string]int16 { return i.features }

// MetadataVersion is the finalized metadata.version; 0 before the first one is set.
func (i *Image) MetadataVersion() MetadataVersion {
	return MetadataVersion(i.features[FeatureMetadata])
}

// KRaftVersion is the version of the quorum's own protocol (KIP-853), which stands in control records.
func (i *Image) KRaftVersion() int16 { return i.kraft }

// ELREnabled reports whether eligible leader replicas are kept (KIP-966).
func (i *Image) ELREnabled() bool { return i.features[FeatureELR] > 0 }

// NextProducerID is the first producer id that was not handed out in a block.
func (i *Image) NextProducerID() int64 { return i.producer }

// ClientQuotas yields every entity that has a quota.
func (i *Image) ClientQuotas() iter.Seq[*ClientQuota] {
	return func(yield func(*ClientQuota) bool) {
		for _, q := range i.quotas.all() {
			if !yield(q) {
				return
			}
		}
	}
}

// ClientQuota is nil if the entity has none.
func (i *Image) ClientQuota(entity QuotaEntity) *ClientQuota {
	q, _ := i.quotas.get(entity.key())
	return q
}

// ACLs yields all access control entries in no order.
func (i *Image) ACLs() iter.Seq[*ACL] {
	return func(yield func(*ACL) bool) {
		for _, a := range i.acls.all() {
			if !yield(a) {
				return
			}
		}
	}
}

// ACLCount is the number of access control entries.
func (i *Image) ACLCount() int { return i.acls.n }

// ACL is nil if there is no entry with that id.
func (i *Image) ACL(id UUID) *ACL {
	a, _ := i.acls.get(id)
	return a
}

// ACLByRule is nil if there is no entry that says just this.
func (i *Image) ACLByRule(r ACLRule) *ACL {
	id, ok := i.aclIDs.get(r)
	if !ok {
		return nil
	}
	return i.ACL(id)
}

// Scram is nil if the user has no credential of that mechanism.
func (i *Image) Scram(user string, mechanism int8) *ScramCredential {
	c, _ := i.scram.get(ScramKey{user, mechanism})
	return c
}

// ScramCredentials returns all credentials by user and mechanism.
func (i *Image) ScramCredentials() []*ScramCredential {
	var out []*ScramCredential
	for _, c := range i.scram.all() {
		out = append(out, c)
	}
	slices.SortFunc(out, func(a, b *ScramCredential) int {
		return cmp.Or(strings.Compare(a.User, b.User), cmp.Compare(a.Mechanism, b.Mechanism))
	})
	return out
}

// DelegationToken is nil if there is no token with the id.
func (i *Image) DelegationToken(id string) *DelegationToken {
	t, _ := i.tokens.get(id)
	return t
}

// DelegationTokenCount is how many tokens there are.
func (i *Image) DelegationTokenCount() int { return i.tokens.n }

// DelegationTokens returns all delegation tokens by id.
func (i *Image) DelegationTokens() []*DelegationToken {
	var out []*DelegationToken
	for _, t := range i.tokens.all() {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b *DelegationToken) int { return strings.Compare(a.TokenID, b.TokenID) })
	return out
}

// Unknown are the records that this build does not understand, kept for the next snapshot.
func (i *Image) Unknown() []metarecord.Versioned { return i.unknown }
