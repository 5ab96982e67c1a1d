// Package telemetry counts and times what the broker does and serves it as Prometheus text, under the names that
// public dashboards for Apache Kafka expect. It also has the loggers, whose levels can change while running.
//
// Each fact is declared once, by the name of Kafka's MBean; the dialects (dialect.go) are rules that make metric
// names of it. Counting is a few atomic additions on a child that was resolved beforehand; names and labels are
// made up only when somebody scrapes. The package asks nobody: who owns a figure hands in a function.
package telemetry

import "strings"

// Kind says what a fact is and so how its names end.
type Kind int8

// The kinds.
const (
	// Gauge is a figure that goes up and down.
	Gauge Kind = iota
	// Meter counts events; Kafka's names of them end in PerSec.
	Meter
	// Percent is a share from 0 to 1; Kafka's names of them end in Percent.
	Percent
	// Timing is a distribution of durations in milliseconds.
	Timing
	// Plain is a counter or gauge outside Kafka's MBeans, whose Name is the metric's name in every dialect.
	Plain
	// PlainCounter is a Plain that only goes up.
	PlainCounter
	// ClientMetric is a figure of Kafka's other metrics library (attributes of an MBean), as raft-metrics.
	ClientMetric
)

// Fact names a measured figure. For Plain and PlainCounter only Name and Help are used.
type Fact struct {
	Domain string // kafka.server
	Type   string // BrokerTopicMetrics
	Name   string // BytesInPerSec
	Kind   Kind
	Help   string
}

// Labels are name, value, name, value, …
type Labels []string

// with returns l and more, leaving l as it is.
func (l Labels) with(more ...string) Labels { return append(l[:len(l):len(l)], more...) }

// key identifies a labelled figure.
func (f Fact) key(l Labels) string {
	return f.Domain + "\x00" + f.Type + "\x00" + f.Name + "\x00" + strings.Join(l, "\x01")
}
