package principal

import "testing"

func TestParse(t *testing.T) {
	for in, want := range map[string]Principal{
		"User:alice":     {"User", "alice"},
		"User:CN=a:b":    {"User", "CN=a:b"},
		"Group:ops":      {"Group", "ops"},
		"User:ANONYMOUS": Anonymous,
	} {
		got, err := Parse(in)
		if err != nil || got != want || got.String() != in {
			t.Errorf("Parse(%q) = %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"", "alice", "User:", ":alice"} {
		if _, err := Parse(in); err == nil {
			t.Errorf("Parse(%q) is accepted", in)
		}
	}
}
