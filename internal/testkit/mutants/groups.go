package mutants

const (
	groupCheck  = "^TestModel$"          // coordinator/group/consumer: one consumer group, stepped by a seed
	mixedCheck  = "^TestMixedHistories$" // coordinator/group: members of both protocols, coordinators that fail over
	assignCheck = "^TestUniform"         // coordinator/group/assign
)

// groups are those of consumer groups (KIP-848).
var groups = []Mutant{
	{Name: "a partition is assigned that another member has not given back", File: "internal/coordinator/group/consumer/reconcile.go", Check: groupCheck,
		Old: "case s.o.g.held(t, p) && !s.m.Revoking.Has(t, p):", New: "case false:"},
	{Name: "a member that has yet to give back enters the next epoch", File: "internal/coordinator/group/consumer/reconcile.go", Check: groupCheck,
		Old: "if len(revoking) > 0 && s.stillOwns(revoking) {", New: "if false {"},
	{Name: "a member that waits never gets what it waits for", File: "internal/coordinator/group/consumer/reconcile.go", Check: groupCheck,
		Old: "	case Unreleased:\n", New: "	case Unreleased:\n		return m, nil\n	case 99:\n"},
	{Name: "a fenced member is let in with its old epoch", File: "internal/coordinator/group/consumer/heartbeat.go", Check: groupCheck,
		Old: "if m == nil && !joins {", New: "if m == nil && !joins && id == \"\" {"},
	{Name: "a member that is behind keeps what it lost", File: "internal/coordinator/group/consumer/heartbeat.go", Check: "^TestFencing$",
		Old: "case h.Epoch == m.Previous && h.Owned != nil && m.hasAll(*h.Owned):", New: "case h.Epoch == m.Previous:"},
	{Name: "nobody gets the partitions of a member that was fenced", File: "internal/coordinator/group/consumer/leave.go", Check: groupCheck,
		Old: "	r.epoch(g.epoch+1, metadataHash(subscribed, env.Topics))", New: "	r.epoch(g.epoch, metadataHash(subscribed, env.Topics))"},
	{Name: "a static member that was replaced is assigned partitions", File: "internal/coordinator/group/consumer/op.go", Check: groupCheck,
		Old: "		delete(spec.Members, replaced)\n", New: ""},
	{Name: "an expression that matches nothing keeps the topics of the one before", File: "internal/coordinator/group/consumer/heartbeat.go", Check: "^TestExpressionThatMatchesNothing$",
		Old: "} else if !had && g.holdsTopicsFor(regex, env.Topics) {", New: "} else if had && g.holdsTopicsFor(regex, env.Topics) {"},
	{Name: "a change of a consumer group that is not committed stays", File: "internal/coordinator/group/consumer.go", Check: "^TestScripts$",
		Old: "		tx.Undo(g.Apply(r))", New: "		g.Apply(r)"},
	{Name: "a member that could not be fenced is never fenced", File: "internal/coordinator/group/consumer.go", Check: "^TestScripts$",
		Old: "			m.beatConsumer(g, mem)\n		}\n	})\n", New: "			_ = mem\n		}\n	})\n"},
	{Name: "classic members of a consumer group do not hear of its rebalances", File: "internal/coordinator/group/consumer/classic.go", Package: "internal/coordinator/group", Check: mixedCheck,
		Old: "return m.Epoch < g.targetEpoch || m.State == Unrevoked", New: "return m.State == Unrevoked"},
	{Name: "a partition is assigned to nobody", File: "internal/coordinator/group/assign/uniform.go", Check: assignCheck,
		Old: "len(ids)-i > extra", New: "len(ids)-i >= extra"},
	{Name: "an uneven assignment is left", File: "internal/coordinator/group/assign/ladder.go", Check: assignCheck,
		Old: "l.highLevel-l.lowLevel <= 1", New: "l.highLevel-l.lowLevel <= 2"},
}
