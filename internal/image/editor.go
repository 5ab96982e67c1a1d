package image

import (
	"fmt"
	"maps"
	"slices"

	mr "github.com/weir-stream/weir/internal/metarecord"
)

// Editor makes the next image from records. Owned by one goroutine. After an error from Replay it must be given up.
type Editor struct {
	base  *Image
	next  *Image // owned until Finish
	delta *Delta

	topics   edit[TopicID, *Topic]
	topicIDs edit[string, TopicID]
	configs  edit[ConfigResource, map[string]string]
	quotas   edit[string, *ClientQuota]
	acls     edit[UUID, *ACL]
	aclIDs   edit[ACLRule, UUID]
	scram    edit[ScramKey, *ScramCredential]
	tokens   edit[string, *DelegationToken]

	ownedFeatures, ownedBrokers, ownedCtrls bool
	ownedConfigs                            map[ConfigResource]struct{}
	ownedTopics                             map[TopicID]*Topic
}

// Edit begins the next image.
func (i *Image) Edit() *Editor {
	next := *i
	return &Editor{
		base: i, next: &next, delta: &Delta{From: i},
		topics: editOf(i.topics), topicIDs: editOf(i.topicIDs), configs: editOf(i.configs), quotas: editOf(i.quotas),
		acls: editOf(i.acls), aclIDs: editOf(i.aclIDs), scram: editOf(i.scram), tokens: editOf(i.tokens),
	}
}

// Finish returns the new image and what changed. The editor cannot be used afterwards.
func (e *Editor) Finish(at Provenance) (*Image, *Delta) {
	n := e.next
	n.at = at
	n.topics, n.topicIDs, n.configs = e.topics.share(), e.topicIDs.share(), e.configs.share()
	n.quotas, n.acls, n.aclIDs, n.scram, n.tokens = e.quotas.share(), e.acls.share(), e.aclIDs.share(), e.scram.share(), e.tokens.share()
	if e.ownedBrokers {
		n.brokerIDs = slices.Sorted(maps.Keys(n.brokers))
	}
	e.delta.To = n
	e.delta.finish()
	return n, e.delta
}

// Apply is Edit, Replay of each record and Finish in one.
func (i *Image) Apply(at Provenance, records ...mr.Versioned) (*Image, *Delta, error) {
	e := i.Edit()
	for _, r := range records {
		if err := e.Replay(r); err != nil {
			return nil, nil, err
		}
	}
	img, delta := e.Finish(at)
	return img, delta, nil
}

// Replay applies one record. It fails when the record cannot be meant for this image; the metadata log is then
// damaged or written by a broken controller. Records of metadata transactions are a Loader's business and have no
// effect here.
func (e *Editor) Replay(v mr.Versioned) error {
	var err error
	switch r := v.Record.(type) {
	case *mr.TopicRecord:
		err = e.topic(r)
	case *mr.RemoveTopicRecord:
		err = e.removeTopic(r)
	case *mr.PartitionRecord:
		err = e.partition(r)
	case *mr.PartitionChangeRecord:
		err = e.partitionChange(r)
	case *mr.ClearElrRecord:
		err = e.clearELR(r)
	case *mr.ConfigRecord:
		e.config(r)
	case *mr.FeatureLevelRecord:
		e.feature(r)
	case *mr.ProducerIdsRecord:
		e.next.producer = r.NextProducerID
		e.delta.ProducerIDs = true
	case *mr.ClientQuotaRecord:
		e.clientQuota(r)
	case *mr.AccessControlEntryRecord, *mr.RemoveAccessControlEntryRecord, *mr.UserScramCredentialRecord,
		*mr.RemoveUserScramCredentialRecord, *mr.DelegationTokenRecord, *mr.RemoveDelegationTokenRecord:
		e.security(v.Record)
	case *mr.NoOpRecord, *mr.ZkMigrationStateRecord, *mr.BeginTransactionRecord, *mr.EndTransactionRecord, *mr.AbortTransactionRecord:
	case *mr.Unknown:
		e.next.unknown = append(e.next.unknown[:len(e.next.unknown):len(e.next.unknown)], v)
	default:
		err = e.clusterRecord(v.Record)
	}
	if err != nil {
		return fmt.Errorf("replay %s: %w", v.Record.RecordName(), err)
	}
	return nil
}

func (e *Editor) kraftVersion(v int16) {
	e.next.kraft = v
	e.delta.Features = true
}

