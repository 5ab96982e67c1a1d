package client

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Admin sends administrative requests as Kafka's admin client does: each call has default.api.timeout.ms in all,
// retries what may be retried, and fails with Kafka's errors. It is safe for concurrent use.
type Admin struct {
	cl      *kgo.Client
	watch   *connectionLog
	timeout time.Duration
}

// NewAdmin makes an admin client from properties. bootstrap.controllers instead of bootstrap.servers talks to the
// controllers. It connects with the first call. The caller closes it.
func NewAdmin(p Properties, stderr io.Writer) (*Admin, error) {
	watch := newConnectionLog(AdminRole, p, stderr)
	opts, err := options(p, watch)
	if err != nil {
		return nil, err
	}
	timeout, err := p.Millis("default.api.timeout.ms", time.Minute)
	if err != nil {
		return nil, err
	}
	request, err := p.Millis("request.timeout.ms", 30*time.Second)
	if err != nil {
		return nil, err
	}
	if _, ok := p["default.api.timeout.ms"]; !ok && request > timeout {
		timeout = request
	}
	opts = append(opts,
		kgo.RequestRetries(1<<30),
		kgo.RetryTimeout(0),
		kgo.RequestTimeoutOverhead(max(request, 100*time.Millisecond)),
		kgo.MetadataMinAge(10*time.Millisecond),
	)
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, clientCreation(ConfigError(err.Error()))
	}
	return &Admin{cl: cl, watch: watch, timeout: timeout}, nil
}

// Close ends all connections.
func (a *Admin) Close() { a.cl.Close() }

// Client is the client underneath.
func (a *Admin) Client() *kgo.Client { return a.cl }

// Kadm is the client underneath with kadm's calls. Its calls have no time limit but the context's.
func (a *Admin) Kadm() *kadm.Client { return kadm.NewClient(a.cl) }

// WithTimeout returns an Admin over the same connections whose calls may take d.
func (a *Admin) WithTimeout(d time.Duration) *Admin {
	return &Admin{cl: a.cl, watch: a.watch, timeout: d}
}

// Call sends one request to wherever it belongs (any broker, the controller, a coordinator). name is what Kafka's
// admin client calls the call ("listTopics"); it is in the error of a call that got no answer in time.
func (a *Admin) Call(ctx context.Context, name string, req kmsg.Request) (resp kmsg.Response, err error) {
	err = a.untilConnected(ctx, name, func(ctx context.Context) error {
		resp, err = a.cl.Request(ctx, req)
		return err
	})
	return resp, err
}

// CallBroker sends one request to one broker. A broker that the cluster does not know is a Timeout, as it is for
// Kafka's admin client, but without the wait.
func (a *Admin) CallBroker(ctx context.Context, name string, broker int32, req kmsg.Request) (resp kmsg.Response, err error) {
	err = a.untilConnected(ctx, name, func(ctx context.Context) error {
		resp, err = a.cl.Broker(int(broker)).RetriableRequest(ctx, req)
		return err
	})
	return resp, err
}

// CallSharded sends a request that has to be split over brokers; every part has its own error.
func (a *Admin) CallSharded(ctx context.Context, name string, req kmsg.Request) (shards []kgo.ResponseShard) {
	err := a.untilConnected(ctx, name, func(ctx context.Context) error {
		shards = a.cl.RequestSharded(ctx, req)
		for _, s := range shards {
			if unreachable(s.Err) {
				return s.Err
			}
		}
		return nil
	})
	for i := range shards {
		if shards[i].Err != nil {
			if shards[i].Err = translate(shards[i].Err); err != nil {
				shards[i].Err = err
			}
		}
	}
	return shards
}

// untilConnected repeats a call as long as no connection can be made and there is time, as Kafka's clients do.
func (a *Admin) untilConnected(ctx context.Context, name string, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, a.timeout)
	defer cancel()
	for attempt := 0; ; attempt++ {
		err := call(ctx)
		if !unreachable(err) {
			return a.failure(ctx, name, err)
		}
		select {
		case <-ctx.Done():
			return a.failure(ctx, name, err)
		case <-time.After(retryBackoff(attempt)):
		}
	}
}

func unreachable(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// retryBackoff doubles from 50 ms to a second.
func retryBackoff(attempt int) time.Duration {
	return min(50*time.Millisecond<<min(attempt, 10), time.Second)
}

func (a *Admin) failure(ctx context.Context, call string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, kgo.ErrClientClosed) {
		return &Error{Class: "java.lang.IllegalStateException", Message: "The client is closed."}
	}
	if err.Error() == "unknown broker" { // kgo exports no name for it
		return Timeout("Timed out waiting for a node assignment. Call: " + call)
	}
	if ctx.Err() != nil {
		if a.watch.everConnected() {
			return Timeout("Call(callName=" + call + ") timed out before a broker answered.")
		}
		return Timeout("Timed out waiting for a node assignment. Call: " + call)
	}
	return translate(err)
}

// Do runs a call made otherwise (with Kadm, for example) under the rules of Call.
func (a *Admin) Do(ctx context.Context, name string, call func(context.Context) error) error {
	return a.untilConnected(ctx, name, call)
}
