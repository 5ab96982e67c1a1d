package restapi

import (
	"context"
	"net/http"
	"time"

	"github.com/weir-stream/weir/internal/controlplane/people"
	"github.com/weir-stream/weir/internal/controlplane/spec"
)

func (a *api) status(ctx context.Context, _ *none) (*answer[Status], error) {
	needs, err := a.People.NeedsSetup(ctx)
	if err != nil {
		return nil, err
	}
	s := Status{Version: a.Version, NeedsSetup: needs}
	if _, ok := caller(ctx); ok {
		clusters, err := a.Service.Clusters(ctx)
		if err != nil {
			return nil, err
		}
		s.Address, s.Dir, s.Clusters, s.UptimeSeconds = a.Address, a.Dir, len(clusters), int64(time.Since(a.Started).Seconds())
	}
	return body(s, nil)
}

// cookie is the session's cookie: no script reads it, no other site sends it.
// Without TLS on the loopback address it cannot be marked Secure.
func cookie(value string, age time.Duration) string {
	c := http.Cookie{Name: cookieName, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, MaxAge: int(age / time.Second)}
	if value == "" {
		c.MaxAge = -1
	}
	return c.String()
}

func (a *api) begin(ctx context.Context, user *spec.User) (*sessionAnswer, error) {
	value, who, err := a.People.StartSession(ctx, user)
	if err != nil {
		return nil, err
	}
	return &sessionAnswer{SetCookie: cookie(value, people.MaxSessionLife), Body: sessionOf(who)}, nil
}

func sessionOf(who people.Identity) Session {
	return Session{Name: who.Name, Role: string(who.Role), CSRF: who.CSRF}
}

func (a *api) setup(ctx context.Context, in *struct{ Body SetupBody }) (*sessionAnswer, error) {
	user, err := a.People.UseSetupLink(ctx, in.Body.Secret, in.Body.Name, in.Body.Password)
	if err != nil {
		return nil, err
	}
	return a.begin(ctx, user)
}

func (a *api) createSetupLink(ctx context.Context, _ *none) (*answer[SetupLink], error) {
	secret, err := a.People.NewSetupLink(ctx)
	if err != nil {
		return nil, err
	}
	// Behind # it never reaches a log: browsers keep that part to themselves.
	return body(SetupLink{Link: a.Address + "/setup#" + secret, ExpiresAt: time.Now().Add(people.SetupLinkLife)}, nil)
}

func (a *api) login(ctx context.Context, in *struct{ Body LoginBody }) (*sessionAnswer, error) {
	user, err := a.People.Login(ctx, in.Body.Name, in.Body.Password)
	if err != nil {
		return nil, err
	}
	return a.begin(ctx, user)
}

type logoutAnswer struct {
	SetCookie string `header:"Set-Cookie"`
}

func (a *api) logout(ctx context.Context, in *struct {
	Cookie string `cookie:"weir_session" maxLength:"200" hidden:"true"`
}) (*logoutAnswer, error) {
	if in.Cookie != "" {
		if err := a.People.EndSession(ctx, in.Cookie); err != nil {
			return nil, err
		}
	}
	return &logoutAnswer{SetCookie: cookie("", 0)}, nil
}

func (a *api) session(ctx context.Context, _ *none) (*answer[Session], error) {
	who, ok := caller(ctx)
	if !ok {
		return nil, people.ErrNoAccess
	}
	return body(sessionOf(who), nil)
}

func (a *api) listTokens(ctx context.Context, _ *none) (*answer[Tokens], error) {
	all, err := a.People.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	var out Tokens
	for _, t := range all {
		out.Tokens = append(out.Tokens, Token{ID: t.ID, User: t.User, Role: string(t.Role), CreatedAt: t.CreatedAt, ExpiresAt: t.ExpiresAt})
	}
	return body(out, nil)
}

func (a *api) createToken(ctx context.Context, in *struct{ Body TokenBody }) (*answer[NewToken], error) {
	who, _ := caller(ctx)
	t, text, err := a.People.CreateToken(ctx, who, spec.Role(in.Body.Role), time.Duration(in.Body.ExpiresInSeconds)*time.Second)
	if err != nil {
		return nil, err
	}
	return body(NewToken{ID: t.ID, Token: text}, nil)
}

func (a *api) deleteToken(ctx context.Context, in *struct {
	ID string `path:"id" maxLength:"100"`
}) (*none, error) {
	return nil, a.People.DeleteToken(ctx, in.ID)
}

func (a *api) listPeople(ctx context.Context, _ *none) (*answer[People], error) {
	all, err := a.People.People(ctx)
	if err != nil {
		return nil, err
	}
	var out People
	for _, u := range all {
		out.People = append(out.People, personOf(u))
	}
	return body(out, nil)
}

func personOf(u *spec.User) Person {
	return Person{Name: u.Name, Role: string(u.Role), CreatedAt: u.CreatedAt}
}

func (a *api) createPerson(ctx context.Context, in *struct{ Body PersonBody }) (*answer[Person], error) {
	u, err := a.People.CreatePerson(ctx, in.Body.Name, spec.Role(in.Body.Role), in.Body.Password)
	if err != nil {
		return nil, err
	}
	return body(personOf(u), nil)
}

func (a *api) deletePerson(ctx context.Context, in *struct {
	Name string `path:"name" maxLength:"200"`
}) (*none, error) {
	return nil, a.People.DeletePerson(ctx, in.Name)
}
