package config

import (
	"bufio"
	"os"
	"strings"
	"testing"
)

// testdata/oracle_values.tsv is what Apache Kafka 4.3.1 says of values: scope, name, value, then ok and the
// canonical text, or err and the message.
func TestValuesAndMessagesAreKafkas(t *testing.T) {
	f, err := os.Open("testdata/oracle_values.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tables := map[string]*table{"broker": brokerTable, "topic": topicTable, "group": groupTable, "client-metrics": clientMetricsTable}
	n := 0
	sc := bufio.NewScanner(f)
	for sc.Scan() {
		c := strings.Split(sc.Text(), "\t")
		c = append(c, "")
		scope, name, raw, outcome, text := c[0], c[1], c[2], c[3], c[4]
		d := tables[scope].byName[name]
		if d == nil {
			t.Errorf("%s setting %s is not declared", scope, name)
			continue
		}
		n++
		v, err := d.Parse(raw)
		got, gotText := "ok", ""
		if err != nil {
			got, gotText = "err", err.Error()
		} else {
			gotText = d.Text(v)
		}
		if got != outcome || gotText != text {
			t.Errorf("%s=%q: got %s %q, Kafka has %s %q", name, raw, got, gotText, outcome, text)
		}
	}
	if n < 1500 {
		t.Errorf("only %d values were compared", n)
	}
}
