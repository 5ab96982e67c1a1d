// Package principal is who somebody is: a type and a name, as "User:alice". How somebody proves it is not known
// here (sasl and tlsconf do that), nor what somebody may do (authz).
package principal

import (
	"fmt"
	"strings"
)

// UserType is the only type of principals that Kafka itself makes.
const UserType = "User"

// Principal is an identity. Values compare with ==.
type Principal struct{ Type, Name string }

// Anonymous is who comes without proof, on a listener that asks for none.
var Anonymous = Principal{Type: UserType, Name: "ANONYMOUS"}

// WildcardUser stands for everybody in access rules.
var WildcardUser = Principal{Type: UserType, Name: "*"}

// String returns "Type:Name".
func (p Principal) String() string { return p.Type + ":" + p.Name }

// Parse reads "Type:Name". Neither may be empty; the name may contain colons.
func Parse(s string) (Principal, error) {
	t, name, ok := strings.Cut(s, ":")
	if !ok || t == "" || name == "" {
		return Principal{}, fmt.Errorf("expected a string in format principalType:principalName but got %s", s)
	}
	return Principal{Type: t, Name: name}, nil
}
