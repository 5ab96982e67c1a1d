package doctor

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/weir-stream/weir/internal/cli/machine"
	"github.com/weir-stream/weir/internal/config"
	"github.com/weir-stream/weir/internal/security/tlsconf"
)

// lookupWait bounds how long names are looked up.
const lookupWait = 5 * time.Second

// fromFile gathers what a properties file says, and what this machine makes of it. Nothing is changed.
func fromFile(ctx context.Context, file string, now time.Time) (*facts, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	props, err := config.ParseProperties(text)
	if err != nil {
		return nil, err
	}
	n := &node{where: file, file: file, settings: props.Map()}
	if !n.given("listeners") {
		n.settings["listeners"] = n.get("listeners")
	}
	if _, _, err := config.Load(props, nil); err != nil {
		var lines []string
		for _, e := range config.Errors(err) {
			lines = append(lines, config.Explain(e))
		}
		n.loadError = strings.Join(lines, "; ")
	}
	n.listeners = parseListeners(n.settings)
	f := &facts{target: file, now: now, nodes: []*node{n}}
	for i := range n.listeners {
		if l := &n.listeners[i]; l.tlsOn() {
			l.tls = readStore(n, *l)
		}
	}
	n.resolve(ctx)
	n.look(file)
	if limit, ok := machine.OpenFiles(); ok {
		n.openFiles = limit
	}
	n.clockUnkept, _ = machine.ClockUnkept()
	return f, nil
}

// readStore reads a listener's certificate from its key store.
func readStore(n *node, l listener) *tlsFacts {
	get := func(key string) string { return n.at(l, key) }
	store := tlsconf.Store{Type: get("ssl.keystore.type"), Location: get("ssl.keystore.location"), Password: get("ssl.keystore.password"),
		Certificates: get("ssl.keystore.certificate.chain"), Key: get("ssl.keystore.key")}
	server, err := tlsconf.NewServer(tlsconf.Settings{Keystore: store, KeyPassword: get("ssl.key.password"), ClientAuth: tlsconf.ClientAuthNone})
	if err != nil {
		return &tlsFacts{failed: err.Error()}
	}
	chain, err := server.Chain()
	if err != nil {
		return &tlsFacts{failed: err.Error()}
	}
	return &tlsFacts{leaf: chain[0], chain: chain[1:]}
}

// resolve looks whether the advertised names mean something here.
func (n *node) resolve(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookupWait)
	defer cancel()
	for i := range n.listeners {
		l := &n.listeners[i]
		if l.host == "" || net.ParseIP(l.host) != nil {
			continue
		}
		if _, err := net.DefaultResolver.LookupHost(ctx, l.host); err != nil && ctx.Err() == nil {
			l.failed = "the name does not resolve here, and clients on this machine cannot connect"
		}
	}
}

// look sees after folders and files that the settings name.
func (n *node) look(file string) {
	dirs := n.list("log.dirs")
	if len(dirs) == 0 {
		dirs = n.list("log.dir")
	}
	if m := n.get("metadata.log.dir"); m != "" && !slices.Contains(dirs, m) {
		dirs = append(dirs, m)
	}
	for _, path := range dirs {
		d := directory{path: path, volatile: machine.Volatile(path)}
		d.total, d.free, _ = machine.Disk(path)
		if info, err := os.Stat(path); err == nil {
			d.mode = uint32(info.Mode().Perm())
			if private(filepath.Dir(path)) {
				d.mode &^= 0o077 // nobody gets that far
			}
		}
		n.dirs = append(n.dirs, d)
	}
	if n.holdsSecrets() {
		n.addSecret(file, "passwords or keys stand in it")
	}
	for _, key := range sortedKeys(n.settings) {
		if strings.HasSuffix(key, "ssl.keystore.location") {
			n.addSecret(n.settings[key], "it holds the private key of "+key)
		}
	}
}

// private tells whether only its owner can enter a folder.
func private(dir string) bool {
	info, err := os.Stat(dir)
	return err == nil && info.Mode().Perm()&0o011 == 0
}

func (n *node) addSecret(path, what string) {
	path = strings.TrimSpace(path)
	if slices.ContainsFunc(n.secrets, func(s secret) bool { return s.path == path }) {
		return
	}
	if info, err := os.Stat(path); err == nil {
		mode := uint32(info.Mode().Perm())
		if abs, err := filepath.Abs(path); err == nil && private(filepath.Dir(abs)) {
			mode &^= 0o077
		}
		n.secrets = append(n.secrets, secret{path, what, mode})
	}
}

func (n *node) holdsSecrets() bool {
	for key, value := range n.settings {
		d := baseDef(key)
		switch {
		case value == "":
		case strings.HasSuffix(key, "sasl.jaas.config"):
			if strings.Contains(value, "password=") || strings.Contains(value, "user_") || strings.Contains(value, "clientSecret=") {
				return true
			}
		case d != nil && d.Sensitive() && !strings.HasSuffix(key, "certificates") && !strings.HasSuffix(key, "certificate.chain"):
			return true
		}
	}
	return false
}
