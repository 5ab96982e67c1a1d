package peer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/lifecycle"
)

// Client speaks to one address over one connection at a time. Safe for concurrent use.
type Client struct {
	cfg  Config
	ctx  context.Context // done when Close was called or the group has stopped
	stop context.CancelFunc
	lock lifecycle.IOLock // over connecting; guards what follows

	conn     *conn
	failures int
	retryAt  time.Time
}

// New returns a client that has not connected yet; the first request does.
func New(cfg Config) *Client {
	ctx, cancel := context.WithCancel(cfg.Group.Context())
	return &Client{cfg: cfg.withDefaults(), ctx: ctx, stop: cancel, lock: lifecycle.NewIOLock()}
}

// Address is where the client connects to.
func (c *Client) Address() string { return c.cfg.Address }

// Do sends a request in the highest version that both sides know, sets that version on it, and returns the answer. The
// answer is the caller's. A request that the caller gave up on (ctx) may still be acted on by the other node.
func (c *Client) Do(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	a, err := c.DoRaw(ctx, req)
	if err != nil {
		return nil, err
	}
	a.Detach() // byte slices of the answer alias it
	return a.decode(req)
}

// DoRaw is Do without decoding: for large answers, whose bytes need not be copied. The caller releases the answer.
func (c *Client) DoRaw(ctx context.Context, req kmsg.Request) (*Answer, error) {
	cn, err := c.connected(ctx)
	if err != nil {
		return nil, err
	}
	if err := cn.choose(req); err != nil {
		return nil, err
	}
	return cn.do(ctx, req)
}

// Connect makes the connection if there is none, so that the first request does not wait for it.
func (c *Client) Connect(ctx context.Context) error {
	_, err := c.connected(ctx)
	return err
}

// Supports reports whether the connected node serves a version of the API, connecting first if need be.
func (c *Client) Supports(ctx context.Context, key int16) (bool, error) {
	cn, err := c.connected(ctx)
	if err != nil {
		return false, err
	}
	_, ok := cn.versions[key]
	return ok, nil
}

// connected returns the live connection, or makes one. After a failure it waits for the back-off first.
func (c *Client) connected(ctx context.Context) (*conn, error) {
	select {
	case c.lock <- struct{}{}:
		defer c.lock.Unlock()
	case <-ctx.Done():
		return nil, fmt.Errorf("connect to %s: %w", c.cfg.Address, ctx.Err())
	}
	if c.ctx.Err() != nil {
		return nil, ErrClosed
	}
	now := time.Now()
	if cn := c.conn; cn != nil {
		if cn.until.IsZero() || now.Before(cn.until) {
			select {
			case <-cn.done:
			default:
				return cn, nil
			}
		} else {
			cn.shut(errors.New("the session of the login has ended"))
		}
		c.conn = nil
	}
	if err := c.pause(ctx, c.retryAt.Sub(now)); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(c.ctx, cancel)()
	cn, err := open(ctx, &c.cfg)
	if err != nil {
		switch {
		case c.ctx.Err() != nil:
			return nil, ErrClosed
		case ctx.Err() != nil: // no failure of the other node: the caller had no time left, perhaps for the back-off
			return nil, err
		}
		c.failures++
		c.retryAt = time.Now().Add(c.backoff())
		return nil, err
	}
	c.conn, c.failures, c.retryAt = cn, 0, time.Time{}
	return cn, nil
}

func (c *Client) backoff() time.Duration {
	wait := c.cfg.Backoff
	for i := 1; i < c.failures && wait < c.cfg.MaxBackoff; i++ {
		wait *= 2
	}
	return min(wait, c.cfg.MaxBackoff)
}

func (c *Client) pause(ctx context.Context, wait time.Duration) error {
	if wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("connect to %s: %w", c.cfg.Address, ctx.Err())
	case <-c.ctx.Done():
		return ErrClosed
	}
}

// Lost returns a channel that is closed when the present connection ends; nil, which is never ready, without one. It
// waits for a connection that is being made.
func (c *Client) Lost() <-chan struct{} {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.conn == nil {
		return nil
	}
	return c.conn.done
}

// Close ends the connection; requests on it fail, and so do all later ones.
func (c *Client) Close() {
	c.stop()
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.conn != nil {
		c.conn.shut(ErrClosed)
		c.conn = nil
	}
}
