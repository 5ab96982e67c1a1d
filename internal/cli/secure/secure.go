// Package secure makes the files of a secured cluster: an authority, certificates, an administrator, and the settings
// that go with them (init); new certificates (cert renew); and users with the least rights (user add).
//
// What init made is written down in security.json of its folder, which holds no secret. Nothing here runs a node, and
// no password is ever chosen by anybody but the random source.
package secure

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-stream/weir/internal/cli/kafkaflag"
	"github.com/weir-stream/weir/internal/controlplane/certs"
)

// Env is what the commands have of the process around them.
type Env struct {
	Stdout, Stderr io.Writer
	Now            func() time.Time
}

// Command is weir security.
func Command(env Env) *cobra.Command {
	c := &cobra.Command{
		Use: "security", Short: "Make and renew what a secured cluster needs: certificates, users, settings", Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fail("%s has no verb %q; `%s --help` lists them", c.CommandPath(), args[0], c.CommandPath())
			}
			return c.Help()
		},
	}
	cert := &cobra.Command{Use: "cert", Short: "Certificates of a cluster that `weir security init` made"}
	cert.AddCommand(renewCommand(env))
	user := &cobra.Command{Use: "user", Short: "Users of a cluster that `weir security init` made"}
	user.AddCommand(userCommand(env))
	c.AddCommand(initCommand(env), cert, user)
	return c
}

// fail is an error that is printed as it is.
func fail(format string, args ...any) error {
	return &kafkaflag.ExitError{Code: 1, Message: "weir: " + fmt.Sprintf(format, args...)}
}

// Names of files in the folder.
const (
	planFile             = "security.json"
	serverProperties     = "server.properties"
	clientProperties     = "client.properties"
	librdkafkaProperties = "librdkafka.conf"
	franzGoSnippet       = "franz-go.txt"
	authorityFolder      = "ca"
	usersFolder          = "users"
	dataFolder           = "data"
)

// plan is what a cluster is made of; it is kept in security.json.
type plan struct {
	Name      string `json:"name"`
	ClusterID string `json:"clusterId"`
	Admin     string `json:"admin"`
	// At is where the folder lies on the machines that run the nodes.
	At string `json:"at"`
	// Names are on every node's certificate, beside its own.
	Names []string `json:"names,omitempty"`
	Nodes []node   `json:"nodes"`
}

// node is one of the nodes; all are broker and controller.
type node struct {
	ID   int      `json:"id"`
	Host string   `json:"host"`           // what clients and other nodes are told
	Also []string `json:"also,omitempty"` // further names of this node
	// Port is that of clients; the controllers' is the next one, that between brokers the one after it.
	Port int `json:"port"`
}

func (n node) name() string       { return "node-" + strconv.Itoa(n.ID) }
func (n node) bootstrap() string  { return address(n.Host, n.Port) }
func (n node) controller() string { return address(n.Host, n.Port+1) }

// folder is that of a node within the cluster's; "" where there is no other node.
func (p *plan) folder(n node) string {
	if len(p.Nodes) == 1 {
		return ""
	}
	return n.name()
}

func (p *plan) bootstrap() string {
	var out []string
	for _, n := range p.Nodes {
		out = append(out, n.bootstrap())
	}
	return strings.Join(out, ",")
}

// certificate says for whom a node's certificate is, and where it lies.
func (p *plan) certificate(dir string, n node) certs.Node {
	hosts := append([]string{n.Host}, n.Also...)
	return certs.Node{Name: n.name(), Hosts: append(hosts, p.Names...), Dir: filepath.Join(dir, p.folder(n))}
}

// readPlan reads what init wrote down.
func readPlan(dir string) (*plan, error) {
	text, err := os.ReadFile(filepath.Join(dir, planFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fail("%s has no %s: it is not a folder that `weir security init` made", dir, planFile)
	}
	if err != nil {
		return nil, err
	}
	p := &plan{}
	if err := json.Unmarshal(text, p); err != nil || len(p.Nodes) == 0 {
		return nil, fail("%s is damaged: put it back from a copy", filepath.Join(dir, planFile))
	}
	return p, nil
}

func printJSON(w io.Writer, value any) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(value)
}
