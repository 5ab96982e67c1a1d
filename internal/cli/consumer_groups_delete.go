package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
)

func (c *consumerGroups) runDelete(ctx context.Context) error {
	ids, err := c.selectedGroups(ctx)
	if err != nil {
		return err
	}
	hashOrder(ids, defaultHashCapacity, stringHash)
	ids = slices.Compact(ids)
	failures := c.deleteGroups(ctx, ids)
	var deleted []string
	for _, id := range ids {
		if failures[id] == nil {
			deleted = append(deleted, id)
		}
	}
	if len(failures) == 0 {
		fmt.Fprintf(c.env.Stdout, "Deletion of requested consumer groups (%s) was successful.\n", quoted(deleted))
		return nil
	}
	printGroupError(c.env, "Deletion of some consumer groups failed:", nil)
	for _, id := range ids {
		if err := failures[id]; err != nil {
			fmt.Fprintf(c.env.Stdout, "* Group '%s' could not be deleted due to: %s\n", id, client.Java(err))
		}
	}
	if len(deleted) > 0 {
		fmt.Fprintf(c.env.Stdout, "\nThese consumer groups were deleted successfully: %s\n", quoted(deleted))
	}
	return nil
}

func (c *consumerGroups) deleteGroups(ctx context.Context, ids []string) map[string]error {
	failures := map[string]error{}
	if len(ids) == 0 {
		return failures
	}
	req := kmsg.NewPtrDeleteGroupsRequest()
	req.Groups = ids
	for _, shard := range c.admin.CallSharded(ctx, "deleteConsumerGroups", req) {
		if shard.Err != nil {
			for _, id := range shard.Req.(*kmsg.DeleteGroupsRequest).Groups {
				failures[id] = shard.Err
			}
			continue
		}
		for _, g := range shard.Resp.(*kmsg.DeleteGroupsResponse).Groups {
			if err := client.Coded(g.ErrorCode, g.ErrorMessage); err != nil {
				failures[g.Group] = err
			}
		}
	}
	return failures
}

// deletedOffset is what became of the deletion of an offset; partition -1 stands for a topic that there is not.
type deletedOffset struct {
	tp  topicPartition
	err error
}

func (c *consumerGroups) runDeleteOffsets(ctx context.Context) error {
	if len(c.group.Values()) > 1 {
		return c.set.UsageErrorf("Found multiple arguments for option group, but you asked for only one")
	}
	tps, results, err := c.offsetsToDelete(ctx)
	if err != nil {
		return err
	}
	group := c.group.Value()
	top, errs := c.deleteOffsetsOf(ctx, group, tps)
	for _, tp := range tps {
		err := errs[tp]
		if top != nil {
			err = top
		}
		results = append(results, deletedOffset{tp, err})
	}
	first := top
	for _, r := range results {
		if first == nil && r.tp.partition >= 0 {
			first = r.err
		}
	}
	switch {
	case first == nil:
		fmt.Fprintf(c.env.Stdout, "Request succeeded for deleting offsets from group %s.\n", group)
	case client.HasCode(first, kerr.InvalidGroupID, kerr.GroupIDNotFound, kerr.GroupAuthorizationFailed, kerr.NonEmptyGroup):
		printGroupError(c.env, client.Coded(codeOf(first), nil).Error(), nil)
	case client.HasCode(first, kerr.GroupSubscribedToTopic, kerr.TopicAuthorizationFailed, kerr.UnknownTopicOrPartition):
		printGroupError(c.env, "Encountered some partition-level error, see the follow-up details.", nil)
	default:
		printGroupError(c.env, "Encountered some unknown error: "+client.Java(first), nil)
	}
	c.printDeletedOffsets(results)
	return nil
}

func codeOf(err error) int16 {
	if e, ok := err.(*client.Error); ok {
		return e.Code
	}
	return kerr.UnknownServerError.Code
}

// offsetsToDelete resolves --topic. Topics that there are not come as results with their error.
func (c *consumerGroups) offsetsToDelete(ctx context.Context) (tps []topicPartition, missing []deletedOffset, err error) {
	for _, arg := range c.topic.Values() {
		if strings.Contains(arg, ":") {
			some, err := parseTopicWithPartitions(arg)
			if err != nil {
				return nil, nil, err
			}
			tps = append(tps, some...)
			continue
		}
		states, _, err := topicPartitions(ctx, c.admin, []string{arg})
		if err != nil {
			missing = append(missing, deletedOffset{topicPartition{arg, -1}, err})
			continue
		}
		for _, s := range states {
			tps = append(tps, s.tp)
		}
	}
	slices.SortFunc(tps, topicPartition.compare)
	return slices.Compact(tps), missing, nil
}

func (c *consumerGroups) deleteOffsetsOf(ctx context.Context, group string, tps []topicPartition) (top error, errs map[topicPartition]error) {
	errs = map[topicPartition]error{}
	req := kmsg.NewPtrOffsetDeleteRequest()
	req.Group = group
	for i, tp := range tps {
		if i == 0 || tps[i-1].topic != tp.topic {
			t := kmsg.NewOffsetDeleteRequestTopic()
			t.Topic = tp.topic
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewOffsetDeleteRequestTopicPartition()
		p.Partition = tp.partition
		t := &req.Topics[len(req.Topics)-1]
		t.Partitions = append(t.Partitions, p)
	}
	raw, err := c.admin.Call(ctx, "deleteConsumerGroupOffsets", req)
	if err != nil {
		return err, errs
	}
	resp := raw.(*kmsg.OffsetDeleteResponse)
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			errs[topicPartition{t.Topic, p.Partition}] = client.Coded(p.ErrorCode, nil)
		}
	}
	return client.Coded(resp.ErrorCode, nil), errs
}

func (c *consumerGroups) printDeletedOffsets(results []deletedOffset) {
	slices.SortFunc(results, func(a, b deletedOffset) int {
		return strings.Compare(a.tp.topic+strconv.Itoa(int(a.tp.partition)), b.tp.topic+strconv.Itoa(int(b.tp.partition)))
	})
	var rows [][]string
	for _, r := range results {
		partition, status := "-", "Successful"
		if r.tp.partition >= 0 {
			partition = strconv.Itoa(int(r.tp.partition))
		}
		if r.err != nil {
			status = "Error: " + client.Java(r.err)
		}
		rows = append(rows, []string{r.tp.topic, partition, status})
	}
	columns := []column{{"TOPIC", 15}, {"PARTITION", 10}, {"STATUS", 15}}
	widen(&columns[0], rows, 0)
	c.table(columns, rows)
}
