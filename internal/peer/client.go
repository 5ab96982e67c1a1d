package peer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/lifecycle"
	"github.com/weir-stream/weir/internal/security/tlsconf"
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
	toldAt   time.Time // when a refusal was logged last
}

// tellEvery is how often at most it is logged that the other node refuses this one.
const tellEvery = 30 * time.Second

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
	for {
		cn, err := c.connected(ctx)
		if err != nil {
			return nil, err
		}
		if err := cn.choose(req); err != nil {
			return nil, err
		}
		if a, err := cn.do(ctx, req); !errors.Is(err, errRetired) {
			return a, err
		}
	}
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
			cn.retire()
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
		c.retryAt = time.Now().Add(c.backoff(err))
		c.tell(err)
		return nil, err
	}
	if !c.toldAt.IsZero() {
		c.cfg.Log.Info("the other node can be used now", "address", c.cfg.Address)
	}
	c.conn, c.failures, c.retryAt, c.toldAt = cn, 0, time.Time{}, time.Time{}
	return cn, nil
}

// refused reports whether the other node is there, but does not let this one in, or is not who it has to be: as opposed to
// one that cannot be reached or goes away, waiting does not mend that.
func (c *Client) refused(err error) bool {
	if errors.Is(err, tlsconf.ErrHandshake) {
		return true
	}
	return c.cfg.Login != nil && errors.Is(err, errGreeting) && !errors.Is(err, ErrTimeout)
}

// tell logs why a node refuses this one. Nobody else may: a request is repeated, and fails with what came last.
func (c *Client) tell(err error) {
	if now := time.Now(); c.refused(err) && now.Sub(c.toldAt) > tellEvery {
		c.toldAt = now
		c.cfg.Log.Warn("the other node cannot be used; it is tried again", "address", c.cfg.Address, "err", err)
	}
}

// refusedBackoff is the longest pause after a refusal: each costs both sides a handshake.
const refusedBackoff = time.Second

func (c *Client) backoff(err error) time.Duration {
	wait, most := c.cfg.Backoff, c.cfg.MaxBackoff
	if c.refused(err) {
		most = max(most, refusedBackoff)
	}
	for i := 1; i < c.failures && wait < most; i++ {
		wait *= 2
	}
	return min(wait, most)
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

// Renew ends the present connection, if there is one, so that the next request makes another. It is for those who have
// waited in vain: what was lost on the way TCP sends again at ever longer intervals, up to two minutes, also when the way
// is open again.
func (c *Client) Renew() {
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.conn != nil {
		c.conn.shut(errRenewed)
		c.conn = nil
	}
}

var errRenewed = errors.New("nothing came over it in time")

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
