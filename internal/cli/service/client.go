package service

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/weir-stream/weir/internal/restapi"
)

// The answers that the verbs read.
type (
	clusterList   = restapi.Clusters
	operationList = restapi.Operations
	journalList   = restapi.Journal
)

// client speaks to the service's API.
type client struct {
	server, token string
	http          *http.Client
}

// callTimeout bounds one call; plans look at the cluster first.
const callTimeout = 2 * time.Minute

// maxAnswer bounds what is read of an answer.
const maxAnswer = 64 << 20

func newClient(server, token string) *client {
	return &client{server: strings.TrimSuffix(server, "/"), token: token, http: &http.Client{Timeout: callTimeout}}
}

// client finds the service: flags before the environment before the file.
func (v *verbs) client() (*client, error) {
	server, token := first(v.server, os.Getenv("WEIR_SERVER")), first(v.token, os.Getenv("WEIR_TOKEN"))
	if server == "" || token == "" {
		known, err := readUserFile()
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		if server == "" {
			server = known.Server
			token = first(token, known.Token)
		} else if server == known.Server {
			// The written token is for the written service and no other.
			token = first(token, known.Token)
		}
	}
	if server == "" {
		return nil, fail("no service is known here: `weir up` starts one; or name one with --server and --token")
	}
	if !strings.HasPrefix(server, "http://") && !strings.HasPrefix(server, "https://") {
		return nil, fail("--server %q is no address: it looks like http://127.0.0.1:8640", server)
	}
	if token == "" {
		return nil, fail("there is no token for %s: pass --token or set WEIR_TOKEN", server)
	}
	return newClient(server, token), nil
}

func first(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (c *client) get(ctx context.Context, path string, out any) error {
	return c.call(ctx, http.MethodGet, path, nil, out)
}

func (c *client) post(ctx context.Context, path string, in, out any) error {
	return c.call(ctx, http.MethodPost, path, in, out)
}

func (c *client) delete(ctx context.Context, path string) error {
	return c.call(ctx, http.MethodDelete, path, nil, nil)
}

// call sends in and reads out, each unless nil.
func (c *client) call(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.server+restapi.Prefix+path, body)
	if err != nil {
		return fail("--server %q is no address: %v", c.server, err)
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return &unreachable{server: c.server, cause: err}
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return &unreachable{server: c.server, cause: err}
	}
	if resp.StatusCode >= 400 {
		return refusalOf(c.server, resp.StatusCode, text)
	}
	if out == nil || len(text) == 0 {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fail("%s answers in a way that this version does not understand: %v", c.server, err)
	}
	return nil
}

// unreachable says that nobody answered.
type unreachable struct {
	server string
	cause  error
}

func (e *unreachable) Error() string {
	return fmt.Sprintf("the service at %s does not answer (%v): `weir up` starts it", e.server, e.cause)
}

func (e *unreachable) Unwrap() error { return e.cause }

// refusal is an answer of the service that says no.
type refusal struct {
	server string
	huma.ErrorModel
}

func refusalOf(server string, status int, text []byte) error {
	r := &refusal{server: server}
	if err := json.Unmarshal(text, &r.ErrorModel); err != nil || r.Detail == "" {
		r.Detail = fmt.Sprintf("%s answered %d %s", server, status, http.StatusText(status))
	}
	r.Status = status
	return r
}

func (r *refusal) Error() string {
	if r.Status == http.StatusUnauthorized {
		return fmt.Sprintf("%s refuses the token: `weir up` writes a new one down, or pass --token", r.server)
	}
	out := r.Detail
	for _, e := range r.Errors {
		field := strings.TrimPrefix(e.Location, "body.")
		switch v := e.Value.(type) {
		case nil:
			out += fmt.Sprintf("\n  %s: %s", field, e.Message)
		case string, float64, bool:
			out += fmt.Sprintf("\n  %s %q: %s", field, fmt.Sprint(v), e.Message)
		default:
			out += fmt.Sprintf("\n  %s: %s", field, e.Message)
		}
	}
	return out
}
