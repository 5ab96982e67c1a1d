package node

import (
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/security/authz"
)

// authorizer makes what the settings ask for. Until the first image is published it knows its super users only.
func (n *Node) authorizer() authz.Authorizer {
	cfg := n.config.Load()
	if cfg.String("authorizer.class.name") == "" {
		return authz.AllowAll{}
	}
	n.rights = authz.NewStandard(cfg.Authorizer())
	return n.rights
}

// publishRights takes over access control entries.
func (n *Node) publishRights(d *image.Delta) {
	if n.rights == nil || len(d.ACLs) == 0 && d.From.Offset() >= 0 {
		return
	}
	var removed, added []authz.Entry
	for id := range d.ACLs {
		if a := d.From.ACL(id); a != nil {
			removed = append(removed, entryOf(a))
		}
		if a := d.To.ACL(id); a != nil {
			added = append(added, entryOf(a))
		}
	}
	n.rights.Update(removed, added)
}

func entryOf(a *image.ACL) authz.Entry {
	return authz.Entry{Type: authz.ResourceType(a.ResourceType), Name: a.ResourceName, Pattern: authz.PatternType(a.PatternType), Principal: a.Principal,
		Host: a.Host, Operation: authz.Operation(a.Operation), Permission: authz.Permission(a.Permission)}
}
