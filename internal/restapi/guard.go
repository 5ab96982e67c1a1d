package restapi

import (
	"context"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/weir-stream/weir/internal/controlplane/people"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

const (
	cookieName = "weir_session"
	csrfHeader = "X-CSRF-Token"
)

// guard is what every request passes before it is routed: its host, where a
// browser sends it from, its size, the headers of its answer, the access log.
func (a *api) guard(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	origin.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		problem(w, http.StatusForbidden, "the request comes from another site")
	}))
	checked := origin.Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		begun := time.Now()
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		// Not the request of now: the one that is routed knows its route.
		defer func() {
			a.logAccess(rec, r, begun)
			a.Requests.took(r, rec.status, time.Since(begun))
		}()
		secureHeaders(w.Header(), strings.HasPrefix(r.URL.Path, "/api/"))
		if !a.hostAllowed(r.Host) {
			problem(rec, http.StatusMisdirectedRequest, "the service is not spoken to under this host name: use its address, or start it with --host "+cleanHost(r.Host))
			return
		}
		r.Body = http.MaxBytesReader(rec, r.Body, maxBody+1)
		r = r.WithContext(context.WithValue(r.Context(), recorderKey{}, rec))
		checked.ServeHTTP(rec, r)
	})
}

// secureHeaders are for every answer; pages loosen the policy for themselves.
func secureHeaders(h http.Header, isAPI bool) {
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Permissions-Policy", "camera=(), geolocation=(), microphone=()")
	if isAPI {
		h.Set("Cache-Control", "no-store")
	}
}

// hostAllowed refuses names that a stranger's DNS could point at this machine:
// a page of theirs would be of the same origin as the service.
func (a *api) hostAllowed(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	if name == "localhost" || slices.ContainsFunc(a.Hosts, func(h string) bool { return strings.EqualFold(h, name) }) {
		return true
	}
	ip := net.ParseIP(name)
	return ip != nil && ip.IsLoopback()
}

// cleanHost is a host name without its port, short and harmless to print.
func cleanHost(host string) string {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	clean := strings.Map(func(r rune) rune {
		if r == '.' || r == '-' || r == ':' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return -1
	}, host)
	return clean[:min(len(clean), 100)]
}

// recorder keeps what the access log says of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	who    string
}

type recorderKey struct{}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController reach what is below.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// logAccess says who asked for what. Queries, headers and bodies stay out of
// it: secrets travel there. Successful reads are many, and for debugging only.
func (a *api) logAccess(rec *recorder, r *http.Request, begun time.Time) {
	level := slog.LevelInfo
	if rec.status < 400 && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		level = slog.LevelDebug
	}
	path := r.URL.Path
	a.Log.Log(r.Context(), level, "request", "method", r.Method, "path", path[:min(len(path), 300)], "status", rec.status,
		"who", rec.who, "from", r.RemoteAddr, "ms", time.Since(begun).Milliseconds())
}

type identityKey struct{}

// caller is who makes the request, if anybody.
func caller(ctx context.Context) (people.Identity, bool) {
	who, ok := ctx.Value(identityKey{}).(people.Identity)
	return who, ok
}

// identify finds who makes a request: a token before a cookie.
func (a *api) identify(r *http.Request) (who people.Identity, byCookie bool, err error) {
	if header := r.Header.Get("Authorization"); header != "" {
		scheme, token, _ := strings.Cut(header, " ")
		if !strings.EqualFold(scheme, "Bearer") {
			return who, false, people.ErrNoAccess
		}
		who, err = a.People.Token(r.Context(), strings.TrimSpace(token))
		return who, false, err
	}
	cookie, err := r.Cookie(cookieName)
	if err != nil || len(cookie.Value) > 100 {
		return who, false, people.ErrNoAccess
	}
	who, err = a.People.Session(r.Context(), cookie.Value)
	return who, true, err
}

// admit decides whether a request may go on, and as whom. What begins a
// session carries no CSRF token, since there is none yet.
func (a *api) admit(r *http.Request, need spec.Role, beginsSession bool) (context.Context, error) {
	who, byCookie, err := a.identify(r)
	switch {
	case errors.Is(err, people.ErrNoAccess):
		if need != public {
			return nil, err
		}
		return r.Context(), nil
	case err != nil:
		return nil, err
	}
	safe := r.Method == http.MethodGet || r.Method == http.MethodHead
	if byCookie && !safe && !beginsSession && subtle.ConstantTimeCompare([]byte(r.Header.Get(csrfHeader)), []byte(who.CSRF)) != 1 {
		return nil, errCSRF
	}
	if rec, ok := r.Context().Value(recorderKey{}).(*recorder); ok {
		rec.who = who.Name
	}
	if need != public && !who.Role.Allows(need) {
		return nil, &roleError{need: need, has: who.Role}
	}
	return context.WithValue(r.Context(), identityKey{}, who), nil
}

// authorize is the check of the API's routes.
func (a *api) authorize(ctx huma.Context, next func(huma.Context)) {
	op := ctx.Operation()
	need, _ := op.Metadata[needKey].(spec.Role) // none is no role, and lets nobody in
	r, _ := humago.Unwrap(ctx)
	begins := op.OperationID == "login" || op.OperationID == "setup"
	admitted, err := a.admit(r, need, begins)
	if err != nil {
		a.writeProblem(ctx, a.answer(ctx.Context(), err))
		return
	}
	next(huma.WithContext(ctx, admitted))
}

// plain is the check of the other routes.
func (a *api) plain(p plainRoute) http.Handler {
	if p.need == public {
		return p.serve
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		admitted, err := a.admit(r, p.need, false)
		if err != nil {
			e := a.answer(r.Context(), err)
			for k, v := range headersOf(e) {
				w.Header()[k] = v
			}
			problem(w, e.GetStatus(), e.Error())
			return
		}
		p.serve(w, r.WithContext(admitted))
	})
}
