package node

import (
	"log/slog"

	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/log"
)

// What the metadata says of this broker's replicas before it has this process's registration is of a former life: what the last process
// had on its disk, or, if that was lost, the whole history as it comes from the controllers. It must not be acted on. A log that
// is empty after its disk was lost would begin in the epoch in which this broker led it once, and take all older epochs that
// it then gets from others for a part of that one; and what was removed once may have been given back since.
//
// So until then the broker only notes which of its logs some image gave to it. Those that the present one does not give to it
// are deleted; logs that no image knows are strays (dirs.go).

// registeredIn reports whether an image has the registration of this process. Controllers have then dealt with all that the
// processes before it have led.
func (n *Node) registeredIn(img *image.Image) bool {
	b := img.Broker(n.id)
	return b != nil && b.IncarnationID == n.incarnation
}

// formerReplicas are the replicas that some image gave to this broker before the present process was registered, of those that
// have a log. It belongs to the publisher.
type formerReplicas struct {
	id     int32
	logs   *log.Manager
	logger *slog.Logger
	given  map[log.TopicPartition]log.TopicID
}

func newFormerReplicas(id int32, logs *log.Manager, logger *slog.Logger) *formerReplicas {
	return &formerReplicas{id: id, logs: logs, logger: logger, given: map[log.TopicPartition]log.TopicID{}}
}

// note takes over which replicas a change gave to this broker, or took from it.
func (f *formerReplicas) note(d *image.Delta) {
	for id, td := range d.Topics {
		for _, t := range []*image.Topic{td.Old, td.New} {
			if t == nil {
				continue
			}
			for i, p := range t.Partitions {
				tp := log.TopicPartition{Topic: t.Name, Partition: int32(i)}
				if p.HasReplica(f.id) && f.has(tp, id) {
					f.given[tp] = id
				}
			}
		}
	}
}

// has reports whether there is a log of this very topic, not of another one of the same name.
func (f *formerReplicas) has(tp log.TopicPartition, id log.TopicID) bool {
	l := f.logs.Get(tp)
	return l != nil && l.TopicID() == id
}

// drop deletes the logs of the replicas that the present image gives to others, or whose topics are gone.
func (f *formerReplicas) drop(img *image.Image) {
	for tp, id := range f.given {
		if t := img.TopicByID(id); t != nil {
			if p := t.Partition(tp.Partition); p != nil && p.HasReplica(f.id) {
				continue
			}
		}
		if err := f.logs.Delete(tp); err != nil {
			f.logger.Error("log of a removed partition stays behind", "partition", tp.String(), "err", err)
		}
	}
}
