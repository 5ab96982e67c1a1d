package controller

import (
	"math"
	"net/netip"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/wire"
)

// quotaKind says what values a quota may have.
type quotaKind int

const (
	quotaWhole    quotaKind = iota // a whole number
	quotaFraction                  // any number
)

var userClientQuotas = map[string]quotaKind{"producer_byte_rate": quotaWhole, "consumer_byte_rate": quotaWhole,
	"request_percentage": quotaFraction, "controller_mutation_rate": quotaFraction}

var ipQuotas = map[string]quotaKind{"connection_creation_rate": quotaWhole}

// alterClientQuotas answers AlterClientQuotas v0 and v1 (KIP-546).
func (c *Controller) alterClientQuotas(_ RequestContext, req *kmsg.AlterClientQuotasRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.AlterClientQuotasResponse)
	var records []mr.Versioned
	for _, e := range req.Entries {
		out := kmsg.NewAlterClientQuotasResponseEntry()
		var entity []mr.ClientQuotaRecordEntityData
		for _, p := range e.Entity {
			part := kmsg.NewAlterClientQuotasResponseEntryEntity()
			part.Type, part.Name = p.Type, p.Name
			out.Entity = append(out.Entity, part)
			entity = append(entity, mr.ClientQuotaRecordEntityData{EntityType: p.Type, EntityName: p.Name})
		}
		recs, err := c.alterQuota(entity, e.Ops)
		out.ErrorCode, out.ErrorMessage = errorFields(err)
		resp.Entries = append(resp.Entries, out)
		records = append(records, recs...)
	}
	if req.ValidateOnly {
		records = nil
	}
	return decision{answer: resp, records: records}, nil
}

func (c *Controller) alterQuota(entity []mr.ClientQuotaRecordEntityData, ops []kmsg.AlterClientQuotasRequestEntryOp) ([]mr.Versioned, error) {
	keys, err := quotaKeys(entity)
	if err != nil {
		return nil, err
	}
	key := make(image.QuotaEntity, len(entity))
	for i, p := range entity {
		key[i] = image.QuotaEntityPart{Type: p.EntityType, Name: p.EntityName}
	}
	now := map[string]float64{}
	if q := c.state.ClientQuota(key); q != nil {
		now = q.Values
	}
	var records []mr.Versioned
	seen := map[string]struct{}{}
	for _, op := range ops {
		if _, twice := seen[op.Key]; twice {
			return nil, refuse(wire.InvalidRequest, "Duplicate quota key %s not updating quota for this entity", op.Key)
		}
		seen[op.Key] = struct{}{}
		old, had := now[op.Key]
		if op.Remove {
			if had {
				records = append(records, mr.V0(&mr.ClientQuotaRecord{Entity: entity, Key: op.Key, Remove: true}))
			}
			continue
		}
		if err := checkQuota(keys, op.Key, op.Value); err != nil {
			return nil, err
		}
		if !had || old != op.Value {
			records = append(records, mr.V0(&mr.ClientQuotaRecord{Entity: entity, Key: op.Key, Value: op.Value}))
		}
	}
	return records, nil
}

// quotaKeys are the quotas that an entity can have.
func quotaKeys(entity []mr.ClientQuotaRecordEntityData) (map[string]quotaKind, error) {
	if len(entity) == 0 {
		return nil, refuse(wire.InvalidRequest, "Invalid empty client quota entity")
	}
	has := map[string]*string{}
	for _, p := range entity {
		if _, twice := has[p.EntityType]; twice {
			return nil, refuse(wire.InvalidRequest, "Invalid client quota entity, duplicate entity entry %s", p.EntityType)
		}
		if p.EntityType != "user" && p.EntityType != "client-id" && p.EntityType != "ip" {
			return nil, refuse(wire.InvalidRequest, "Unhandled client quota entity type: %s", p.EntityType)
		}
		if p.EntityName != nil && *p.EntityName == "" {
			return nil, refuse(wire.InvalidRequest, "Empty %s not supported", p.EntityType)
		}
		has[p.EntityType] = p.EntityName
	}
	ip, isIP := has["ip"]
	if !isIP {
		return userClientQuotas, nil
	}
	if len(has) > 1 {
		return nil, refuse(wire.InvalidRequest, "Invalid quota entity combination, IP entity should"+"not be combined with User or ClientId")
	}
	if ip != nil {
		if _, err := netip.ParseAddr(*ip); err != nil {
			return nil, refuse(wire.InvalidRequest, "%s is not a valid IP or resolvable host.", *ip)
		}
	}
	return ipQuotas, nil
}

func checkQuota(keys map[string]quotaKind, key string, value float64) error {
	kind, ok := keys[key]
	switch {
	case !ok:
		return refuse(wire.InvalidRequest, "Invalid configuration key %s", key)
	case !(value > 0): // not a number either
		return refuse(wire.InvalidRequest, "Quota %s must be greater than 0", key)
	case kind == quotaWhole && value > math.MaxInt64:
		return refuse(wire.InvalidRequest, "Proposed value for %s is too large for a LONG.", key)
	case kind == quotaWhole && math.Abs(value-math.Round(value)) > 1e-6:
		return refuse(wire.InvalidRequest, "%s cannot be a fractional value.", key)
	}
	return nil
}
