package image

// Directory ids that mean something else than a directory.
var (
	DirectoryMigrating  = UUID{}
	DirectoryUnassigned = UUID{15: 1}
	DirectoryLost       = UUID{15: 2}
)

// NoLeader is the leader of a partition that has none.
const NoLeader int32 = -1

// Leader recovery states.
const (
	LeaderRecovered  int8 = 0
	LeaderRecovering int8 = 1
)

// Topic is one topic. Immutable.
type Topic struct {
	ID   TopicID
	Name string
	// Partitions is indexed by partition number.
	Partitions []*Partition
}

// Partition is nil if the topic is nil or has no such partition.
func (t *Topic) Partition(index int32) *Partition {
	if t == nil || index < 0 || int(index) >= len(t.Partitions) {
		return nil
	}
	return t.Partitions[index]
}

// Partition is the state of one partition that the controller decides on. Immutable.
type Partition struct {
	Replicas []int32
	// Directories has one directory id per replica, or a reserved one.
	Directories         []UUID
	ISR                 []int32
	Removing            []int32
	Adding              []int32
	ELR                 []int32 // eligible leader replicas (KIP-966)
	LastKnownELR        []int32
	Leader              int32 // NoLeader if none
	LeaderRecoveryState int8
	LeaderEpoch         int32
	PartitionEpoch      int32
}

// HasLeader reports whether the partition has a leader.
func (p *Partition) HasLeader() bool { return p.Leader != NoLeader }

// Preferred is the replica that leads when all is well.
func (p *Partition) Preferred() int32 {
	if len(p.Replicas) == 0 {
		return NoLeader
	}
	return p.Replicas[0]
}

// Reassigning reports whether replicas are being added or removed.
func (p *Partition) Reassigning() bool { return len(p.Adding) > 0 || len(p.Removing) > 0 }

// HasReplica reports whether a broker holds a replica.
func (p *Partition) HasReplica(broker int32) bool { return contains(p.Replicas, broker) }

// InSync reports whether a broker is in the ISR.
func (p *Partition) InSync(broker int32) bool { return contains(p.ISR, broker) }

// Directory is the directory of a broker's replica, DirectoryMigrating if it has none.
func (p *Partition) Directory(broker int32) UUID {
	for i, r := range p.Replicas {
		if r == broker && i < len(p.Directories) {
			return p.Directories[i]
		}
	}
	return DirectoryMigrating
}

func contains(list []int32, id int32) bool {
	for _, v := range list {
		if v == id {
			return true
		}
	}
	return false
}
