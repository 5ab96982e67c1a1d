package controller

import (
	"slices"
	"strings"

	"github.com/weir-stream/weir/internal/image"
)

// partitionSet is a set of partitions, by topic; the numbers rise. An image knows the partitions themselves.
type partitionSet map[image.TopicID][]int32

func (s partitionSet) add(topic image.TopicID, index int32) {
	have := s[topic]
	if i, in := slices.BinarySearch(have, index); !in {
		s[topic] = slices.Insert(have, i, index)
	}
}

func (s partitionSet) remove(topic image.TopicID, index int32) {
	have := s[topic]
	i, in := slices.BinarySearch(have, index)
	switch {
	case !in:
	case len(have) == 1:
		delete(s, topic)
	default:
		s[topic] = slices.Delete(have, i, i+1)
	}
}

// stateIndex finds in the controller's state what a decision is about without looking at all of it: what a broker's end or
// return concerns, which leaders are not the preferred ones, which names are taken. It belongs to the loop, follows each
// change of the state, and is made anew when a term begins.
type stateIndex struct {
	// counted has for each broker the partitions that count on it: those that it leads, and those in whose ISR or eligible
	// leader replicas it is.
	counted map[int32]partitionSet
	leads   map[int32]int // how many partitions each broker leads
	// leaderless have no leader; astray have one that is not the first of their replicas.
	leaderless, astray partitionSet
	// names are the topics whose names have a '.' or '_', by what their names are with '_' for both. More than one are in
	// clusters that were not always Kafka's of today.
	names map[string][]string
}

// indexOf is the index of a whole image.
func indexOf(img *image.Image) *stateIndex {
	x := &stateIndex{counted: map[int32]partitionSet{}, leads: map[int32]int{}, leaderless: partitionSet{}, astray: partitionSet{}, names: map[string][]string{}}
	for t := range img.Topics() {
		x.addName(t.Name)
		for i, p := range t.Partitions {
			x.add(t.ID, int32(i), p)
		}
	}
	return x
}

// follow takes over what has changed.
func (x *stateIndex) follow(d *image.Delta) {
	for id, td := range d.Topics {
		switch {
		case td.Old == nil:
			x.addName(td.New.Name)
		case td.New == nil:
			x.removeName(td.Old.Name)
			for i, p := range td.Old.Partitions {
				x.remove(id, int32(i), p)
			}
		}
		for _, i := range td.Changed {
			if p := td.Old.Partition(i); p != nil {
				x.remove(id, i, p)
			}
			x.add(id, i, td.New.Partition(i))
		}
	}
}

func (x *stateIndex) add(topic image.TopicID, index int32, p *image.Partition) {
	eachCounted(p, func(b int32) {
		set := x.counted[b]
		if set == nil {
			set = partitionSet{}
			x.counted[b] = set
		}
		set.add(topic, index)
	})
	switch {
	case !p.HasLeader():
		x.leaderless.add(topic, index)
		return
	case p.Leader != p.Preferred():
		x.astray.add(topic, index)
	}
	x.leads[p.Leader]++
}

func (x *stateIndex) remove(topic image.TopicID, index int32, p *image.Partition) {
	eachCounted(p, func(b int32) {
		set := x.counted[b]
		if set.remove(topic, index); len(set) == 0 {
			delete(x.counted, b)
		}
	})
	x.leaderless.remove(topic, index)
	x.astray.remove(topic, index)
	if p.HasLeader() {
		if x.leads[p.Leader]--; x.leads[p.Leader] == 0 {
			delete(x.leads, p.Leader)
		}
	}
}

// eachCounted calls f with the brokers that a partition counts on, some of them more than once.
func eachCounted(p *image.Partition, f func(broker int32)) {
	for _, b := range p.ISR {
		f(b)
	}
	for _, b := range p.ELR {
		f(b)
	}
	if p.HasLeader() {
		f(p.Leader)
	}
}

// unified is a topic's name as it is in the names of metrics, and whether another topic can have the same one.
func unified(name string) (string, bool) {
	if !strings.ContainsAny(name, "._") {
		return "", false
	}
	return strings.ReplaceAll(name, ".", "_"), true
}

func (x *stateIndex) addName(name string) {
	if u, ok := unified(name); ok {
		x.names[u] = append(x.names[u], name)
	}
}

func (x *stateIndex) removeName(name string) {
	u, ok := unified(name)
	if !ok {
		return
	}
	left := slices.DeleteFunc(x.names[u], func(n string) bool { return n == name })
	if len(left) == 0 {
		delete(x.names, u)
		return
	}
	x.names[u] = left
}

// concerned are the sets of the partitions that may have to change after what happened to brokers. A partition may be in
// several.
func (x *stateIndex) concerned(u *updates) []partitionSet {
	sets := []partitionSet{x.counted[u.remove], x.counted[u.unclean]}
	if u.add != image.NoLeader {
		sets = append(sets, x.leaderless)
	}
	if len(u.offline) > 0 {
		sets = append(sets, x.counted[u.offlineOf])
	}
	return sets
}
