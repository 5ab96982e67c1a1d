package sim

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// The loose topic promises nothing: min.insync.replicas=1 and unclean elections, both of which change on the way. What is
// acknowledged there may be lost, and logs are cut below high watermarks. What must hold is that its replicas become equal
// again, and have nothing that nobody wrote.
const looseTopic, looseCount = "loose", 2

func (c *cluster) looseProducer(ctx context.Context, rng *rand.Rand) {
	cl := c.newClient("loose")
	defer cl.close()
	for n := 0; wait(ctx, time.Duration(rng.Int64N(int64(300*time.Millisecond)))); n++ {
		// What becomes of it nobody promises.
		_, _ = cl.produce(ctx, looseTopic, rng.Int32N(looseCount), batchOf(fmt.Sprintf("%s/%d", cl.name, n)))
	}
}

// checkLoose is I9 and I2 of the loose topic.
func (c *cluster) checkLoose(cl *client) {
	c.compareDisks(cl, looseTopic)
	for i := range int32(looseCount) {
		for _, m := range c.nodes {
			log, _, err := m.disk.diskLog(looseTopic, i)
			if err != nil {
				c.fail("I2", "%s-%d on node %d: %v", looseTopic, i, m.id, err)
			}
			for _, b := range log {
				it := b.Records(1 << 20)
				for it.Next() {
					if v := string(it.Record().Value); !strings.HasPrefix(v, "loose/") {
						c.fail("I9 NoInvention", "%s-%d at %d on node %d: nobody sent %q there", looseTopic, i, it.Record().Offset, m.id, v)
					}
				}
				if err := it.Close(); err != nil {
					c.fail("I2", "%s-%d at %d on node %d: %v", looseTopic, i, b.BaseOffset(), m.id, err)
				}
			}
		}
	}
}

// loosen changes what the loose topic promises.
func (x *chaos) loosen(ctx context.Context) {
	name, value := "unclean.leader.election.enable", []string{"true", "false"}[x.rng.IntN(2)]
	if x.rng.IntN(2) == 0 {
		name, value = "min.insync.replicas", []string{"1", "2", "3"}[x.rng.IntN(3)]
	}
	x.ask(ctx, alterTopic(looseTopic, name, value))
	x.note("%s of %s is %s", name, looseTopic, value)
}

// allowUnclean lets any replica lead the loose topic, as a person does who has lost those that were in sync.
func (c *cluster) allowUnclean(cl *client) bool {
	ctx, cancel := context.WithTimeout(c.ctx, 4*time.Second)
	defer cancel()
	resp, err := cl.ask(ctx, -1, alterTopic(looseTopic, "unclean.leader.election.enable", "true"))
	if err != nil {
		return false
	}
	r := resp.(*kmsg.IncrementalAlterConfigsResponse)
	return len(r.Resources) == 1 && r.Resources[0].ErrorCode == 0
}

func alterTopic(topic, name, value string) *kmsg.IncrementalAlterConfigsRequest {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	r := kmsg.NewIncrementalAlterConfigsRequestResource()
	r.ResourceType, r.ResourceName = kmsg.ConfigResourceTypeTopic, topic
	e := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
	e.Name, e.Op, e.Value = name, kmsg.IncrementalAlterConfigOpSet, &value
	r.Configs = append(r.Configs, e)
	req.Resources = append(req.Resources, r)
	return req
}
