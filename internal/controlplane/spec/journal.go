package spec

import "time"

// JournalEntry tells one anomaly from its discovery to its end.
type JournalEntry struct {
	ID      string    `json:"id"`
	Cluster string    `json:"cluster"`
	At      time.Time `json:"at"`
	// Anomaly is the kind, Broker whose it is (0: the cluster's).
	Anomaly  string   `json:"anomaly"`
	Broker   int32    `json:"broker,omitempty"`
	Evidence []string `json:"evidence"`
	Options  []Option `json:"options"`
	Choice   string   `json:"choice"`
	Why      string   `json:"why"`
	// Action is the ID of the operation that was started, if one was.
	Action  string     `json:"action,omitempty"`
	Result  string     `json:"result,omitempty"`
	EndedAt *time.Time `json:"endedAt,omitempty"`
	// Revision is the store's, filled on reading.
	Revision int64 `json:"revision"`
}

// Option is something that could have been done.
type Option struct {
	Name string `json:"name"`
	// WhyNot is empty for the one that was chosen.
	WhyNot string `json:"whyNot,omitempty"`
}
