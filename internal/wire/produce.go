package wire

// TopicID is a topic's 16-byte id.
type TopicID = [16]byte

// ProduceRequest is a Produce request as the hot path wants it: Records are sub-slices of the frame.
type ProduceRequest struct {
	TransactionalID *string
	Acks            int16
	TimeoutMs       int32
	Topics          []ProduceTopic
}

// ProduceTopic is one topic of a ProduceRequest; ID is set from version 13 on, Name before it.
type ProduceTopic struct {
	Name       string
	ID         TopicID
	Partitions []ProducePartition
}

// ProducePartition is one partition's record batches. Records may be patched in place (offsets, leader epoch)
// until the request is answered; nil if the client sent null.
type ProducePartition struct {
	Index   int32
	Records []byte
}
