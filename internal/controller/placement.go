package controller

import (
	"cmp"
	"math/rand/v2"
	"slices"

	"github.com/weir-stream/weir/internal/image"
	"github.com/weir-stream/weir/internal/wire"
)

// place chooses the replicas of count partitions from start on. Leaders go round the racks and within a rack round its
// live brokers; the other replicas go to the racks that follow, no broker twice. Fenced brokers get replicas only
// when live ones do not suffice, and never lead.
func (c *Controller) place(start, count, factor int) ([][]int32, error) {
	unable := func(format string, args ...any) error {
		o := refuse(wire.InvalidReplicationFactor, format, args...)
		return refuse(wire.InvalidReplicationFactor, "Unable to replicate the partition %d time(s): %s", factor, o.Error())
	}
	if factor <= 0 {
		return nil, unable("Invalid replication factor %d: the replication factor must be positive.", factor)
	}
	racks, live, total := c.racks()
	if live == 0 {
		return nil, unable("All brokers are currently fenced, or have all their log directories cordoned.")
	}
	if factor > total {
		return nil, unable("The target replication factor of %d cannot be reached because only %d broker(s) are registered or some brokers have all their log directories cordoned.", factor, total)
	}
	out := make([][]int32, count)
	at := rand.IntN(len(racks))
	for i := range out {
		out[i] = stripe(racks, (start+i+at)%len(racks), factor)
	}
	return out, nil
}

// rack is the brokers of one rack, each with a place to go on from.
type rack struct {
	name         string
	live, fenced []int32
	next         int
}

// racks groups the brokers that can take replicas; racks without a live broker come last.
func (c *Controller) racks() (racks []*rack, live, total int) {
	byName := map[string]*rack{}
	for b := range c.state.Brokers() {
		if len(b.Directories) > 0 && len(b.Cordoned) >= len(b.Directories) {
			continue
		}
		name := ""
		if b.Rack != nil {
			name = *b.Rack
		}
		r := byName[name]
		if r == nil {
			r = &rack{name: name}
			byName[name] = r
			racks = append(racks, r)
		}
		total++
		if b.Fenced {
			r.fenced = append(r.fenced, b.ID)
		} else {
			r.live = append(r.live, b.ID)
			live++
		}
	}
	slices.SortFunc(racks, func(a, b *rack) int { return cmp.Compare(a.name, b.name) })
	for _, r := range racks {
		rand.Shuffle(len(r.live), func(i, j int) { r.live[i], r.live[j] = r.live[j], r.live[i] })
	}
	return racks, live, total
}

// stripe takes one live broker for the lead and then goes round the racks.
func stripe(racks []*rack, first, factor int) []int32 {
	out := make([]int32, 0, factor)
	take := func(r *rack, from []int32) bool {
		for i := range from {
			id := from[(r.next+i)%len(from)]
			if !slices.Contains(out, id) {
				out = append(out, id)
				return true
			}
		}
		return false
	}
	lead := first
	for i := range racks {
		if r := racks[(first+i)%len(racks)]; len(r.live) > 0 {
			take(r, r.live)
			r.next++
			lead = (first + i) % len(racks)
			break
		}
	}
	for _, fenced := range []bool{false, true} {
		for taken := true; taken && len(out) < factor; {
			taken = false
			for i := 1; i <= len(racks) && len(out) < factor; i++ {
				r := racks[(lead+i)%len(racks)]
				from := r.live
				if fenced {
					from = r.fenced
				}
				taken = take(r, from) || taken
			}
		}
	}
	return out
}

// isActive reports whether a broker may lead.
func (c *Controller) isActive(id int32) bool { return c.state.Broker(id).Active() }

// defaultDirectory is where a new replica on a broker goes, as far as that is known without the broker.
func (c *Controller) defaultDirectory(id int32) image.UUID {
	b := c.state.Broker(id)
	switch {
	case !c.state.MetadataVersion().DirectoryAssignment():
		return image.DirectoryMigrating
	case b == nil:
		return image.DirectoryUnassigned
	case len(b.Directories) == 0:
		return image.DirectoryMigrating
	case len(b.Directories) == 1:
		return b.Directories[0]
	}
	return image.DirectoryUnassigned
}
