package secure

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/controlplane/certs"
	mr "github.com/weir-stream/weir/internal/metarecord"
	"github.com/weir-stream/weir/internal/node/format"
	"github.com/weir-stream/weir/internal/vfs"
)

// request is what init was asked for.
type request struct {
	dir, at, name, admin string
	hosts, names         []string
	nodes, port          int
	force                bool
}

func initCommand(env Env) *cobra.Command {
	var r request
	var asJSON bool
	c := &cobra.Command{
		Use: "init DIR", Args: cobra.ExactArgs(1),
		Short: "Make an authority, certificates, an administrator and the settings of a secured cluster",
		Long: "Makes in DIR all that a secured cluster needs, and nothing that is known to anybody else: a certificate authority, a certificate for each\n" +
			"node, an administrator with a random password, formatted storage that knows this user, and the properties of nodes and clients.\n" +
			"Clients reach the nodes by TLS with SCRAM-SHA-512, nodes reach each other by TLS with certificates of both sides. Nothing is\n" +
			"allowed to anybody but the administrator. A file that is there is never overwritten, unless --force is given; formatted storage never is.",
		Example: "  weir security init ~/kafka\n" +
			"  weir kafka-server-start ~/kafka/server.properties\n" +
			"  weir security init ~/kafka --nodes 3 --host a.example --host b.example --host c.example --at /var/lib/kafka",
		RunE: func(_ *cobra.Command, args []string) error {
			r.dir = args[0]
			out, err := r.run(env.Now())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(env.Stdout, out)
			}
			out.print(env.Stdout)
			return nil
		},
	}
	f := c.Flags()
	f.IntVar(&r.nodes, "nodes", 1, "how many nodes; each is a broker and a controller")
	f.StringSliceVar(&r.hosts, "host", nil, "the `name` or address by which clients reach a node: one for each node, in order (default: localhost, which nobody else reaches); for a single node further ones are more names of it")
	f.StringSliceVar(&r.names, "san", nil, "a further `name` for every certificate, of a load balancer for example")
	f.IntVar(&r.port, "port", 9092, "the port for clients; the two after it are for nodes among themselves. Nodes on the same host are ten ports apart")
	f.StringVar(&r.at, "at", "", "where the `folder` will lie on the machines that run the nodes (default: where it is now)")
	f.StringVar(&r.name, "name", "kafka", "what the authority calls the cluster")
	f.StringVar(&r.admin, "admin", "admin", "the name of the administrator")
	f.BoolVar(&r.force, "force", false, "overwrite settings, certificates and passwords that are there, the authority too: clients that trust the old one are locked out")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	return c
}

// run makes everything. It checks all before it writes anything.
func (r *request) run(now time.Time) (*made, error) {
	p, err := r.plan()
	if err != nil {
		return nil, err
	}
	if err := r.checkFree(p); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(r.dir, 0o700); err != nil {
		return nil, err
	}
	if r.force {
		if err := os.RemoveAll(filepath.Join(r.dir, authorityFolder)); err != nil {
			return nil, err
		}
	}
	authority, err := certs.Open(filepath.Join(r.dir, authorityFolder), p.Name, now)
	if err != nil {
		return nil, err
	}
	out := &made{plan: p, Dir: r.dir, ClusterID: p.ClusterID, Bootstrap: p.bootstrap(), Admin: p.Admin, Authority: authority.Path(), Fingerprint: authority.Fingerprint()}
	password := certs.NewPassword()
	for _, n := range p.Nodes {
		one, err := r.makeNode(p, n, authority, password, now)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.name(), err)
		}
		out.Nodes = append(out.Nodes, one)
	}
	who := user{bootstrap: p.bootstrap(), name: p.Admin, password: password, authority: authority}
	if out.Client, err = who.write(r.dir, ""); err != nil {
		return nil, err
	}
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return nil, err
	}
	return out, certs.WritePrivate(filepath.Join(r.dir, planFile), append(text, '\n'))
}

var (
	fileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$`)
	hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?$`)
)

// plan checks the flags and makes of them what is to be built.
func (r *request) plan() (p *plan, err error) {
	for what, name := range map[string]string{"--admin": r.admin, "--name": r.name} {
		if !fileName.MatchString(name) {
			return nil, fail("%s %q: letters, digits, dots, dashes and underscores, at most 100", what, name)
		}
	}
	if r.admin == nodeUser {
		return nil, fail("--admin %s is what nodes are called among themselves", nodeUser)
	}
	for _, h := range slices.Concat(r.hosts, r.names) {
		if net.ParseIP(h) == nil && !hostName.MatchString(h) {
			return nil, fail("%q is neither a host name nor an address", h)
		}
		if ip := net.ParseIP(h); ip != nil && ip.IsUnspecified() {
			return nil, fail("%s is no address that anybody can reach: name what clients dial", h)
		}
	}
	if r.dir, err = filepath.Abs(r.dir); err != nil {
		return nil, err
	}
	if r.at == "" {
		r.at = r.dir
	}
	if !filepath.IsAbs(r.at) || strings.ContainsAny(r.at, ",\n\r") || strings.ContainsAny(r.dir, ",\n\r") {
		return nil, fail("--at %q: an absolute path without commas and line ends", r.at)
	}
	p = &plan{Name: r.name, Admin: r.admin, At: r.at, Names: r.names}
	if p.Nodes, err = r.placeNodes(); err != nil {
		return nil, err
	}
	id, err := format.RandomUUID()
	p.ClusterID = mr.FormatUUID(id)
	return p, err
}

