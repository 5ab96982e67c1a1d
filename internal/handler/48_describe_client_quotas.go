package handler

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/security/authz"
	"github.com/weir-stream/weir/internal/wire"
)

// DescribeClientQuotas, versions 0 and 1 (KIP-546); 1 is flexible.
func (b *Broker) handleDescribeClientQuotas(r *wire.Request) {
	req := r.Body.(*kmsg.DescribeClientQuotasRequest)
	resp := req.ResponseKind().(*kmsg.DescribeClientQuotasResponse)
	if !b.allowed(r, authz.DescribeConfigs, authz.Cluster, authz.ClusterName) {
		resp.ErrorCode = int16(wire.ClusterAuthorizationFailed)
		r.Reply(resp)
		return
	}
	if err := checkQuotaFilter(req.Components); err != nil {
		resp.ErrorCode, resp.ErrorMessage = int16(wire.CodeOf(err)), messagePtr(err)
		r.Reply(resp)
		return
	}
	resp.ErrorMessage = new(string)
	resp.Entries = []kmsg.DescribeClientQuotasResponseEntry{}
	for q := range b.Image().ClientQuotas() {
		if quotaMatches(q.Entity, req.Components, req.Strict) {
			resp.Entries = append(resp.Entries, quotaEntry(q))
		}
	}
	r.Reply(resp)
}

var quotaTypes = []string{"user", "client-id", "ip"}

func checkQuotaFilter(components []kmsg.DescribeClientQuotasRequestComponent) error {
	seen := map[string]bool{}
	for _, c := range components {
		switch {
		case c.EntityType == "":
			return failure(wire.InvalidRequest, "Invalid empty entity type.")
		case seen[c.EntityType]:
			return failure(wire.InvalidRequest, "Entity type "+c.EntityType+" cannot appear more than once in the filter.")
		case !slices.Contains(quotaTypes, c.EntityType):
			return failure(wire.UnsupportedVersion, "Unsupported entity type "+c.EntityType)
		case c.MatchType == kmsg.QuotasMatchTypeExact && c.Match == nil:
			return failure(wire.InvalidRequest, "Request specified MATCH_TYPE_EXACT, but set match string to null.")
		case c.MatchType == kmsg.QuotasMatchTypeDefault && c.Match != nil:
			return failure(wire.InvalidRequest, "Request specified MATCH_TYPE_DEFAULT, but also specified a match string.")
		case c.MatchType == kmsg.QuotasMatchTypeAny && c.Match != nil:
			return failure(wire.InvalidRequest, "Request specified MATCH_TYPE_SPECIFIED, but also specified a match string.")
		case c.MatchType < 0 || c.MatchType > kmsg.QuotasMatchTypeAny:
			return failure(wire.InvalidRequest, "Unknown match type "+itoa(int(c.MatchType)))
		}
		seen[c.EntityType] = true
	}
	if seen["ip"] && len(components) > 1 {
		return failure(wire.InvalidRequest, "Invalid entity filter component combination. IP filter component should not be used with user or clientId filter component.")
	}
	return nil
}

// quotaMatches tells whether an entity has all that the filter asks for and, if strict, nothing else.
func quotaMatches(entity image.QuotaEntity, filter []kmsg.DescribeClientQuotasRequestComponent, strict bool) bool {
	if strict && len(entity) != len(filter) {
		return false
	}
	for _, c := range filter {
		i := slices.IndexFunc(entity, func(p image.QuotaEntityPart) bool { return p.Type == c.EntityType })
		if i < 0 {
			return false
		}
		name := entity[i].Name
		switch c.MatchType {
		case kmsg.QuotasMatchTypeExact:
			if name == nil || *name != *c.Match {
				return false
			}
		case kmsg.QuotasMatchTypeDefault:
			if name != nil {
				return false
			}
		}
	}
	return true
}

func quotaEntry(q *image.ClientQuota) kmsg.DescribeClientQuotasResponseEntry {
	out := kmsg.NewDescribeClientQuotasResponseEntry()
	for _, p := range q.Entity {
		e := kmsg.NewDescribeClientQuotasResponseEntryEntity()
		e.Type, e.Name = p.Type, p.Name
		out.Entity = append(out.Entity, e)
	}
	for _, key := range slices.Sorted(maps.Keys(q.Values)) {
		v := kmsg.NewDescribeClientQuotasResponseEntryValue()
		v.Key, v.Value = key, q.Values[key]
		out.Values = append(out.Values, v)
	}
	return out
}
