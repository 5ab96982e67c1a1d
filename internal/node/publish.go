package node

import (
	"context"
	"strconv"

	"github.com/weir-stream/weir/internal/coordinator/txn"
	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/log"
	"github.com/weir-stream/weir/internal/partition"
	"github.com/weir-stream/weir/internal/replica"
)

// publish brings the broker in line with a new image, in one fixed order: rights; quotas; settings, since new logs are opened with
// them; then replicas; then the coordinators that live on them. It is called by one goroutine at a time, before the
// requests that caused the change are answered.
func (n *Node) publish(img *image.Image, d *image.Delta) {
	n.image.Store(img)
	n.publishRights(d)
	n.publishUsers(img, d)
	n.publishQuotas(img, d)
	n.publishConfigs(img, d)
	if n.isBroker() {
		n.publishPartitions(img, d)
	}
	n.served.Store(img) // not before: who is told that this broker leads may write to it at once
	if n.isBroker() {
		n.sendAssignments()
	}
	n.acts.reach(img.Offset())
}

// publishPartitions opens, changes and removes replicas, and tells the coordinators of it.
func (n *Node) publishPartitions(img *image.Image, d *image.Delta) {
	if n.former != nil {
		n.former.note(d)
		if !n.registeredIn(img) {
			return
		}
		n.former.drop(img)
		n.former = nil
		d = image.Diff(image.Empty(), img)
		defer n.configureAll(img)
	}
	for _, e := range n.publishReplicas(img, d) {
		if e.resigned {
			e.of.Resigned(e.partition, e.epoch)
		}
		if e.elected {
			e.of.Elected(e.partition, e.epoch)
		}
	}
	n.groups.TopicsChanged(d, img.Offset())
	n.publishDeletions(d)
}

// publishConfigs takes over dynamic settings of the broker and of topics.
func (n *Node) publishConfigs(img *image.Image, d *image.Delta) {
	brokerName := strconv.Itoa(int(n.id))
	brokerChanged := false
	topics := map[string]bool{}
	for res := range d.Configs {
		switch res.Type {
		case image.BrokerConfig:
			brokerChanged = brokerChanged || res.Name == "" || res.Name == brokerName
		case image.TopicConfig:
			topics[res.Name] = true
		case image.ClientMetricsConfig:
			if n.clientMetrics != nil {
				n.clientMetrics.Update(res.Name, img.Config(image.ClientMetricsConfig, res.Name))
			}
		}
	}
	if brokerChanged {
		next, bad := n.config.Load().WithDynamic(img.Config(image.BrokerConfig, ""), img.Config(image.BrokerConfig, brokerName))
		for _, err := range bad {
			n.logger.Warn("a dynamic setting in the metadata is not usable and was passed over", "err", err)
		}
		n.config.Store(next)
		n.configChanged(next)
		if n.isBroker() {
			n.addTopicsHere(topics)
		}
	}
	if !n.isBroker() {
		return
	}
	for name := range topics {
		n.configureTopic(img, name)
	}
}

// configureTopic gives the replicas of a topic its present settings.
func (n *Node) configureTopic(img *image.Image, name string) {
	t := img.TopicByName(name)
	if t == nil {
		return
	}
	resolved := n.config.Load().Topic(img.Config(image.TopicConfig, name))
	n.replicas.SetMinInSync(name, int32(resolved.MinInsyncReplicas))
	n.throttleTopic(img, t)
	lc := logConfig(resolved)
	for i := range t.Partitions {
		if l := n.logs.Get(log.TopicPartition{Topic: name, Partition: int32(i)}); l != nil {
			l.SetConfig(lc)
		}
	}
}

// configureAll gives all replicas their present settings.
func (n *Node) configureAll(img *image.Image) {
	topics := map[string]bool{}
	n.addTopicsHere(topics)
	for name := range topics {
		n.configureTopic(img, name)
	}
}

// addTopicsHere adds the topics of which this broker has replicas.
func (n *Node) addTopicsHere(topics map[string]bool) {
	n.replicas.Each(func(r *replica.Replica) bool {
		topics[r.Topic] = true
		return true
	})
}

// topicLogConfig is what the log manager asks for when it loads or makes a log.
func (n *Node) topicLogConfig(topic string) log.Config {
	var overrides map[string]string
	if img := n.image.Load(); img != nil {
		overrides = img.Config(image.TopicConfig, topic)
	}
	return logConfig(n.config.Load().Topic(overrides))
}

// election is a change of leadership of a partition with a coordinator on it.
type election struct {
	of                residents
	partition         int32
	epoch             partition.LeaderEpoch
	elected, resigned bool
}

// residents are the coordinators that live on the partitions of a topic.
type residents interface {
	Elected(p, epoch int32)
	Resigned(p, epoch int32)
}

