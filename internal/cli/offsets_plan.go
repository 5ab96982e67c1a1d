package cli

import (
	"context"
	"encoding/csv"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/cli/client"
)

// exportOffsets prints a plan as CSV, a line per partition: topic,partition,offset, after the group unless there is
// only one.
func exportOffsets(plan []groupReset, single bool) string {
	var b strings.Builder
	for _, g := range plan {
		for _, o := range g.offsets {
			if !single {
				b.WriteString(csvText(g.group) + ",")
			}
			fmt.Fprintf(&b, "%s,%d,%d\n", csvText(o.tp.topic), o.tp.partition, o.offset)
		}
	}
	return b.String()
}

// csvText quotes as Kafka's CSV writer does: not only what must be quoted but any text with a character up to the
// comma, and any long one.
func csvText(s string) string {
	quote := len(s) > 24
	for _, r := range s {
		quote = quote || r <= ','
	}
	if !quote {
		return s
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

// parseResetPlan reads what exportOffsets prints. group is the one group of the command line, or "" when there are
// several: then each line must name its group. A file of one group may name it too.
func parseResetPlan(data, group string) (map[string][]resetOffset, error) {
	r := csv.NewReader(strings.NewReader(data))
	r.FieldsPerRecord = -1
	r.TrimLeadingSpace = true
	records, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("the reset plan is no CSV: %w", err)
	}
	plan := map[string][]resetOffset{}
	for i, fields := range records {
		line, _ := i+1, 0
		owner := group
		switch {
		case len(fields) == 4:
			owner, fields = fields[0], fields[1:]
		case len(fields) != 3 || group == "":
			return nil, fmt.Errorf("line %d of the reset plan must be [group,]topic,partition,offset; the group is required with several groups", line)
		}
		partition, err := strconv.ParseInt(strings.TrimSpace(fields[1]), 10, 32)
		if err != nil || partition < 0 {
			return nil, fmt.Errorf("line %d of the reset plan: '%s' is no partition", line, fields[1])
		}
		offset, err := strconv.ParseInt(strings.TrimSpace(fields[2]), 10, 64)
		if err != nil {
			return nil, fmt.Errorf("line %d of the reset plan: '%s' is no offset", line, fields[2])
		}
		plan[owner] = append(plan[owner], resetOffset{topicPartition{fields[0], int32(partition)}, offset, -1})
	}
	return plan, nil
}

// planned are the offsets of a group in the file of --from-file, moved into the logs where they are beyond them.
func (c *consumerGroups) planned(ctx context.Context, group string) ([]resetOffset, error) {
	data, err := os.ReadFile(c.fromFile.Value())
	if err != nil {
		return nil, &client.Error{Class: "java.lang.RuntimeException", Message: "java.io.IOException: Unable to read file " + c.fromFile.Value()}
	}
	single := ""
	if ids := c.group.Values(); len(ids) == 1 {
		single = ids[0]
	}
	plan, err := parseResetPlan(string(data), single)
	if err != nil {
		return nil, err
	}
	offsets, ok := plan[group]
	if !ok {
		printGroupError(c.env, "No reset plan for group "+group+" found", nil)
		return nil, nil
	}
	last := map[topicPartition]resetOffset{}
	for _, o := range offsets {
		last[o.tp] = o
	}
	offsets = offsets[:0]
	for _, o := range last {
		offsets = append(offsets, o)
	}
	return c.withinLog(ctx, offsets)
}

var dateTimeLayouts = []string{"2006-01-02T15:04:05.999999999", "2006-01-02T15:04:05.999999999Z07:00", "2006-01-02T15:04:05.999999999Z0700", "2006-01-02T15:04:05.999999999Z07"}

// parseDateTime reads YYYY-MM-DDThh:mm:ss.sss with or without a zone; without one it is UTC. The result is in
// milliseconds since 1970.
func parseDateTime(text string) (int64, error) {
	for _, layout := range dateTimeLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UnixMilli(), nil
		}
	}
	return 0, &client.Error{Class: "java.lang.RuntimeException", Message: "java.text.ParseException: Error parsing timestamp '" + text + "': it must look like 2026-01-31T23:59:59.999, with a zone or in UTC"}
}
