package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-stream/weir/internal/controlplane/people"
	"github.com/weir-stream/weir/internal/dashboard"
	"github.com/weir-stream/weir/internal/restapi"
)

// Where the service listens unless it is told: the first that is free.
const (
	firstPort = 8640
	lastPort  = 8739
)

// Limits of the HTTP server.
const (
	maxHeaderBytes    = 64 << 10
	headerTimeout     = 10 * time.Second
	idleTimeout       = 2 * time.Minute
	shutdownTimeout   = 5 * time.Second
	maxOpenConnection = 512
)

// runOptions are the flags of weir service run.
type runOptions struct {
	dir, listen string
	hosts       []string
	debug       bool
}

// runCommand is the service itself, in the foreground; weir up starts it.
func (v *verbs) runCommand() *cobra.Command {
	var o runOptions
	c := &cobra.Command{Use: "run", Short: "Run the service in the foreground; its brokers live on when it ends", Args: cobra.NoArgs}
	c.Flags().StringVar(&o.dir, "dir", "", "the service's directory (default: ~/.local/share/weir)")
	c.Flags().StringVar(&o.listen, "listen", "", "a loopback `address` to listen on (default: that of the last time, or the first that is free from 127.0.0.1:8640)")
	c.Flags().StringSliceVar(&o.hosts, "host", nil, "a `name` under which a reverse proxy speaks to the service (may be repeated)")
	c.Flags().BoolVar(&o.debug, "debug", false, "log reads too")
	c.RunE = func(cmd *cobra.Command, _ []string) error { return v.serve(cmd.Context(), o) }
	g := group("service", "The service's own process", c)
	g.Hidden = true
	return g
}

func (v *verbs) serve(ctx context.Context, o runOptions) error {
	dir, err := serviceDir(o.dir)
	if err != nil {
		return err
	}
	level := slog.LevelInfo
	if o.debug {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(v.Stderr, &slog.HandlerOptions{Level: level}))
	svc, past, err := v.open(ctx, dir, log)
	if err != nil {
		return err
	}
	defer past.close()
	defer func() {
		if err := svc.Close(); err != nil {
			log.Error("the service did not close well", "error", err)
		}
	}()
	listener, err := listen(dir, o.listen)
	if err != nil {
		return err
	}
	defer listener.Close()
	address := "http://" + listener.Addr().String()
	started := time.Now().UTC()
	registry := people.New(svc.Store(), people.Options{})
	if err := keepToken(ctx, dir, registry); err != nil {
		return err
	}
	requests := restapi.NewRequests()
	server := &http.Server{
		Handler: restapi.New(restapi.Options{
			Service: svc, People: registry, Metrics: ownMetrics(svc, v.Version, log, append(past.collectors(), svc, requests)...), Requests: requests, Pages: dashboard.Handler(), Log: log,
			Panels: past.panels(), Prometheus: past.prometheus(),
			Version: v.Version, Dir: dir, Address: address, Hosts: o.hosts, Started: started,
		}),
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	// Requests end with the service: streams of events would go on for ever.
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	server.BaseContext = func(net.Listener) context.Context { return base }
	server.RegisterOnShutdown(cancel)
	if err := svc.StartAll(ctx); err != nil {
		log.Error("not every cluster could be started", "error", err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(limited(listener, maxOpenConnection)) }()
	if err := writeJSON(filepath.Join(dir, stateFile), state{PID: os.Getpid(), Address: address, Started: started}); err != nil {
		return err
	}
	log.Info("the service answers", "address", address, "dir", dir, "version", v.Version)
	select {
	case err := <-served:
		return fmt.Errorf("serve %s: %w", address, err)
	case <-ctx.Done():
	}
	log.Info("the service ends; brokers live on")
	ending, done := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer done()
	if err := server.Shutdown(ending); err != nil {
		return server.Close()
	}
	return nil
}

// keepToken makes sure that the account's own way in works, in a file that
// only the account can read.
func keepToken(ctx context.Context, dir string, registry *people.Registry) error {
	path := filepath.Join(dir, tokenFile)
	if text, err := os.ReadFile(path); err == nil {
		if _, err := registry.Token(ctx, strings.TrimSpace(string(text))); err == nil {
			return os.Chmod(path, 0o600)
		} else if !errors.Is(err, people.ErrNoAccess) {
			return err
		}
	}
	text, err := registry.NewCommandLineToken(ctx)
	if err != nil {
		return err
	}
	return writeFile(path, []byte(text+"\n"))
}

// listen takes the wanted address, or that of the last time so that bookmarks
// stay good, or the next free one.
func listen(dir, wanted string) (net.Listener, error) {
	if wanted != "" {
		host, _, err := net.SplitHostPort(wanted)
		if ip := net.ParseIP(host); err != nil || host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return nil, fail("--listen %s: the service listens on the loopback address only, such as 127.0.0.1:8640; for others put a proxy with TLS before it and name it with --host", wanted)
		}
		l, err := net.Listen("tcp", wanted)
		if err != nil {
			return nil, fail("cannot listen on %s: %v. Choose another one, or leave --listen out", wanted, err)
		}
		return l, nil
	}
	var last state
	if readJSON(filepath.Join(dir, stateFile), &last) == nil {
		if l, err := net.Listen("tcp", strings.TrimPrefix(last.Address, "http://")); err == nil {
			return l, nil
		}
	}
	for port := firstPort; port <= lastPort; port++ {
		if l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port))); err == nil {
			return l, nil
		}
	}
	return nil, fail("no port from %d to %d is free on 127.0.0.1: name one with --listen", firstPort, lastPort)
}

// limitedListener has at most so many connections open; more wait to be accepted.
type limitedListener struct {
	net.Listener
	slots chan struct{}
}

func limited(l net.Listener, n int) net.Listener {
	return &limitedListener{l, make(chan struct{}, n)}
}

func (l *limitedListener) Accept() (net.Conn, error) {
	l.slots <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &limitedConn{Conn: c, release: sync.OnceFunc(func() { <-l.slots })}, nil
}

type limitedConn struct {
	net.Conn
	release func()
}

func (c *limitedConn) Close() error {
	c.release()
	return c.Conn.Close()
}
