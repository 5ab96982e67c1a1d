package image

import (
	"iter"
	"strings"
)

// ACLFilter matches access control entries. The numbers are those of the protocol; 1 stands for any, a nil pointer too.
type ACLFilter struct {
	ResourceType int8
	ResourceName *string
	// PatternType is that of the entries, or 2: those that would decide about ResourceName.
	PatternType int8
	Principal   *string
	Host        *string
	Operation   int8
	Permission  int8
}

const (
	filterAny      = 1
	patternMatch   = 2
	patternLiteral = 3
	patternPrefix  = 4
)

// Matches tells whether the filter takes a rule.
func (f *ACLFilter) Matches(r *ACLRule) bool {
	return number(f.ResourceType, r.ResourceType) && f.matchesName(r) && text(f.Principal, r.Principal) && text(f.Host, r.Host) &&
		number(f.Operation, r.Operation) && number(f.Permission, r.Permission)
}

func number(want, is int8) bool { return want == filterAny || want == is }

func text(want *string, is string) bool { return want == nil || *want == is }

func (f *ACLFilter) matchesName(r *ACLRule) bool {
	if f.PatternType != filterAny && f.PatternType != patternMatch && f.PatternType != r.PatternType {
		return false
	}
	if f.ResourceName == nil {
		return true
	}
	name := *f.ResourceName
	if f.PatternType != patternMatch {
		return name == r.ResourceName
	}
	switch r.PatternType {
	case patternLiteral:
		return name == r.ResourceName || r.ResourceName == "*"
	case patternPrefix:
		return strings.HasPrefix(name, r.ResourceName)
	}
	return false
}

// MatchingACLs yields the entries that the filter takes, in no order.
func (i *Image) MatchingACLs(f ACLFilter) iter.Seq[*ACL] {
	return func(yield func(*ACL) bool) {
		for _, a := range i.acls.all() {
			if f.Matches(&a.ACLRule) && !yield(a) {
				return
			}
		}
	}
}
