package telemetry

import (
	"fmt"
	"slices"
	"strings"
)

// Dialect is a way to name Kafka's MBeans in Prometheus, as one family of dashboards expects it.
type Dialect string

// The dialects.
const (
	// Strimzi is what the rules for the JMX exporter of Strimzi's examples make, and most boards expect.
	Strimzi Dialect = "strimzi"
	// Confluent is what the rules of Confluent's jmx-monitoring-stacks make.
	Confluent Dialect = "confluent"
	// Reporter is what Strimzi's metrics reporter makes.
	Reporter Dialect = "reporter"
	// MSK is what the JMX exporter makes without rules, as on Amazon MSK.
	MSK Dialect = "msk"
)

// ParseDialects reads names of dialects; "all" stands for every one.
func ParseDialects(names []string) ([]Dialect, error) {
	every := []Dialect{Strimzi, Confluent, Reporter, MSK}
	var out []Dialect
	for _, n := range names {
		d := Dialect(strings.ToLower(n))
		switch {
		case n == "all":
			return every, nil
		case !slices.Contains(every, d):
			return nil, fmt.Errorf("unknown dialect of metrics %q (strimzi, confluent, reporter, msk, all)", n)
		case !slices.Contains(out, d):
			out = append(out, d)
		}
	}
	return out, nil
}

// stem is kafka_server_brokertopicmetrics_ (lower) or kafka_server_BrokerTopicMetrics_.
func (f Fact) stem(lower bool) string {
	s := strings.ReplaceAll(f.Domain, ".", "_") + "_" + f.Type + "_"
	if lower {
		s = strings.ToLower(s)
	}
	return strings.ReplaceAll(s, "-", "_")
}

// sample is a named figure of one family.
type sample struct {
	name    string
	labels  Labels
	value   float64
	counter bool
}

// figures is what a Fact stands for at the moment of a scrape.
type figures struct {
	value  float64 // Gauge, Percent, Plain; the count of a Meter
	rate   float64 // of a Meter, per second over about a minute
	timing *timingView
}

var quantiles = []struct {
	q         float64
	label     string
	attribute string
}{
	{0.50, "0.50", "50thPercentile"}, {0.75, "0.75", "75thPercentile"}, {0.95, "0.95", "95thPercentile"},
	{0.98, "0.98", "98thPercentile"}, {0.99, "0.99", "99thPercentile"}, {0.999, "0.999", "999thPercentile"},
}

// samples names a fact in a dialect.
func (d Dialect) samples(f Fact, l Labels, v figures) []sample {
	switch f.Kind {
	case Plain, PlainCounter:
		return []sample{{f.Name, l, v.value, f.Kind == PlainCounter}}
	case ClientMetric:
		return []sample{{d.clientMetric(f), l, v.value, strings.HasSuffix(f.Name, "-total")}}
	}
	if d == MSK {
		return mskSamples(f, l, v)
	}
	name := f.stem(true) + strings.ReplaceAll(strings.ToLower(f.Name), "-", "_")
	switch f.Kind {
	case Meter:
		switch d {
		case Strimzi:
			name = f.stem(true) + strings.ToLower(strings.TrimSuffix(f.Name, "PerSec")) + "_total"
		case Reporter:
			name += "_total"
		}
		return []sample{{name, l, v.value, true}}
	case Percent:
		if d == Strimzi {
			name = f.stem(true) + strings.ToLower(strings.TrimSuffix(f.Name, "Percent")) + "_percent"
		}
		return []sample{{name, l, v.value, false}}
	case Timing:
		out := make([]sample, 0, len(quantiles)+1)
		for _, q := range quantiles {
			out = append(out, sample{name, l.with("quantile", q.label), v.timing.quantile(q.q), false})
		}
		return append(out, sample{name + "_count", l, float64(v.timing.count), true})
	}
	return []sample{{name, l, v.value, false}}
}

// clientMetric names an attribute: kafka_server_raftmetrics_current_state with Strimzi's rules, with an
// underscore in the type's place of a dash with Confluent's.
func (d Dialect) clientMetric(f Fact) string {
	domain := strings.ReplaceAll(f.Domain, ".", "_")
	name := strings.ReplaceAll(f.Name, "-", "_")
	switch {
	case d == Strimzi && f.Type == "raft-metrics":
		return domain + "_raftmetrics_" + name
	case d == Confluent && f.Type == "socket-server-metrics":
		return domain + "_socketservermetrics_" + name
	case d == MSK:
		return domain + "_" + strings.ReplaceAll(f.Type, "-", "_") + "_" + strings.ReplaceAll(f.Name, "-", "_")
	}
	return domain + "_" + strings.ToLower(strings.ReplaceAll(f.Type, "-", "_")) + "_" + name
}

// mskSamples follows the exporter's default format: the attribute is in the name, the MBean's name in a label.
func mskSamples(f Fact, l Labels, v figures) []sample {
	stem := f.stem(false)
	l = Labels{"name", f.Name}.with(l...)
	if f.Type == "BrokerTopicMetrics" && !slices.Contains(l, "topic") {
		l = l.with("topic", "")
	}
	switch f.Kind {
	case Meter:
		return []sample{{stem + "Count", l, v.value, true}, {stem + "OneMinuteRate", l, v.rate, false}}
	case Percent:
		return []sample{{stem + "OneMinuteRate", l, v.value, false}, {stem + "Value", l, v.value, false}}
	case Timing:
		out := []sample{{stem + "Count", l, float64(v.timing.count), true}, {stem + "Mean", l, v.timing.mean(), false}}
		for _, q := range quantiles {
			out = append(out, sample{stem + q.attribute, l, v.timing.quantile(q.q), false})
		}
		return out
	}
	return []sample{{stem + "Value", l, v.value, false}}
}
