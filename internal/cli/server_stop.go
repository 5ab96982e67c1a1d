package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// serverStop is kafka-server-stop.
type serverStop struct {
	flags        *kafkaflag.Set
	role, nodeID *kafkaflag.Flag
	dir          string
	kill         func(pid int) error
}

func newServerStop() Command {
	s := kafkaflag.New("kafka-server-stop", "Asks the servers of this user to stop: all of them, or those of a role or node id.", kafkaflag.Jopt)
	s.OptionErrors = kafkaflag.OptionErrorUsage
	s.NoArguments = true
	return &serverStop{
		flags:  s,
		role:   s.String("process-role", "role", "Stop servers with this role: broker or controller.", kafkaflag.Choices("broker", "controller")),
		nodeID: s.Int("node-id", "id", "Stop the server with this node id. Wins over --process-role."),
		dir:    processDir(),
		kill:   func(pid int) error { return syscall.Kill(pid, syscall.SIGTERM) },
	}
}

func (c *serverStop) Flags() *kafkaflag.Set { return c.flags }

// Run sends SIGTERM and does not wait, as Kafka's script.
func (c *serverStop) Run(_ context.Context, env Env) error {
	if role := c.role.Value(); role != "" && role != "broker" && role != "controller" {
		return &kafkaflag.ExitError{Code: 1, Message: "Invalid process role " + role + " provided. Valid process roles are broker and controller."}
	}
	found := processes(c.dir)
	var chosen []process
	for _, p := range found {
		switch {
		case c.nodeID.HasValue() && int64(p.Node) != c.nodeID.Int64():
		case !c.nodeID.HasValue() && c.role.HasValue() && !slices.Contains(strings.Split(p.Roles, ","), c.role.Value()):
		default:
			chosen = append(chosen, p)
		}
	}
	if len(chosen) == 0 {
		return &kafkaflag.ExitError{Code: 1, Message: c.nothing(found)}
	}
	failed := false
	for _, p := range chosen {
		if err := c.kill(p.PID); err != nil {
			fmt.Fprintf(env.Stderr, "Cannot stop process %d (node %d): %v\n", p.PID, p.Node, err)
			failed = true
		}
	}
	if failed {
		return &kafkaflag.ExitError{Code: 1}
	}
	return nil
}

// nothing says that there is nothing to stop, and what there is instead.
func (c *serverStop) nothing(found []process) string {
	if len(found) == 0 {
		return "No kafka server to stop"
	}
	var have []string
	for _, p := range found {
		have = append(have, "node "+strconv.Itoa(int(p.Node))+" ("+p.Roles+")")
	}
	what := "of role " + c.role.Value()
	if c.nodeID.HasValue() {
		what = "with node id " + c.nodeID.Value()
	}
	return "No kafka server " + what + " to stop; there are: " + strings.Join(have, ", ")
}
