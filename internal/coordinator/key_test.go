package coordinator

import "testing"

// What Apache Kafka 4.3.1 answers.
func TestPartitionOfAKey(t *testing.T) {
	for _, c := range []struct {
		key  string
		n    int32
		want int32
	}{
		{"", 50, 0},
		{"a", 50, 47},
		{"txn-offsets-group", 4, 1},                 // a negative hash
		{"polygenelubricants", 50, 0},               // the least of all hashes
		{"\U0001f600", 1 << 30, 0xd83d*31 + 0xde00}, // counted in UTF-16
		{"x", 0, 0},
	} {
		if got := PartitionFor(c.key, c.n); got != c.want {
			t.Errorf("%q of %d: %d, want %d", c.key, c.n, got, c.want)
		}
	}
}
