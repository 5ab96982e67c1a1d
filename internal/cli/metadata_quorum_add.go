package cli

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/cli/client"
)

// runAdd adds the controller whose settings the file of --command-config has; its metadata directory must be on this
// machine, since the directory's id is read there.
func (t *metadataQuorumTool) runAdd(ctx context.Context, env Env, reached *cluster, p client.Properties) error {
	id, err := controllerID(p)
	if err != nil {
		return err
	}
	directory, err := controllerDirectory(p)
	if err != nil {
		return err
	}
	listeners, err := controllerListeners(p)
	if err != nil {
		return err
	}
	done := "DRY RUN of adding"
	if !t.addDryRun.Present() {
		done = "Added"
		req := kmsg.NewPtrAddRaftVoterRequest()
		req.VoterID, req.VoterDirectoryID, req.Listeners = id, directory, listeners
		req.TimeoutMillis = int32((30 * time.Second).Milliseconds())
		raw, err := reached.callLeader(ctx, "addRaftVoter", req)
		if err == nil {
			resp := raw.(*kmsg.AddRaftVoterResponse)
			err = client.Coded(resp.ErrorCode, resp.ErrorMessage)
		}
		if err != nil {
			return err
		}
	}
	var endpoints []string
	for _, l := range listeners {
		endpoints = append(endpoints, fmt.Sprintf("%s://%s:%d", l.Name, l.Host, l.Port))
	}
	fmt.Fprintf(env.Stdout, "%s controller %d with directory id %s and endpoints: %s\n", done, id, uuidString(directory), strings.Join(endpoints, ", "))
	return nil
}

func controllerID(p client.Properties) (int32, error) {
	text, ok := p["node.id"]
	if !ok {
		return 0, terseErrorf("node.id not found in configuration file. Is this a valid controller configuration file?")
	}
	id, err := strconv.ParseInt(text, 10, 32)
	switch {
	case err != nil:
		return 0, &client.Error{Class: "java.lang.NumberFormatException", Message: fmt.Sprintf("For input string: \"%s\"", text)}
	case id < 0:
		return 0, terseErrorf("node.id was negative in configuration file. Is this a valid controller configuration file?")
	case !strings.Contains(p["process.roles"], "controller"):
		return 0, terseErrorf("process.roles did not contain 'controller' in configuration file. Is this a valid controller configuration file?")
	}
	return int32(id), nil
}

// controllerDirectory is the id of the directory where the controller keeps the metadata.
func controllerDirectory(p client.Properties) (id [16]byte, err error) {
	dir := p["metadata.log.dir"]
	if dir == "" {
		dir, _, _ = strings.Cut(strings.TrimSpace(p["log.dirs"]), ",")
	}
	if dir == "" {
		return id, terseErrorf("Neither metadata.log.dir nor log.dirs were found. Is this a valid controller configuration file?")
	}
	meta, err := client.LoadProperties(filepath.Join(dir, "meta.properties"))
	if err != nil {
		return id, terseErrorf("Unable to read meta.properties from %s", dir)
	}
	id, ok := parseUUID(meta["directory.id"])
	if !ok {
		return id, terseErrorf("No directory id found in %s", dir)
	}
	return id, nil
}

// controllerListeners are the addresses of the controller, the advertised ones where there are any.
func controllerListeners(p client.Properties) (out []kmsg.AddRaftVoterRequestListener, err error) {
	names := p.List("controller.listener.names")
	if len(names) == 0 {
		return nil, terseErrorf("controller.listener.names was not found. Is this a valid controller configuration file?")
	}
	addresses := map[string]string{}
	for _, listener := range append(p.List("listeners"), p.List("advertised.listeners")...) {
		if name, address, ok := strings.Cut(listener, "://"); ok {
			addresses[strings.ToUpper(name)] = address
		}
	}
	for _, name := range names {
		name = strings.ToUpper(name)
		host, port, err := net.SplitHostPort(addresses[name])
		n, portErr := strconv.ParseUint(port, 10, 16)
		if err != nil || portErr != nil {
			return nil, terseErrorf("Cannot find information about controller listener name: %s", name)
		}
		l := kmsg.NewAddRaftVoterRequestListener()
		l.Name, l.Host, l.Port = name, cmp.Or(host, "localhost"), uint16(n)
		out = append(out, l)
	}
	return out, nil
}
