package spec

import "time"

// Observation is what was seen of a cluster at one moment.
type Observation struct {
	At time.Time `json:"at"`
	// Reachable says whether a broker answered; if not, Why says what
	// happened, and nothing is known of partitions and registrations.
	Reachable  bool                   `json:"reachable"`
	Why        string                 `json:"why,omitempty"`
	Brokers    []BrokerObservation    `json:"brokers"`
	Partitions []PartitionObservation `json:"partitions,omitempty"`
}

// BrokerObservation is what was seen of one broker.
type BrokerObservation struct {
	ID int32 `json:"id"`
	// Of the process.
	ProcessAlive bool `json:"processAlive"`
	PID          int  `json:"pid,omitempty"`
	// LastWords is the last line that a process which is gone printed, "" if none.
	LastWords string    `json:"lastWords,omitempty"`
	StartedAt time.Time `json:"startedAt,omitzero"`
	// DataDirPresent is false when the directory or its meta.properties is gone.
	DataDirPresent bool  `json:"dataDirPresent"`
	DiskUsedBytes  int64 `json:"diskUsedBytes"`
	// UnresponsiveSince is zero while the broker answers on its own port.
	UnresponsiveSince time.Time `json:"unresponsiveSince,omitzero"`
	// Of the cluster's metadata; meaningless unless the cluster was reachable.
	Registered bool  `json:"registered"`
	Fenced     bool  `json:"fenced"`
	Leaders    int   `json:"leaders"`
	Replicas   int   `json:"replicas"`
	Bytes      int64 `json:"bytes"`
}

// PartitionObservation is one partition as the metadata has it.
type PartitionObservation struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	// Leader is -1 when there is none.
	Leader   int32   `json:"leader"`
	Replicas []int32 `json:"replicas"`
	ISR      []int32 `json:"isr"`
	// Adding and Removing are filled while a reassignment runs.
	Adding   []int32 `json:"adding,omitempty"`
	Removing []int32 `json:"removing,omitempty"`
	// MinInSync is the topic's min.insync.replicas, 0 if unknown.
	MinInSync int `json:"minInSync,omitempty"`
	// Bytes is the size of one replica.
	Bytes int64 `json:"bytes"`
	// AddedBytes is how much of it the replicas in Adding have so far, together.
	AddedBytes int64 `json:"addedBytes,omitempty"`
}

// Offline says whether nobody can use the partition.
func (p *PartitionObservation) Offline() bool { return p.Leader < 0 }

// UnderReplicated says whether a replica is not in sync.
func (p *PartitionObservation) UnderReplicated() bool { return len(p.ISR) < len(p.Replicas) }

// UnderMinISR says whether writes with acks=all are refused.
func (p *PartitionObservation) UnderMinISR() bool { return len(p.ISR) < p.MinInSync }

// Broker finds what was seen of one broker.
func (o *Observation) Broker(id int32) (BrokerObservation, bool) {
	for _, b := range o.Brokers {
		if b.ID == id {
			return b, true
		}
	}
	return BrokerObservation{}, false
}
