package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func (c *consumerGroups) runDescribe(ctx context.Context) error {
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
	for _, id := range ids {
		if err := groups[id].err; err != nil {
			return executing(err)
		}
	}
	switch {
	case c.members.Present():
		for _, id := range ids {
			if err := c.printMembers(groups[id]); err != nil {
				return err
			}
		}
	case c.state.Present():
		for _, id := range ids {
			if err := c.printState(groups[id]); err != nil {
				return err
			}
		}
	default:
		return c.describeOffsets(ctx, ids, groups)
	}
	return nil
}

func (c *consumerGroups) describeOffsets(ctx context.Context, ids []string, groups map[string]*describedGroup) error {
	rows := make([][]offsetRow, len(ids))
	for i, id := range ids {
		var err error
		if rows[i], err = c.offsetRows(ctx, groups[id]); err != nil {
			return executing(err)
		}
	}
	for i, id := range ids {
		if err := c.printOffsets(groups[id], rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// selectedGroups are the groups of --group, or all consumer groups.
func (c *consumerGroups) selectedGroups(ctx context.Context) ([]string, error) {
	if c.allGroups.Present() {
		return c.consumerGroupIDs(ctx)
	}
	return slices.Clone(c.group.Values()), nil
}

// announce says on standard error what is unusual about a group's state, and whether there is something to print.
func (c *consumerGroups) announce(g *describedGroup, rows int) (bool, error) {
	switch g.state {
	case "Dead":
		printGroupError(c.env, "Consumer group '"+g.id+"' does not exist.", nil)
		return false, nil
	case "Empty":
		fmt.Fprintf(c.env.Stderr, "\nConsumer group '%s' has no active members.\n", g.id)
	case "PreparingRebalance", "CompletingRebalance", "Assigning", "Reconciling":
		fmt.Fprintf(c.env.Stderr, "\nWarning: Consumer group '%s' is rebalancing.\n", g.id)
	case "Stable":
	default:
		return false, fmt.Errorf("Expected a valid consumer group state, but found '%s'.", g.state)
	}
	return rows > 0, nil
}

// column is a heading with the least width of its cells; width 0 leaves cells as they are.
type column struct {
	name  string
	width int
}

// table prints a heading and rows, each on a line after a line feed, and one more line feed at the end.
func (c *consumerGroups) table(columns []column, rows [][]string) {
	print := func(cell func(i int) string) {
		words := make([]string, len(columns))
		for i, col := range columns {
			words[i] = fmt.Sprintf("%-*s", col.width, cell(i))
		}
		fmt.Fprint(c.env.Stdout, "\n"+strings.Join(words, " "))
	}
	print(func(i int) string { return columns[i].name })
	for _, row := range rows {
		print(func(i int) string { return row[i] })
	}
	fmt.Fprintln(c.env.Stdout)
}

// widen makes a column as wide as its widest cell.
func widen(col *column, rows [][]string, i int) {
	for _, row := range rows {
		col.width = max(col.width, len(row[i]))
	}
}

func (c *consumerGroups) printOffsets(g *describedGroup, rows []offsetRow) error {
	ok, err := c.announce(g, len(rows))
	if err != nil || !ok {
		return err
	}
	number := func(n int64) string {
		if n < 0 {
			return "-"
		}
		return strconv.FormatInt(n, 10)
	}
	columns := []column{{"GROUP", 15}, {"TOPIC", 15}, {"PARTITION", 10}, {"LEADER-EPOCH", 15}, {"CURRENT-OFFSET", 15}, {"LOG-END-OFFSET", 15},
		{"LAG", 15}, {"CONSUMER-ID", 15}, {"HOST", 15}, {"CLIENT-ID", 0}}
	var cells [][]string
	for _, r := range rows {
		lag := "-"
		if r.offset >= 0 && r.logEnd >= 0 {
			lag = strconv.FormatInt(r.logEnd-r.offset, 10)
		}
		cells = append(cells, []string{g.id, r.tp.topic, strconv.Itoa(int(r.tp.partition)), number(int64(r.leaderEpoch)), number(r.offset), number(r.logEnd),
			lag, r.consumerID, r.host, r.clientID})
	}
	for _, i := range []int{0, 1, 7, 8} {
		widen(&columns[i], cells, i)
	}
	if !c.verbose.Present() {
		columns = slices.Delete(columns, 3, 4)
		for i := range cells {
			cells[i] = slices.Delete(cells[i], 3, 4)
		}
	}
	c.table(columns, cells)
	return nil
}

// assignmentText is "topic:0,1;other:2".
func assignmentText(tps []topicPartition) string {
	if len(tps) == 0 {
		return "-"
	}
	tps = slices.Clone(tps)
	slices.SortFunc(tps, topicPartition.compare)
	var b strings.Builder
	for i, tp := range tps {
		switch {
		case i > 0 && tps[i-1].topic == tp.topic:
			b.WriteByte(',')
		case i > 0:
			b.WriteByte(';')
			fallthrough
		default:
			b.WriteString(tp.topic + ":")
		}
		b.WriteString(strconv.Itoa(int(tp.partition)))
	}
	return b.String()
}

func (c *consumerGroups) printMembers(g *describedGroup) error {
	if _, err := c.announce(g, len(g.members)); err != nil {
		return err
	}
	var cells [][]string
	hasInstance, hasClassic, hasUpgraded := false, false, false
	epoch := func(n int32) string {
		if n < 0 {
			return "-"
		}
		return strconv.Itoa(int(n))
	}
	for _, m := range g.members {
		hasInstance = hasInstance || m.instance != ""
		hasClassic = hasClassic || m.upgraded == 0
		hasUpgraded = hasUpgraded || m.upgraded == 1
		upgraded := "-"
		if m.upgraded >= 0 {
			upgraded = strconv.FormatBool(m.upgraded == 1)
		}
		cells = append(cells, []string{g.id, m.id, m.instance, m.host, m.clientID, strconv.Itoa(len(m.assignment)),
			epoch(m.epoch), assignmentText(m.assignment), epoch(g.targetEpoch), assignmentText(m.target), upgraded})
	}
	columns := []column{{"GROUP", 15}, {"CONSUMER-ID", 15}, {"GROUP-INSTANCE-ID", 17}, {"HOST", 15}, {"CLIENT-ID", 15}, {"#PARTITIONS", 15},
		{"CURRENT-EPOCH", 15}, {"CURRENT-ASSIGNMENT", 20}, {"TARGET-EPOCH", 15}, {"TARGET-ASSIGNMENT", 20}, {"UPGRADED", 0}}
	for _, i := range []int{0, 1, 2, 3, 4, 7, 9} {
		widen(&columns[i], cells, i)
	}
	keep := []bool{true, true, hasInstance, true, true, true}
	verbose := c.verbose.Present()
	keep = append(keep, verbose, verbose, verbose, verbose, verbose && hasClassic && hasUpgraded)
	columns = kept(columns, keep)
	for i := range cells {
		cells[i] = kept(cells[i], keep)
	}
	if !verbose { // Kafka's format for this table ends in a blank
		columns[len(columns)-1].width = 16
	}
	c.table(columns, cells)
	return nil
}

func kept[T any](items []T, keep []bool) (out []T) {
	for i, item := range items {
		if keep[i] {
			out = append(out, item)
		}
	}
	return out
}

func (c *consumerGroups) printState(g *describedGroup) error {
	ok, err := c.announce(g, 1)
	if err != nil || !ok {
		return err
	}
	epoch := func(n int32) string {
		if n < 0 {
			return "-"
		}
		return strconv.Itoa(int(n))
	}
	coordinator := fmt.Sprintf("%s:%d  (%d)", g.coordinator.Host, g.coordinator.Port, g.coordinator.NodeID)
	cells := [][]string{{g.id, coordinator, dash(g.assignor), g.state, epoch(g.epoch), epoch(g.targetEpoch), strconv.Itoa(len(g.members))}}
	columns := []column{{"GROUP", 15}, {"COORDINATOR (ID)", 25}, {"ASSIGNMENT-STRATEGY", 20}, {"STATE", 20}, {"GROUP-EPOCH", 15}, {"TARGET-ASSIGNMENT-EPOCH", 25}, {"#MEMBERS", 0}}
	widen(&columns[0], cells, 0)
	widen(&columns[1], cells, 1)
	if !c.verbose.Present() {
		columns = slices.Delete(columns, 4, 6)
		cells[0] = slices.Delete(cells[0], 4, 6)
	}
	c.table(columns, cells)
	return nil
}
