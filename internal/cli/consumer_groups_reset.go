package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
)

const offsetsUtilsLogger = "org.apache.kafka.tools.OffsetsUtils"

// resetOffset is where a partition's offset is moved to. epoch is -1 when it is not known.
type resetOffset struct {
	tp     topicPartition
	offset int64
	epoch  int32
}

// groupReset is the plan for a group.
type groupReset struct {
	group   string
	offsets []resetOffset // in the order of a Java map
}

func (c *consumerGroups) runReset(ctx context.Context) error {
	ids, err := c.selectedGroups(ctx)
	if err != nil {
		return err
	}
	groups, err := c.describeGroups(ctx, ids)
	if err != nil {
		return err
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	hashOrder(ids, len(ids), stringHash)
	var plan []groupReset
	for _, id := range ids {
		g := groups[id]
		missing := client.HasCode(g.err, kerr.GroupIDNotFound)
		switch {
		case g.err != nil && !missing:
			return &wrappedOnce{executing(g.err)}
		case !missing && g.state != "Empty" && g.state != "Dead":
			printGroupError(c.env, fmt.Sprintf("Assignments can only be reset if the group '%s' is inactive, but the current state is %s.", id, g.state), nil)
			plan = append(plan, groupReset{group: id})
		default:
			offsets, err := c.resetGroup(ctx, id)
			if err != nil {
				return err
			}
			plan = append(plan, groupReset{id, offsets})
		}
	}
	hashOrder(plan, defaultHashCapacity, func(g groupReset) int32 { return stringHash(g.group) })
	if c.export.Present() {
		fmt.Fprintln(c.env.Stdout, exportOffsets(plan, len(c.group.Values()) == 1))
		return nil
	}
	c.printReset(plan)
	return nil
}

// wrappedOnce is a failure that Java wraps in a RuntimeException of its own.
type wrappedOnce struct{ error }

func (e *wrappedOnce) Error() string {
	return "java.util.concurrent.ExecutionException: " + e.error.Error()
}
func (e *wrappedOnce) Unwrap() error { return e.error }

// resetGroup plans the offsets of a group, and commits them unless this is a dry run.
func (c *consumerGroups) resetGroup(ctx context.Context, group string) ([]resetOffset, error) {
	tps, err := c.partitionsToReset(ctx, group)
	if err != nil {
		return nil, err
	}
	if err := c.checkPartitions(ctx, tps); err != nil {
		return nil, err
	}
	offsets, err := c.offsetsToReset(ctx, group, tps)
	if err != nil {
		return nil, err
	}
	hashOrder(offsets, defaultHashCapacity, func(r resetOffset) int32 { return r.tp.hash() })
	if c.execute.Present() {
		if err := c.commitReset(ctx, group, offsets); err != nil {
			return nil, err
		}
	}
	return offsets, nil
}

func (c *consumerGroups) partitionsToReset(ctx context.Context, group string) ([]topicPartition, error) {
	switch {
	case c.allTopics.Present():
		committed, err := c.committedOffsets(ctx, group)
		if err != nil {
			return nil, &wrappedOnce{executing(err)}
		}
		tps := make([]topicPartition, 0, len(committed))
		for tp := range committed {
			tps = append(tps, tp)
		}
		slices.SortFunc(tps, topicPartition.compare)
		return tps, nil
	case c.topic.Present():
		return c.topicsToReset(ctx)
	case c.fromFile.Present():
		return nil, nil
	}
	return nil, c.set.UsageErrorf("One of the reset scopes should be defined: --all-topics, --topic.")
}

func (c *consumerGroups) topicsToReset(ctx context.Context) ([]topicPartition, error) {
	var tps []topicPartition
	var whole []string
	for _, arg := range c.topic.Values() {
		if !strings.Contains(arg, ":") {
			whole = append(whole, arg)
			continue
		}
		some, err := parseTopicWithPartitions(arg)
		if err != nil {
			return nil, err
		}
		tps = append(tps, some...)
	}
	states, _, err := topicPartitions(ctx, c.admin, append([]string{}, whole...))
	if err != nil {
		return nil, err
	}
	for _, s := range states {
		tps = append(tps, s.tp)
	}
	return tps, nil
}

// parseTopicWithPartitions reads "topic:0,1,2".
func parseTopicWithPartitions(arg string) ([]topicPartition, error) {
	topic, list, ok := strings.Cut(arg, ":")
	if !ok || strings.Contains(list, ":") || list == "" {
		return nil, client.IllegalArgument("Invalid topic arg '" + arg + "', expected topic name and partitions")
	}
	var tps []topicPartition
	for word := range strings.SplitSeq(strings.TrimRight(list, ","), ",") {
		n, err := strconv.ParseInt(word, 10, 32)
		if err != nil {
			return nil, client.IllegalArgument("Invalid partition '" + word + "' specified in topic arg '" + arg + "''")
		}
		tps = append(tps, topicPartition{topic, int32(n)})
	}
	return tps, nil
}

// checkPartitions refuses partitions that there are not, or that have no leader.
func (c *consumerGroups) checkPartitions(ctx context.Context, tps []topicPartition) error {
	if len(tps) == 0 {
		return nil
	}
	var topics []string
	for _, tp := range tps {
		if !slices.Contains(topics, tp.topic) {
			topics = append(topics, tp.topic)
		}
	}
	states, _, err := topicPartitions(ctx, c.admin, topics)
	if err != nil {
		return &wrappedOnce{executing(err)}
	}
	leaders := map[topicPartition]int32{}
	for _, s := range states {
		leaders[s.tp] = s.leader
	}
	var missing, leaderless []string
	for _, tp := range tps {
		name := fmt.Sprintf("%s-%d", tp.topic, tp.partition)
		if leader, ok := leaders[tp]; !ok {
			missing = append(missing, name)
		} else if leader < 0 {
			leaderless = append(leaderless, name)
		}
	}
	switch {
	case len(missing) > 0:
		message := "The partitions \"" + strings.Join(missing, ",") + "\" do not exist"
		return client.Coded(kerr.UnknownTopicOrPartition.Code, &message)
	case len(leaderless) > 0:
		message := "The partitions \"" + strings.Join(leaderless, ",") + "\" have no leader"
		return client.Coded(kerr.LeaderNotAvailable.Code, &message)
	}
	return nil
}

// offsetsToReset computes the new offsets by the one scenario that is on the command line.
func (c *consumerGroups) offsetsToReset(ctx context.Context, group string, tps []topicPartition) ([]resetOffset, error) {
	switch {
	case c.toOffset.Present():
		wanted := make([]resetOffset, len(tps))
		for i, tp := range tps {
			wanted[i] = resetOffset{tp, c.toOffset.Int64(), -1}
		}
		return c.withinLog(ctx, wanted)
	case c.toEarliest.Present():
		return c.listed(ctx, tps, offsetEarliest, "Error getting starting offset of topic partition: ")
	case c.toLatest.Present():
		return c.listed(ctx, tps, offsetLatest, "Error getting ending offset of topic partition: ")
	case c.shiftBy.Present():
		return c.shifted(ctx, group, tps)
	case c.toDatetime.Present():
		at, err := parseDateTime(c.toDatetime.Value())
		if err != nil {
			return nil, err
		}
		return c.fromTime(ctx, tps, at)
	case c.byDuration.Present():
		d, err := client.ParseDuration(c.byDuration.Value())
		if err != nil {
			return nil, &client.Error{Class: "java.time.format.DateTimeParseException", Message: err.Error()}
		}
		return c.fromTime(ctx, tps, time.Now().Add(-d).UnixMilli())
	case c.fromFile.Present():
		return c.planned(ctx, group)
	case c.toCurrent.Present():
		return c.current(ctx, group, tps)
	}
	return nil, c.set.UsageErrorf("Option '%s' requires one of the following scenarios: %s", c.reset, javaList(c.scenarios()))
}

func (c *consumerGroups) listed(ctx context.Context, tps []topicPartition, at int64, trouble string) ([]resetOffset, error) {
	found := listOffsets(ctx, c.admin, tps, at)
	out := make([]resetOffset, 0, len(tps))
	for _, tp := range tps {
		if o := found[tp]; o.err != nil {
			return nil, c.set.UsageErrorf("%s%s-%d", trouble, tp.topic, tp.partition)
		}
		out = append(out, resetOffset{tp, found[tp].offset, -1})
	}
	return out, nil
}

func (c *consumerGroups) shifted(ctx context.Context, group string, tps []topicPartition) ([]resetOffset, error) {
	committed, err := c.committedOffsets(ctx, group)
	if err != nil {
		return nil, &wrappedOnce{executing(err)}
	}
	wanted := make([]resetOffset, len(tps))
	for i, tp := range tps {
		o, ok := committed[tp]
		if !ok {
			return nil, client.IllegalArgument(fmt.Sprintf("Cannot shift offset for partition %s-%d since there is no current committed offset", tp.topic, tp.partition))
		}
		wanted[i] = resetOffset{tp, o.offset + c.shiftBy.Int64(), -1}
	}
	return c.withinLog(ctx, wanted)
}

// withinLog moves offsets beyond the ends of their logs to these ends, with a warning.
func (c *consumerGroups) withinLog(ctx context.Context, wanted []resetOffset) ([]resetOffset, error) {
	hashOrder(wanted, defaultHashCapacity, func(r resetOffset) int32 { return r.tp.hash() })
	tps := make([]topicPartition, len(wanted))
	for i, w := range wanted {
		tps[i] = w.tp
	}
	starts, ends := listOffsets(ctx, c.admin, tps, offsetEarliest), listOffsets(ctx, c.admin, tps, offsetLatest)
	for i := range wanted {
		w := &wanted[i]
		start, end := starts[w.tp], ends[w.tp]
		if err := errors.Join(start.err, end.err); err != nil {
			return nil, executing(cmpErr(start.err, end.err))
		}
		switch {
		case w.offset > end.offset:
			client.Logf(c.env.Stderr, "WARN", offsetsUtilsLogger, "New offset (%d) is higher than latest offset for topic partition %s-%d. Value will be set to %d",
				w.offset, w.tp.topic, w.tp.partition, end.offset)
			w.offset = end.offset
		case w.offset < start.offset:
			client.Logf(c.env.Stderr, "WARN", offsetsUtilsLogger, "New offset (%d) is lower than earliest offset for topic partition %s-%d. Value will be set to %d",
				w.offset, w.tp.topic, w.tp.partition, start.offset)
			w.offset = start.offset
		}
	}
	return wanted, nil
}

func cmpErr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// fromTime finds the first offsets at or after a time; the end of the log where there is none.
func (c *consumerGroups) fromTime(ctx context.Context, tps []topicPartition, at int64) ([]resetOffset, error) {
	found := listOffsets(ctx, c.admin, tps, at)
	order := slices.Clone(tps)
	hashOrder(order, defaultHashCapacity, topicPartition.hash)
	var late []topicPartition
	for _, tp := range order {
		if o := found[tp]; o.err != nil {
			return nil, &wrappedOnce{executing(o.err)}
		} else if o.offset < 0 {
			fmt.Fprintf(c.env.Stdout, "\nWarn: Partition %d from topic %s is empty. Falling back to latest known offset.\n", tp.partition, tp.topic)
			late = append(late, tp)
		}
	}
	ends := listOffsets(ctx, c.admin, late, offsetLatest)
	out := make([]resetOffset, 0, len(tps))
	for _, tp := range tps {
		o := found[tp]
		if end, ok := ends[tp]; ok {
			o = end
		}
		if o.err != nil {
			return nil, c.set.UsageErrorf("Error getting offset by timestamp of topic partition: %s-%d", tp.topic, tp.partition)
		}
		out = append(out, resetOffset{tp, o.offset, -1})
	}
	return out, nil
}

func (c *consumerGroups) current(ctx context.Context, group string, tps []topicPartition) ([]resetOffset, error) {
	committed, err := c.committedOffsets(ctx, group)
	if err != nil {
		return nil, &wrappedOnce{executing(err)}
	}
	var out []resetOffset
	var without []topicPartition
	for _, tp := range tps {
		if o, ok := committed[tp]; ok {
			out = append(out, resetOffset{tp, o.offset, -1})
		} else {
			without = append(without, tp)
		}
	}
	rest, err := c.listed(ctx, without, offsetLatest, "Error getting ending offset of topic partition: ")
	return append(out, rest...), err
}

func (c *consumerGroups) commitReset(ctx context.Context, group string, offsets []resetOffset) error {
	if len(offsets) == 0 {
		return nil
	}
	ids, err := c.topicIDs(ctx, offsets)
	if err != nil {
		return err
	}
	req := kmsg.NewPtrOffsetCommitRequest()
	req.Group, req.Generation = group, -1
	index := map[string]int{}
	for _, o := range offsets {
		i, ok := index[o.tp.topic]
		if !ok {
			i = len(req.Topics)
			index[o.tp.topic] = i
			t := kmsg.NewOffsetCommitRequestTopic()
			t.Topic, t.TopicID = o.tp.topic, ids[o.tp.topic]
			req.Topics = append(req.Topics, t)
		}
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.LeaderEpoch, p.Metadata = o.tp.partition, o.offset, o.epoch, kmsg.StringPtr("")
		req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
	}
	raw, err := c.admin.Call(ctx, "offsetCommit", req)
	if err != nil {
		return err
	}
	for _, t := range raw.(*kmsg.OffsetCommitResponse).Topics {
		for _, p := range t.Partitions {
			if err := client.Coded(p.ErrorCode, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

// topicIDs are the ids of the topics, by which newer brokers want to have commits.
func (c *consumerGroups) topicIDs(ctx context.Context, offsets []resetOffset) (map[string][16]byte, error) {
	meta, err := listTopics(ctx, c.admin)
	if err != nil {
		return nil, err
	}
	ids := map[string][16]byte{}
	for _, t := range meta.Topics {
		if t.Topic != nil {
			ids[*t.Topic] = t.TopicID
		}
	}
	for _, o := range offsets {
		if _, ok := ids[o.tp.topic]; !ok {
			return nil, client.Coded(kerr.UnknownTopicOrPartition.Code, nil)
		}
	}
	return ids, nil
}

func (c *consumerGroups) printReset(plan []groupReset) {
	var rows [][]string
	for _, g := range plan {
		for _, o := range g.offsets {
			rows = append(rows, []string{g.group, o.tp.topic, strconv.Itoa(int(o.tp.partition)), strconv.FormatInt(o.offset, 10)})
		}
	}
	columns := []column{{"GROUP", 15}, {"TOPIC", 15}, {"PARTITION", 10}, {"NEW-OFFSET", 0}}
	for _, g := range plan {
		columns[0].width = max(columns[0].width, len(g.group))
	}
	widen(&columns[1], rows, 1)
	if len(plan) == 0 {
		fmt.Fprintln(c.env.Stdout)
		return
	}
	c.table(columns, rows)
}