// portStep is how far apart the ports of nodes on one host are.
const portStep = 10

func (r *request) placeNodes() ([]node, error) {
	const most = 100
	if r.nodes < 1 || r.nodes > most {
		return nil, fail("--nodes %d: from 1 to %d", r.nodes, most)
	}
	hosts := r.hosts
	if len(hosts) == 0 {
		hosts = []string{"localhost"}
	}
	if len(hosts) > 1 && r.nodes > 1 && len(hosts) != r.nodes {
		return nil, fail("%d nodes and %d hosts: give --host once for each node, or once for all", r.nodes, len(hosts))
	}
	var out []node
	on := map[string]int{}
	for i := range r.nodes {
		n := node{ID: i + 1, Host: hosts[min(i, len(hosts)-1)]}
		if r.nodes == 1 {
			n.Also = hosts[1:]
		}
		n.Port = r.port + portStep*on[n.Host]
		on[n.Host]++
		if n.Port < 1 || n.Port+2 > 65535 {
			return nil, fail("--port %d: the ports %d to %d of node %d are not all there", r.port, n.Port, n.Port+2, n.ID)
		}
		out = append(out, n)
	}
	return out, nil
}

// checkFree refuses to overwrite.
func (r *request) checkFree(p *plan) error {
	for _, n := range p.Nodes {
		data := filepath.Join(r.dir, p.folder(n), dataFolder)
		if entries, err := os.ReadDir(data); err == nil && len(entries) > 0 {
			return fail("%s holds the data of a node, whose metadata knows the administrator that there is: nothing was changed. New certificates: `weir security cert renew %s`. "+
				"To begin from nothing move the folder away", data, r.dir)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if r.force {
		return nil
	}
	mine := []string{planFile, serverProperties, clientProperties, librdkafkaProperties, franzGoSnippet, authorityFolder}
	for _, n := range p.Nodes {
		mine = append(mine, filepath.Join(p.folder(n), serverProperties), filepath.Join(p.folder(n), n.name()+".pem"))
	}
	for _, name := range mine {
		path := filepath.Join(r.dir, name)
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			return fail("%s is there already: nothing was changed. --force overwrites it (and locks out who trusts the old authority); `weir security cert renew %s` makes new certificates", path, r.dir)
		}
	}
	return nil
}

// makeNode writes what one node needs, and formats its storage.
func (r *request) makeNode(p *plan, n node, authority *certs.Authority, password string, now time.Time) (madeNode, error) {
	dir := filepath.Join(r.dir, p.folder(n))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return madeNode{}, err
	}
	if r.force {
		if err := os.Remove(filepath.Join(dir, n.name()+".pem")); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return madeNode{}, err
		}
	}
	issued, err := authority.Issue(p.certificate(r.dir, n), now)
	if err != nil {
		return madeNode{}, err
	}
	ca, err := os.ReadFile(authority.Path())
	if err != nil {
		return madeNode{}, err
	}
	if err := certs.WritePrivate(filepath.Join(dir, certs.CAFile), ca); err != nil {
		return madeNode{}, err
	}
	file := filepath.Join(dir, serverProperties)
	if err := certs.WritePrivate(file, nodeProperties(p, n, filepath.Join(p.At, p.folder(n)))); err != nil {
		return madeNode{}, err
	}
	if err := formatNode(p, n, dir, password, now); err != nil {
		return madeNode{}, err
	}
	return madeNode{ID: n.ID, Address: n.bootstrap(), Properties: file, Keystore: issued.Keystore, NotAfter: issued.NotAfter,
		Start: "weir kafka-server-start " + quote(filepath.Join(p.At, p.folder(n), serverProperties))}, nil
}

// formatNode formats the storage in the node's folder as it lies here. Kafka has no other way to a first user whose
// password stands in no file of the node.
func formatNode(p *plan, n node, dir, password string, now time.Time) error {
	user, err := format.ParseScram(fmt.Sprintf("SCRAM-SHA-512=[name=%s,password=%s,iterations=8192]", p.Admin, password))
	if err != nil {
		return err
	}
	props, err := config.ParseProperties(nodeProperties(p, n, dir))
	if err != nil {
		return err
	}
	cfg, _, err := config.Load(props, nil)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(dir, dataFolder), 0o700); err != nil {
		return err
	}
	var said strings.Builder
	return format.Format(vfs.OS(), format.Request{Node: cfg.Node(), ClusterID: p.ClusterID, Scram: []mr.Versioned{user}, Out: &said, Now: now})
}

func address(host string, port int) string { return net.JoinHostPort(host, strconv.Itoa(port)) }
