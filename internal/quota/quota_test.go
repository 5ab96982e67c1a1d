package quota

import "testing"

func TestLimitTakesTheMostSpecificEntity(t *testing.T) {
	const rate = "producer_byte_rate"
	steps := []struct {
		entity Entity
		value  float64
	}{
		{Entity{{Type: ClientID, Default: true}}, 1},
		{Entity{{Type: ClientID, Name: "app"}}, 2},
		{Entity{{Type: User, Default: true}}, 3},
		{Entity{{Type: ClientID, Default: true}, {Type: User, Default: true}}, 4},
		{Entity{{Type: User, Default: true}, {Type: ClientID, Name: "app"}}, 5},
		{Entity{{Type: User, Name: "alice"}}, 6},
		{Entity{{Type: User, Name: "alice"}, {Type: ClientID, Default: true}}, 7},
		{Entity{{Type: ClientID, Name: "app"}, {Type: User, Name: "alice"}}, 8},
	}
	var entries []Entry
	m := NewManager()
	if _, ok := m.Table().Limit(rate, "alice", "app"); ok {
		t.Error("there is a limit in an empty table")
	}
	for _, s := range steps {
		entries = append(entries, Entry{Entity: s.entity, Values: map[string]float64{rate: s.value}})
		m.Update(NewTable(entries))
		if got, ok := m.Table().Limit(rate, "alice", "app"); !ok || got != s.value {
			t.Errorf("limit with %v = %v %v, want %v", s.entity, got, ok, s.value)
		}
	}
	if got, _ := m.Table().Limit(rate, "bob", "other"); got != 4 {
		t.Errorf("limit of another client = %v, want that of both defaults", got)
	}
	if _, ok := m.Table().Limit("consumer_byte_rate", "alice", "app"); ok {
		t.Error("a quota of another name counts")
	}
	if n := len(m.Table().Entries()); n != len(steps) {
		t.Errorf("%d entries", n)
	}
}
