package config

import (
	"strings"

	"github.com/weir-stream/weir/internal/security/authz"
)

// The settings of Kafka's authorizer, which are a plug-in's there and in no table.
const (
	superUsersKey = "super.users"
	openIfNoneKey = "allow.everyone.if.no.acl.found"
)

// Authorizer returns the settings of Kafka's authorizer: the super users, with semicolons between them, and whether
// everybody may do what no entry is about.
func (s *Set) Authorizer() (superUsers string, openIfNone bool) {
	return s.extra[superUsersKey], strings.EqualFold(strings.TrimSpace(s.extra[openIfNoneKey]), "true")
}

// checkAuthorizer refuses authorizers that are not there: to start without would leave everything open.
func (s *Set) checkAuthorizer() error {
	const key = "authorizer.class.name"
	name := s.String(key)
	switch {
	case name == "", name == authz.StandardName:
		return nil
	case strings.HasPrefix(name, "kafka.security.auth"):
		return &Error{Key: key, Value: name, Reason: "that class kept its rules in ZooKeeper and was removed in Kafka 4.0; set it to " + authz.StandardName +
			", whose rules are in the metadata"}
	}
	return &Error{Key: key, Value: name, Reason: "Weir loads no Java classes; it has " + authz.StandardName + ", and does not start without the authorizer that is asked for"}
}

// forAuthorizer tells whether a key is one of the authorizer that is set.
func (l *loader) forAuthorizer(key string) bool {
	return (key == superUsersKey || key == openIfNoneKey) && strings.TrimSpace(l.given["authorizer.class.name"]) != ""
}
