package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
	"github.com/weir-stream/weir/internal/cli/kafkaflag"
)

// cluster is a cluster reached through its brokers or, with --bootstrap-controller, through its controllers, which
// know fewer requests and answer some of them only at the one that leads.
type cluster struct {
	env         Env
	admin       *client.Admin
	properties  client.Properties
	controllers bool
}

// reach connects to the brokers or the controllers; one of the two is given. The caller closes it.
func reach(env Env, p client.Properties, brokers, controllers string) (*cluster, error) {
	delete(p, "bootstrap.servers")
	delete(p, "bootstrap.controllers")
	if controllers != "" {
		p["bootstrap.controllers"] = controllers
	} else {
		p["bootstrap.servers"] = brokers
	}
	admin, err := client.NewAdmin(p, env.Stderr)
	if err != nil {
		return nil, err
	}
	return &cluster{env, admin, p, controllers != ""}, nil
}

// loadProperties reads a client's properties file; an empty name is no properties.
func loadProperties(file string) (client.Properties, error) {
	if file == "" {
		return client.Properties{}, nil
	}
	return client.LoadProperties(file)
}

func (c *cluster) close() { c.admin.Close() }

// call sends a request to where it belongs. name is the call's name in the errors of Kafka's admin client.
func (c *cluster) call(ctx context.Context, name string, req kmsg.Request) (kmsg.Response, error) {
	if !c.controllers {
		return c.admin.Call(ctx, name, req)
	}
	return c.callSeed(ctx, name, req)
}

// callLeader sends a request to the controller that leads; brokers forward it there themselves.
func (c *cluster) callLeader(ctx context.Context, name string, req kmsg.Request) (kmsg.Response, error) {
	if !c.controllers {
		return c.callAnyBroker(ctx, name, req)
	}
	nodes, leader, err := c.describe(ctx, false)
	if err != nil {
		return nil, err
	}
	for _, n := range nodes {
		if n.id != leader {
			continue
		}
		p := c.properties.Clone().With(client.Properties{"bootstrap.controllers": net.JoinHostPort(n.host, strconv.Itoa(int(n.port)))})
		admin, err := client.NewAdmin(p, c.env.Stderr)
		if err != nil {
			return nil, err
		}
		defer admin.Close()
		return (&cluster{c.env, admin, p, true}).callSeed(ctx, name, req)
	}
	return nil, client.Timeout("Timed out waiting for a node assignment. Call: " + name)
}

// callAnyBroker sends a request to some broker. franz-go would send requests of controllers to the one it knows, by a
// name that clusters without ZooKeeper give to any broker.
func (c *cluster) callAnyBroker(ctx context.Context, name string, req kmsg.Request) (kmsg.Response, error) {
	nodes, err := clusterNodes(ctx, c.admin)
	if err != nil {
		return nil, err
	}
	if len(nodes) == 0 { // a cluster that has just started; the bootstrap address answers
		return c.callSeed(ctx, name, req)
	}
	err = client.Timeout("Timed out waiting for a node assignment. Call: " + name)
	for _, n := range nodes {
		var resp kmsg.Response
		if resp, err = c.admin.CallBroker(ctx, name, n.id, req); err == nil {
			return resp, nil
		}
	}
	return nil, err
}

// callSeed sends a request to the first bootstrap address that answers.
func (c *cluster) callSeed(ctx context.Context, name string, req kmsg.Request) (kmsg.Response, error) {
	err := client.Timeout("Timed out waiting for a node assignment. Call: " + name)
	for _, seed := range c.admin.Client().SeedBrokers() {
		var resp kmsg.Response
		if resp, err = seed.RetriableRequest(ctx, req); err == nil {
			return resp, nil
		}
	}
	var coded *kerr.Error
	if errors.As(err, &coded) {
		return nil, client.Coded(coded.Code, nil)
	}
	return nil, client.Timeout(fmt.Sprintf("Timed out waiting for a node assignment. Call: %s (%v)", name, err))
}

// endpoint is a node with what only DescribeCluster tells.
type endpoint struct {
	clusterNode
	fenced bool
}

// describe lists brokers or controllers, and the id of the controller that leads, -1 if unknown.
func (c *cluster) describe(ctx context.Context, fenced bool) ([]endpoint, int32, error) {
	resp, err := c.describeCluster(ctx, fenced)
	if err != nil {
		return nil, 0, err
	}
	var nodes []endpoint
	for _, b := range resp.Brokers {
		e := endpoint{clusterNode{id: b.NodeID, host: b.Host, port: b.Port}, b.IsFenced}
		if b.Rack != nil {
			e.rack = *b.Rack
		}
		nodes = append(nodes, e)
	}
	return nodes, resp.ControllerID, nil
}

func (c *cluster) describeCluster(ctx context.Context, fenced bool) (*kmsg.DescribeClusterResponse, error) {
	req := kmsg.NewPtrDescribeClusterRequest()
	req.IncludeFencedBrokers = fenced
	if c.controllers {
		req.EndpointType = 2
	}
	raw, err := c.call(ctx, "listNodes", req)
	if err != nil {
		return nil, err
	}
	resp := raw.(*kmsg.DescribeClusterResponse)
	return resp, client.Coded(resp.ErrorCode, resp.ErrorMessage)
}

// throwExecution is throw for a failure that Kafka's tools get out of a future, which wraps it.
func throwExecution(env Env, err error) error {
	var creation *client.CreationError
	if err == nil || kafkaflag.Handled(err) || errors.As(err, &creation) {
		return throw(env, err)
	}
	cause := client.Java(err)
	fmt.Fprintf(env.Stderr, "%s\njava.util.concurrent.ExecutionException: %s\nCaused by: %s\n\n", cause, cause, cause)
	return failed
}

// terseErrorf ends a tool with one line on the error stream.
func terseErrorf(format string, args ...any) error {
	return &kafkaflag.ExitError{Code: 1, Message: fmt.Sprintf(format, args...)}
}
