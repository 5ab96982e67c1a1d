package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// GroupLag is how much of a topic a group has not read.
type GroupLag struct {
	Group, Topic string
	// Messages are those between the committed offsets and the high watermarks,
	// summed over the partitions that have both.
	Messages int64
}

// MaxLagGroups is how many groups Lags asks for at once.
const MaxLagGroups = 1000

// Lags lists the lag of every group by topic, the longest first: of the first
// MaxLagGroups by name. What could not be learned is left out, with an error.
func (c *Client) Lags(ctx context.Context) ([]GroupLag, error) {
	// Where a broker does not answer, the others still do.
	listed, failed := c.adm.ListGroups(ctx)
	groups := listed.Groups()
	if len(groups) == 0 {
		return nil, failed
	}
	slices.Sort(groups)
	groups = groups[:min(len(groups), MaxLagGroups)]
	commits := c.adm.FetchManyOffsets(ctx, groups...)
	failed = errors.Join(failed, commits.Error())
	topics := map[string]bool{}
	for _, g := range commits {
		for t := range g.Fetched {
			topics[t] = true
		}
	}
	names := make([]string, 0, len(topics))
	for t := range topics {
		names = append(names, t)
	}
	if len(names) == 0 {
		return nil, failed
	}
	ends, err := c.adm.ListEndOffsets(ctx, names...)
	if err != nil {
		failed = errors.Join(failed, fmt.Errorf("list offsets: %w", err))
	}
	var out []GroupLag
	for name, g := range commits {
		for topic, parts := range g.Fetched {
			lag, known := GroupLag{Group: name, Topic: topic}, false
			for p, at := range parts {
				end, ok := ends.Lookup(topic, p)
				if ok && end.Err == nil && at.Err == nil && at.At >= 0 {
					lag.Messages += max(end.Offset-at.At, 0)
					known = true
				}
			}
			if known {
				out = append(out, lag)
			}
		}
	}
	slices.SortFunc(out, func(a, b GroupLag) int {
		return int(min(max(b.Messages-a.Messages, -1), 1))
	})
	return out, failed
}
