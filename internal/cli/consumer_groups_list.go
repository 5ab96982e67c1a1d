package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
)

// listedGroup is a group as ListGroups tells it. groupType is "" when the broker is too old to tell.
type listedGroup struct {
	id, protocol, state, groupType string
}

// listGroups asks all brokers for their groups, filtered by the brokers where they can and here in any case. nil
// filters let everything through. Groups come in the order of a Java map, as Kafka's admin client has them.
func listGroups(ctx context.Context, admin *client.Admin, states, types, protocols []string) ([]listedGroup, error) {
	req := kmsg.NewPtrListGroupsRequest()
	req.StatesFilter, req.TypesFilter = states, types
	var groups []listedGroup
	seen := map[string]bool{}
	for _, shard := range admin.CallSharded(ctx, "listGroups", req) {
		if shard.Err != nil {
			return nil, shard.Err
		}
		resp := shard.Resp.(*kmsg.ListGroupsResponse)
		if err := client.Coded(resp.ErrorCode, nil); err != nil {
			return nil, err
		}
		for _, g := range resp.Groups {
			l := listedGroup{g.Group, g.ProtocolType, g.GroupState, g.GroupType}
			if seen[l.id] || !passes(states, l.state) || !passes(types, l.groupType) || protocols != nil && !slices.Contains(protocols, l.protocol) {
				continue
			}
			seen[l.id] = true
			groups = append(groups, l)
		}
	}
	hashOrder(groups, defaultHashCapacity, func(g listedGroup) int32 { return stringHash(g.id) })
	return groups, nil
}

// passes tells whether a filter lets a value through; a value that is not known passes.
func passes(filter []string, value string) bool {
	return len(filter) == 0 || value == "" || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, value) })
}

var consumerProtocols = []string{"", "consumer"}

func (c *consumerGroups) consumerGroupIDs(ctx context.Context) ([]string, error) {
	groups, err := listGroups(ctx, c.admin, nil, []string{"Classic", "Consumer"}, consumerProtocols)
	ids := make([]string, len(groups))
	for i, g := range groups {
		ids[i] = g.id
	}
	return ids, executing(err)
}

func (c *consumerGroups) runList(ctx context.Context) error {
	if !c.groupType.Present() && !c.state.Present() {
		ids, err := c.consumerGroupIDs(ctx)
		for _, id := range ids {
			fmt.Fprintln(c.env.Stdout, id)
		}
		return err
	}
	states, err := c.stateFilter()
	if err != nil {
		return err
	}
	types, err := c.typeFilter()
	if err != nil {
		return err
	}
	groups, err := listGroups(ctx, c.admin, states, types, consumerProtocols)
	if err != nil {
		return executing(err)
	}
	c.printGroups(groups)
	return nil
}

func (c *consumerGroups) stateFilter() (states []string, err error) {
	if c.state.Value() == "" {
		return nil, nil
	}
	for text := range strings.SplitSeq(c.state.Value(), ",") {
		s, ok := groupState(text)
		if !ok {
			return nil, client.IllegalArgument("Invalid state list '" + c.state.Value() + "'. Valid states are: " + strings.Join(groupStates, ", "))
		}
		states = append(states, s)
	}
	return states, nil
}

func (c *consumerGroups) typeFilter() (types []string, err error) {
	if c.groupType.Value() == "" {
		return nil, nil
	}
	for text := range strings.SplitSeq(c.groupType.Value(), ",") {
		switch strings.ToLower(strings.TrimSpace(text)) {
		case "classic":
			types = append(types, "Classic")
		case "consumer":
			types = append(types, "Consumer")
		default:
			return nil, client.IllegalArgument("Invalid types list '" + c.groupType.Value() + "'. Valid types are: Consumer, Classic")
		}
	}
	return types, nil
}

func (c *consumerGroups) printGroups(groups []listedGroup) {
	width := 15
	for _, g := range groups {
		width = max(width, len(g.id))
	}
	row := func(id, groupType, state string) {
		line := fmt.Sprintf("%-*s", width+10, id)
		if c.groupType.Present() {
			line += fmt.Sprintf(" %-20s", groupType)
		}
		if c.state.Present() {
			line += fmt.Sprintf(" %-20s", state)
		}
		fmt.Fprintln(c.env.Stdout, line)
	}
	row("GROUP", "TYPE", "STATE")
	for _, g := range groups {
		row(g.id, titled(g.groupType), titled(g.state))
	}
}

// titled is a name from the wire as Java's enumerations print it: "Classic", and "Unknown" for none.
func titled(name string) string {
	if name == "" {
		return "Unknown"
	}
	return strings.ToUpper(name[:1]) + name[1:]
}
