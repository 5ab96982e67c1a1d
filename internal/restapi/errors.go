package restapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"

	"github.com/danielgtaylor/huma/v2"

	"github.com/weir-stream/weir/internal/controlplane"
	"github.com/weir-stream/weir/internal/controlplane/people"
	"github.com/weir-stream/weir/internal/controlplane/spec"
	"github.com/weir-stream/weir/internal/controlplane/store"
)

var errCSRF = errors.New("the header " + csrfHeader + " does not carry the value that GET /session shows")

// roleError refuses somebody whose role is too low.
type roleError struct{ need, has spec.Role }

func (e *roleError) Error() string {
	return fmt.Sprintf("this takes the role %s, and yours is %s: ask an admin", e.need, e.has)
}

// outcomes maps errors to status codes, and to types that programs can tell
// apart. The first that fits counts.
var outcomes = []struct {
	err    error
	status int
	kind   string
}{
	{people.ErrNoAccess, http.StatusUnauthorized, "no-access"},
	{people.ErrWrongPassword, http.StatusUnauthorized, "wrong-password"},
	{people.ErrLink, http.StatusForbidden, "setup-link"},
	{people.ErrSetUp, http.StatusConflict, "already-set-up"},
	{people.ErrExists, http.StatusConflict, "exists"},
	{people.ErrLastAdmin, http.StatusConflict, "last-admin"},
	{people.ErrNotFound, http.StatusNotFound, "not-found"},
	{errCSRF, http.StatusForbidden, "csrf"},
	{errStreams, http.StatusServiceUnavailable, "too-many-streams"},
	{controlplane.ErrNotFound, http.StatusNotFound, "not-found"},
	{controlplane.ErrBusy, http.StatusConflict, "busy"},
	{controlplane.ErrImpossible, http.StatusConflict, "impossible"},
	{controlplane.ErrClosed, http.StatusServiceUnavailable, "closing"},
	{store.ErrFull, http.StatusInsufficientStorage, "store-full"},
	{store.ErrBusy, http.StatusServiceUnavailable, "store-locked"},
	{store.ErrConflict, http.StatusConflict, "changed-meanwhile"},
	{store.ErrNotFound, http.StatusNotFound, "not-found"},
}

// answer makes a problem of an error of the service. What nobody expected is
// logged, and told to people who are logged in only.
func (a *api) answer(ctx context.Context, err error) huma.StatusError {
	var ready huma.StatusError
	if errors.As(err, &ready) {
		return ready
	}
	p := &huma.ErrorModel{Detail: err.Error()}
	var wait *people.TooManyFailures
	var role *roleError
	switch {
	case errors.As(err, &wait):
		p.Status, p.Type = http.StatusTooManyRequests, problemType("too-many-failures")
		return &problemWithHeaders{p, http.Header{"Retry-After": {strconv.Itoa(wait.Seconds())}}}
	case errors.As(err, &role):
		p.Status, p.Type = http.StatusForbidden, problemType("role")
		return titled(p)
	}
	for _, o := range outcomes {
		if errors.Is(err, o.err) {
			p.Status, p.Type = o.status, problemType(o.kind)
			if p.Status == http.StatusUnauthorized {
				return &problemWithHeaders{titled(p), http.Header{"Www-Authenticate": {`Bearer realm="weir"`}}}
			}
			return titled(p)
		}
	}
	if fields := spec.Fields(err); len(fields) > 0 {
		p.Status, p.Type, p.Detail = http.StatusUnprocessableEntity, problemType("invalid"), "some values are refused"
		for _, f := range fields {
			d := &huma.ErrorDetail{Location: "body." + f.Field, Message: f.Rule}
			if f.Value != "" {
				d.Value = f.Value
			}
			p.Errors = append(p.Errors, d)
		}
		return titled(p)
	}
	a.Log.Error("a request failed", "error", err)
	p.Status = http.StatusInternalServerError
	if _, known := caller(ctx); !known {
		p.Detail = "the service failed; its log says why"
	}
	return titled(p)
}

func problemType(kind string) string { return "urn:weir:" + kind }

func titled(p *huma.ErrorModel) *huma.ErrorModel {
	p.Title = http.StatusText(p.Status)
	return p
}

type problemWithHeaders struct {
	*huma.ErrorModel
	headers http.Header
}

// GetHeaders implements huma.HeadersError.
func (p *problemWithHeaders) GetHeaders() http.Header { return p.headers }

func headersOf(err error) http.Header {
	var h huma.HeadersError
	if errors.As(err, &h) {
		return h.GetHeaders()
	}
	return nil
}

// writeProblem answers from within a middleware.
func (a *api) writeProblem(ctx huma.Context, err huma.StatusError) {
	for k, vs := range headersOf(err) {
		for _, v := range vs {
			ctx.SetHeader(k, v)
		}
	}
	var p *huma.ErrorModel
	var more *problemWithHeaders
	if errors.As(err, &more) {
		p = titled(more.ErrorModel)
	} else if !errors.As(err, &p) {
		p = titled(&huma.ErrorModel{Status: err.GetStatus(), Detail: err.Error()})
	}
	ctx.SetHeader("Content-Type", "application/problem+json")
	ctx.SetStatus(p.Status)
	_ = json.NewEncoder(ctx.BodyWriter()).Encode(p) // the client may be gone
}

// problem answers outside of huma.
func problem(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(titled(&huma.ErrorModel{Status: status, Detail: detail})) // the client may be gone
}
