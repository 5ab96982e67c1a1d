package mutants

// transactions are faults of what transactions promise.
var transactions = []Mutant{
	{Name: "a loaded coordinator leaves decided transactions alone", File: "internal/coordinator/txn/machine.go", Check: "^TestHistories$",
		Old: "		if t.v.state.preparing() {\n			m.sendMarkers(tx, t)\n		}\n", New: "		_ = t\n"},
	{Name: "a fenced producer adds partitions", File: "internal/coordinator/txn/core.go", Check: "^Test",
		Old: "	case v.epoch != p.Epoch:\n		return refuse(wire.ProducerFenced)\n	case v.state.preparing():\n", New: "	case v.state.preparing():\n"},
	{Name: "a transaction is complete with its first marker", File: "internal/coordinator/txn/machine.go", Check: "^TestHistories$",
		Old: "	if len(t.v.partitions) == 0 {\n		m.dropJob(t)\n", New: "	if len(parts) > 0 {\n		m.dropJob(t)\n"},
	{Name: "an open transaction is not aborted by its time", File: "internal/coordinator/txn/core.go", Check: "^Test",
		Old: "t.v.startMs+int64(t.v.timeoutMs) < nowMs\n", New: "t.v.startMs < 0\n"},
	{Name: "markers of transactions V2 need no higher epoch", File: "internal/log/producerstate.go", Check: "^TestMarkersOfTransactionsV2",
		Old: "	case epoch > e.epoch, epoch == e.epoch && version < 2:\n", New: "	case epoch >= e.epoch:\n"},
	{Name: "a transaction begins without a guard", File: "internal/log/verification.go", Check: "^Test",
		Old: "(!asked || opt.Guard == 0 || v.guard != opt.Guard)", New: "!asked && opt.Guard != 0"},
	{Name: "a marker leaves the guard", File: "internal/log/verification.go", Check: "^TestMarkerTakesTheGuardAway$",
		Old: "!v.epochBump || b.ProducerEpoch() > v.epoch {\n", New: "v.epochBump && b.ProducerEpoch() > v.epoch {\n"},
	{Name: "offsets of a transaction count at once", File: "internal/coordinator/group/offsets.go", Check: "^TestOffsetsOfATransaction",
		Old: "	if r.Transaction != nil {\n		m.commitPending(", New: "	if r.Transaction != nil {\n		m.setOffset(group, t.Name, p.Index, v)\n		m.commitPending("},
	{Name: "an older offset of a transaction wins", File: "internal/coordinator/group/pending.go", Check: "^TestOffsetsOfATransaction",
		Old: "c.had && c.before.order >= o.order {\n", New: "c.had && c.before.order < 0 {\n"},
}
