package controller

import (
	"math"
	"net/netip"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/quota"
	"github.com/weir-stream/weir/internal/wire"
)

// strictFrom are the versions from which clients understand that they are refused partitions beyond their quota; older ones
// are held back afterwards (KIP-599).
var strictFrom = map[int16]int16{19: 6, 20: 5, 37: 3}

// mutations begins to count what a request makes and deletes.
func (c *Controller) mutations(rc RequestContext, req kmsg.Request) *quota.Mutations {
	if c.cfg.Quotas == nil || rc.Principal == "" { // a broker's own wish: an internal topic
		return nil
	}
	return c.cfg.Quotas.Mutations(rc.Principal, rc.ClientID, req.GetVersion() >= strictFrom[req.Key()])
}

// beyondQuota refuses what would be more partitions than the client may make or delete now.
func beyondQuota(q *quota.Mutations, partitions int) error {
	if q.Take(partitions) {
		return nil
	}
	return wordless(wire.ThrottlingQuotaExceeded)
}

// quotaKind says what values a quota may have.
type quotaKind int

const (
	quotaWhole    quotaKind = iota // a whole number
	quotaInt                       // a whole number of 32 bits
	quotaFraction                  // any number
)

var userClientQuotas = map[string]quotaKind{"producer_byte_rate": quotaWhole, "consumer_byte_rate": quotaWhole,
	"request_percentage": quotaFraction, "controller_mutation_rate": quotaFraction}

var ipQuotas = map[string]quotaKind{"connection_creation_rate": quotaInt}

// alterClientQuotas answers AlterClientQuotas v0 and v1 (KIP-546). As in Kafka the last name counts where an entity has a
// type twice; an entity that the request has twice is refused, though what was decided of it before stays.
func (c *Controller) alterClientQuotas(_ RequestContext, req *kmsg.AlterClientQuotasRequest) (decision, error) {
	resp := req.ResponseKind().(*kmsg.AlterClientQuotasResponse)
	var records []mr.Versioned
	at := map[string]int{} // the places of entities in the answer
	for _, e := range req.Entries {
		entity := quotaEntity(e.Entity)
		text := entityText(entity)
		if i, twice := at[text]; twice {
			resp.Entries[i].ErrorCode, resp.Entries[i].ErrorMessage = errorFields(refuse(wire.InvalidRequest, "Ignoring duplicate entity %s", text))
			continue
		}
		at[text] = len(resp.Entries)
		out := kmsg.NewAlterClientQuotasResponseEntry()
		for _, p := range entity {
			part := kmsg.NewAlterClientQuotasResponseEntryEntity()
			part.Type, part.Name = p.EntityType, p.EntityName
			out.Entity = append(out.Entity, part)
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

// entityOrder is the order in which Kafka, that is Java's HashMap, has the parts of an entity.
var entityOrder = []string{"ip", "client-id", "user"}

// quotaEntity is an entity of a request with each type once.
func quotaEntity(parts []kmsg.AlterClientQuotasRequestEntryEntity) []mr.ClientQuotaRecordEntityData {
	var out []mr.ClientQuotaRecordEntityData
	for _, p := range parts {
		data := mr.ClientQuotaRecordEntityData{EntityType: p.Type, EntityName: p.Name}
		i := slices.IndexFunc(out, func(q mr.ClientQuotaRecordEntityData) bool { return q.EntityType == p.Type })
		if i >= 0 {
			out[i] = data
		} else {
			out = append(out, data)
		}
	}
	slices.SortStableFunc(out, func(a, b mr.ClientQuotaRecordEntityData) int {
		return slices.Index(entityOrder, a.EntityType) - slices.Index(entityOrder, b.EntityType)
	})
	return out
}

// entityText is Java's text of an entity.
func entityText(entity []mr.ClientQuotaRecordEntityData) string {
	parts := make([]string, len(entity))
	for i, p := range entity {
		name := "null"
		if p.EntityName != nil {
			name = *p.EntityName
		}
		parts[i] = p.EntityType + "=" + name
	}
	return "ClientQuotaEntity(entries={" + strings.Join(parts, ", ") + "})"
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
			return nil, refuse(wire.InvalidRequest, "Ignoring duplicate entity %s", entityText(entity)) // in Kafka's words
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
		return nil, refuse(wire.InvalidRequest, "Invalid quota entity combination, IP entity shouldnot be combined with User or ClientId") //nolint:misspell // Kafka's own words
	}
	// Whether a name can be resolved was asked before the request came into the loop.
	if ip != nil && !hostName(*ip) {
		return nil, refuse(wire.InvalidRequest, "%s is not a valid IP or resolvable host.", *ip)
	}
	return ipQuotas, nil
}

// hostName reports whether a text is an address or can be the name of a host.
func hostName(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return true
	}
	return len(s) <= 253 && !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._", r))
	})
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
	case kind == quotaInt && value > math.MaxInt32:
		return refuse(wire.InvalidRequest, "Proposed value for %s is too large for an INT.", key)
	case kind != quotaFraction && math.Abs(value-math.Round(value)) > 1e-6:
		return refuse(wire.InvalidRequest, "%s cannot be a fractional value.", key)
	}
	return nil
}
