package main

// registry writes the functions that make an empty message from its type number, one per table and kind.
func (w *writer) registry(all []*schema) {
	for _, k := range []struct{ module, kind, fn, ret, doc string }{
		{"metadata", "metadata", "New", "Record", "New returns the default record of a type, nil if the type is not known."},
		{"group-coordinator", "coordinator-key", "newGroupKey", "Key", "newGroupKey returns the empty key of a type in __consumer_offsets, nil if it is not known."},
		{"group-coordinator", "coordinator-value", "newGroupValue", "Message", "newGroupValue returns the default value that belongs to a key type in __consumer_offsets."},
		{"transaction-coordinator", "coordinator-key", "newTransactionKey", "Key", "newTransactionKey returns the empty key of a type in __transaction_state, nil if it is not known."},
		{"transaction-coordinator", "coordinator-value", "newTransactionValue", "Message", "newTransactionValue returns the default value that belongs to a key type in __transaction_state."},
		{"share-coordinator", "coordinator-key", "newShareKey", "Key", "newShareKey returns the empty key of a type in __share_group_state, nil if it is not known."},
		{"share-coordinator", "coordinator-value", "newShareValue", "Message", "newShareValue returns the default value that belongs to a key type in __share_group_state."},
	} {
		var some []*schema
		for _, s := range all {
			if s.module == k.module && s.kind == k.kind {
				some = append(some, s)
			}
		}
		if len(some) == 0 {
			continue
		}
		w.p("// %s\nfunc %s(recordType int16) %s {\nswitch recordType {", k.doc, k.fn, k.ret)
		for _, s := range some {
			w.p("case %d:\nreturn New%s()", s.key, s.name)
		}
		w.p("}\nreturn nil\n}\n")
	}
}