func (e *Editor) feature(r *mr.FeatureLevelRecord) {
	if !e.ownedFeatures {
		e.ownedFeatures = true
		e.next.features = maps.Clone(e.next.features)
		if e.next.features == nil {
			e.next.features = make(map[string]int16)
		}
	}
	if r.FeatureLevel == 0 {
		delete(e.next.features, r.Name)
	} else {
		e.next.features[r.Name] = r.FeatureLevel
	}
	e.delta.Features = true
}

func (e *Editor) config(r *mr.ConfigRecord) {
	res := ConfigResource{ConfigType(r.ResourceType), r.ResourceName}
	now, _ := e.configs.get(res)
	if _, ok := e.ownedConfigs[res]; !ok {
		now = maps.Clone(now)
		if now == nil {
			now = make(map[string]string)
		}
		mark(&e.ownedConfigs, res)
		e.configs.set(res, now)
	}
	if r.Value == nil {
		delete(now, r.Name)
	} else {
		now[r.Name] = *r.Value
	}
	if len(now) == 0 {
		e.configs.remove(res)
		delete(e.ownedConfigs, res)
	}
	mark(&e.delta.Configs, res)
}

func (e *Editor) removeConfig(res ConfigResource) {
	if _, ok := e.configs.get(res); ok {
		e.configs.remove(res)
		delete(e.ownedConfigs, res)
		mark(&e.delta.Configs, res)
	}
}

func (e *Editor) clientQuota(r *mr.ClientQuotaRecord) {
	entity := make(QuotaEntity, len(r.Entity))
	for i, p := range r.Entity {
		entity[i] = QuotaEntityPart{Type: p.EntityType, Name: p.EntityName}
	}
	key := entity.key()
	next := &ClientQuota{Entity: entity, Values: make(map[string]float64)}
	if old, ok := e.quotas.get(key); ok {
		maps.Copy(next.Values, old.Values)
	}
	if r.Remove {
		delete(next.Values, r.Key)
	} else {
		next.Values[r.Key] = r.Value
	}
	if len(next.Values) == 0 {
		e.quotas.remove(key)
	} else {
		e.quotas.set(key, next)
	}
	e.delta.markQuota(entity)
}

func (e *Editor) security(record mr.Record) {
	switch r := record.(type) {
	case *mr.AccessControlEntryRecord:
		e.forgetACL(r.ID)
		rule := ACLRule{ResourceType: r.ResourceType, ResourceName: r.ResourceName, PatternType: r.PatternType,
			Principal: r.Principal, Host: r.Host, Operation: r.Operation, Permission: r.PermissionType}
		e.acls.set(r.ID, &ACL{r.ID, rule})
		e.aclIDs.set(rule, r.ID)
		mark(&e.delta.ACLs, r.ID)
	case *mr.RemoveAccessControlEntryRecord:
		e.forgetACL(r.ID)
		e.acls.remove(r.ID)
		mark(&e.delta.ACLs, r.ID)
	case *mr.UserScramCredentialRecord:
		k := ScramKey{r.Name, r.Mechanism}
		e.scram.set(k, &ScramCredential{ScramKey: k, Salt: r.Salt, StoredKey: r.StoredKey, ServerKey: r.ServerKey, Iterations: r.Iterations})
		mark(&e.delta.Scram, k)
	case *mr.RemoveUserScramCredentialRecord:
		k := ScramKey{r.Name, r.Mechanism}
		e.scram.remove(k)
		mark(&e.delta.Scram, k)
	case *mr.DelegationTokenRecord:
		e.tokens.set(r.TokenID, &DelegationToken{TokenID: r.TokenID, Owner: r.Owner, Requester: r.Requester, Renewers: r.Renewers,
			IssueMs: r.IssueTimestamp, MaxMs: r.MaxTimestamp, ExpirationMs: r.ExpirationTimestamp})
		mark(&e.delta.Tokens, r.TokenID)
	case *mr.RemoveDelegationTokenRecord:
		e.tokens.remove(r.TokenID)
		mark(&e.delta.Tokens, r.TokenID)
	}
}

// forgetACL takes the rule of an entry out of the index, unless another entry with the same rule is there.
func (e *Editor) forgetACL(id UUID) {
	if a, ok := e.acls.get(id); ok {
		if at, _ := e.aclIDs.get(a.ACLRule); at == id {
			e.aclIDs.remove(a.ACLRule)
		}
	}
}
