package image

import (
	"maps"
	"slices"
	"strings"

	mr "github.com/weir-stream/weir/internal/metarecord"
)

// Snapshot is the image as the source of a snapshot of the metadata log.
type Snapshot struct{ img *Image }

// Snapshot returns the image as the source of a snapshot.
func (i *Image) Snapshot() *Snapshot { return &Snapshot{i} }

// LastOffset is the offset of the last record contained.
func (s *Snapshot) LastOffset() int64 { return s.img.at.Offset }

// Epoch is that of the last record contained.
func (s *Snapshot) Epoch() int32 { return s.img.at.Epoch }

// Timestamp is that of the last batch contained.
func (s *Snapshot) Timestamp() int64 { return s.img.at.Timestamp }

// Records yields records that make the image anew, in Apache Kafka's order: features, brokers, controllers, topics
// with their partitions, configurations, client quotas, producer ids, ACLs, SCRAM, delegation tokens, and last
// what is not understood.
func (s *Snapshot) Records(yield func(mr.Versioned) bool) {
	i := s.img
	ok := true
	put := func(r mr.Record, version int16) {
		if ok {
			ok = yield(mr.At(r, version))
		}
	}
	i.featureRecords(put)
	i.clusterRecords(put)
	for _, t := range i.SortedTopics() {
		if !ok {
			return
		}
		t.records(i.MetadataVersion(), put)
	}
	i.configRecords(put)
	i.quotaRecords(put)
	if i.producer > 0 {
		put(&mr.ProducerIdsRecord{BrokerID: -1, BrokerEpoch: -1, NextProducerID: i.producer}, 0)
	}
	i.securityRecords(put)
	for _, u := range i.unknown {
		put(u.Record, u.Version)
	}
}

type putRecord func(r mr.Record, version int16)

func (i *Image) featureRecords(put putRecord) {
	if v, ok := i.features[FeatureMetadata]; ok {
		put(&mr.FeatureLevelRecord{Name: FeatureMetadata, FeatureLevel: v}, 0)
	}
	for _, name := range slices.Sorted(maps.Keys(i.features)) {
		if name != FeatureMetadata {
			put(&mr.FeatureLevelRecord{Name: name, FeatureLevel: i.features[name]}, 0)
		}
	}
}

func (i *Image) clusterRecords(put putRecord) {
	version := i.MetadataVersion().RegisterBrokerRecord()
	for b := range i.Brokers() {
		put(b.Record(), version)
	}
	for _, c := range i.Controllers() {
		put(c.Record(), 0)
	}
}

// Record is the record that makes the broker anew.
func (b *Broker) Record() *mr.RegisterBrokerRecord {
	r := &mr.RegisterBrokerRecord{
		BrokerID: b.ID, IncarnationID: b.IncarnationID, BrokerEpoch: b.Epoch, Rack: b.Rack, Fenced: b.Fenced,
		InControlledShutdown: b.InControlledShutdown, IsMigratingZkBroker: b.MigratingZk, LogDirs: b.Directories, CordonedLogDirs: b.Cordoned,
	}
	for _, e := range b.Endpoints {
		r.EndPoints = append(r.EndPoints, mr.RegisterBrokerRecordBrokerEndpoint{Name: e.Name, Host: e.Host, Port: e.Port, SecurityProtocol: e.SecurityProtocol})
	}
	for _, f := range b.Features {
		r.Features = append(r.Features, mr.RegisterBrokerRecordBrokerFeature{Name: f.Name, MinSupportedVersion: f.Min, MaxSupportedVersion: f.Max})
	}
	return r
}

// Record is the record that makes the controller anew.
func (c *Controller) Record() *mr.RegisterControllerRecord {
	r := &mr.RegisterControllerRecord{ControllerID: c.ID, IncarnationID: c.IncarnationID, ZkMigrationReady: c.ZkMigrationReady}
	for _, e := range c.Endpoints {
		r.EndPoints = append(r.EndPoints, mr.RegisterControllerRecordControllerEndpoint{Name: e.Name, Host: e.Host, Port: e.Port, SecurityProtocol: e.SecurityProtocol})
	}
	for _, f := range c.Features {
		r.Features = append(r.Features, mr.RegisterControllerRecordControllerFeature{Name: f.Name, MinSupportedVersion: f.Min, MaxSupportedVersion: f.Max})
	}
	return r
}

func (t *Topic) records(v MetadataVersion, put putRecord) {
	put(&mr.TopicRecord{Name: t.Name, TopicID: t.ID}, 0)
	for i, p := range t.Partitions {
		put(p.Record(t.ID, int32(i)), v.PartitionRecord())
	}
}

// Record is the record that makes the partition anew.
func (p *Partition) Record(topic TopicID, index int32) *mr.PartitionRecord {
	r := &mr.PartitionRecord{
		PartitionID: index, TopicID: topic, Replicas: p.Replicas, ISR: p.ISR, RemovingReplicas: p.Removing, AddingReplicas: p.Adding,
		Leader: p.Leader, LeaderRecoveryState: p.LeaderRecoveryState, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch,
		Directories: p.Directories,
	}
	if len(p.ELR) > 0 {
		r.EligibleLeaderReplicas = p.ELR
	}
	if len(p.LastKnownELR) > 0 {
		r.LastKnownELR = p.LastKnownELR
	}
	return r
}

func (i *Image) configRecords(put putRecord) {
	var resources []ConfigResource
	for r := range i.configs.all() {
		resources = append(resources, r)
	}
	slices.SortFunc(resources, func(a, b ConfigResource) int {
		if a.Type != b.Type {
			return int(a.Type) - int(b.Type)
		}
		return strings.Compare(a.Name, b.Name)
	})
	for _, r := range resources {
		values, _ := i.configs.get(r)
		for _, name := range slices.Sorted(maps.Keys(values)) {
			value := values[name]
			put(&mr.ConfigRecord{ResourceType: int8(r.Type), ResourceName: r.Name, Name: name, Value: &value}, 0)
		}
	}
}

func (i *Image) quotaRecords(put putRecord) {
	for q := range i.ClientQuotas() {
		var entity []mr.ClientQuotaRecordEntityData
		for _, p := range q.Entity {
			entity = append(entity, mr.ClientQuotaRecordEntityData{EntityType: p.Type, EntityName: p.Name})
		}
		for _, key := range slices.Sorted(maps.Keys(q.Values)) {
			put(&mr.ClientQuotaRecord{Entity: entity, Key: key, Value: q.Values[key]}, 0)
		}
	}
}

func (i *Image) securityRecords(put putRecord) {
	for a := range i.ACLs() {
		put(&mr.AccessControlEntryRecord{ID: a.ID, ResourceType: a.ResourceType, ResourceName: a.ResourceName, PatternType: a.PatternType,
			Principal: a.Principal, Host: a.Host, Operation: a.Operation, PermissionType: a.Permission}, 0)
	}
	for _, c := range i.ScramCredentials() {
		put(&mr.UserScramCredentialRecord{Name: c.User, Mechanism: c.Mechanism, Salt: c.Salt, StoredKey: c.StoredKey, ServerKey: c.ServerKey, Iterations: c.Iterations}, 0)
	}
	for _, t := range i.DelegationTokens() {
		put(&mr.DelegationTokenRecord{Owner: t.Owner, Requester: t.Requester, Renewers: t.Renewers, IssueTimestamp: t.IssueMs,
			MaxTimestamp: t.MaxMs, ExpirationTimestamp: t.ExpirationMs, TokenID: t.TokenID}, 0)
	}
}