func (n *Node) residentsOf(topic string) residents {
	switch topic {
	case offsetsTopic:
		return n.groups
	case txn.StateTopic:
		return n.txns
	}
	return nil
}

// publishReplicas opens, changes and removes this broker's replicas.
func (n *Node) publishReplicas(img *image.Image, d *image.Delta) []election {
	var out []election
	// Removed topics first: a topic made anew under the same name needs the directory.
	for id, td := range d.Topics {
		if td.New == nil {
			for i, p := range td.Old.Partitions {
				if p.HasReplica(n.id) {
					out = n.applyChange(out, replica.Change{Topic: td.Old.Name, TopicID: id, Index: int32(i), Removed: true})
				}
			}
		}
	}
	dirs := n.directories()
	n.openNewLogs(d, dirs)
	for id, td := range d.Topics {
		if td.New == nil {
			continue
		}
		minInSync := int32(n.config.Load().Topic(img.Config(image.TopicConfig, td.New.Name)).MinInsyncReplicas)
		for _, i := range td.Changed {
			p := td.New.Partition(i)
			c := replica.Change{Topic: td.New.Name, TopicID: id, Index: i, MinInSync: minInSync}
			if p.HasReplica(n.id) {
				c.Role = partition.Role{Self: n.id, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, PartitionEpoch: p.PartitionEpoch, Replicas: p.Replicas, ISR: p.ISR, Adding: p.Adding}
				c.Directory = dirs.of(p, n.id)
			} else if old := td.Old.Partition(i); old == nil || !old.HasReplica(n.id) {
				continue
			} else {
				c.Removed = true
			}
			out = n.applyChange(out, c)
			if !c.Removed && c.Directory == ([16]byte{}) {
				n.noteAssignment(id, i, td.New.Name)
			}
		}
		n.throttleTopic(img, td.New)
	}
	return out
}

// openWorkers is how many logs are opened or made at a time.
const openWorkers = 8

// openNewLogs opens the logs of replicas that are new here, several at a time, so that Apply finds them open. What
// fails is tried again by Apply, which says so.
func (n *Node) openNewLogs(d *image.Delta, dirs directories) {
	slots := make(chan struct{}, openWorkers)
	for id, td := range d.Topics {
		if td.New == nil {
			continue
		}
		for _, i := range td.Changed {
			p, old := td.New.Partition(i), td.Old.Partition(i)
			if !p.HasReplica(n.id) || (old != nil && old.HasReplica(n.id)) {
				continue
			}
			slots <- struct{}{}
			started := n.metaGroup.Go("open log", func(context.Context) {
				defer func() { <-slots }()
				_, _ = n.logs.Open(log.TopicPartition{Topic: td.New.Name, Partition: i}, id, dirs.of(p, n.id))
			})
			if !started {
				<-slots // the node is stopping
			}
		}
	}
	for range openWorkers {
		slots <- struct{}{} // the last ones are done
	}
}

// directories are this broker's log directories, as placing replicas asks for them.
type directories struct {
	known   map[[16]byte]bool
	offline bool // one of them at least
}

func (n *Node) directories() directories {
	d := directories{known: map[[16]byte]bool{}}
	for _, s := range n.logs.Dirs() {
		d.known[s.ID] = true
		d.offline = d.offline || !s.Online
	}
	return d
}

// of is where a broker's replica lies or has to be made; zero stands for anywhere. A directory that is not there any more,
// since it was wiped or taken out of log.dirs, is nowhere: the replica is made anew, from the others. While a directory is
// offline, it may be the one.
func (d directories) of(p *image.Partition, broker int32) [16]byte {
	dir := p.Directory(broker)
	if dir == image.DirectoryUnassigned || dir == image.DirectoryMigrating || !d.known[dir] && !d.offline {
		return [16]byte{}
	}
	return dir
}

func (n *Node) applyChange(out []election, c replica.Change) []election {
	elected, resigned, err := n.replicas.Apply(c)
	if err != nil {
		n.logger.Error("replica is offline", "topic", c.Topic, "partition", c.Index, "err", err)
	}
	if of := n.residentsOf(c.Topic); (elected || resigned) && of != nil {
		e := election{of: of, partition: c.Index, epoch: c.Role.LeaderEpoch, elected: elected, resigned: resigned}
		if c.Removed {
			e.epoch = -1 // whatever it was
		}
		out = append(out, e)
	}
	return out
}

// publishDeletions tells the coordinators which topics are gone, so that their committed offsets go too.
func (n *Node) publishDeletions(d *image.Delta) {
	var gone []*image.Topic
	for _, td := range d.Topics {
		if td.New == nil {
			gone = append(gone, td.Old)
		}
	}
	if len(gone) > 0 {
		n.groups.TopicsDeleted(gone)
	}
}
