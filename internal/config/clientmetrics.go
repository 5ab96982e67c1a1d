package config

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// ClientMetrics is a client-metrics subscription (KIP-714): which metrics the clients that match push how often.
type ClientMetrics struct {
	Interval time.Duration
	Metrics  []string          // name prefixes; "*" stands for all
	Match    map[string]string // what must match → regular expression; all must
}

func compiles(pattern string) bool {
	_, err := regexp.Compile(pattern)
	return err == nil
}

// ParseClientMetrics reads the settings of a subscription and fills in the defaults. Errors are *Error.
func ParseClientMetrics(settings map[string]string) (ClientMetrics, error) {
	values := map[string]Value{}
	for i := range clientMetricsTable.defs {
		values[clientMetricsTable.defs[i].Name] = clientMetricsTable.defs[i].defaultValue()
	}
	for _, name := range sortedKeys(settings) {
		d := clientMetricsTable.byName[name]
		if d == nil {
			return ClientMetrics{}, &Error{Key: name, Full: "Unknown client metrics configuration: " + name}
		}
		v, err := d.Parse(settings[name])
		if err != nil {
			return ClientMetrics{}, err
		}
		values[name] = v
	}
	ms := values["interval.ms"].Int
	if ms < 100 || ms > 3_600_000 {
		return ClientMetrics{}, &Error{Key: "interval.ms", Full: "Invalid value " + strconv.FormatInt(ms, 10) +
			" for interval.ms, interval must be between 100 and 3600000 (1 hour)"}
	}
	match, err := ParseMatch(values["match"].List)
	if err != nil {
		return ClientMetrics{}, err
	}
	c := ClientMetrics{Interval: millis(ms), Match: match}
	for _, m := range values["metrics"].List {
		c.Metrics = append(c.Metrics, strings.TrimSpace(m))
	}
	return c, nil
}
