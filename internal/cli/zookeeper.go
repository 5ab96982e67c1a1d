package cli

import (
	"context"
	"fmt"

	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// zookeeperTool is zookeeper-server-start and -stop: nothing to do, said in one line, so that the scripts of old
// tutorials run through.
type zookeeperTool struct {
	flags *kafkaflag.Set
	say   string
}

func newZookeeperStart() Command {
	return newZookeeperTool("zookeeper-server-start", "ZooKeeper is not needed: Weir keeps its own metadata. Nothing was started; go on with kafka-server-start.")
}

func newZookeeperStop() Command {
	return newZookeeperTool("zookeeper-server-stop", "ZooKeeper is not needed: Weir keeps its own metadata. There is nothing to stop.")
}

func newZookeeperTool(name, say string) Command {
	s := kafkaflag.New(name, "Does nothing, since Weir needs no ZooKeeper.", kafkaflag.Jopt)
	s.NoArguments = true
	s.Switch("daemon", "Accepted and not used.")
	s.String("override", "property=value", "Accepted and not used.", kafkaflag.Repeatable())
	return &zookeeperTool{flags: s, say: say}
}

func (c *zookeeperTool) Flags() *kafkaflag.Set { return c.flags }

func (c *zookeeperTool) Run(_ context.Context, env Env) error {
	fmt.Fprintln(env.Stdout, c.say)
	return nil
}
