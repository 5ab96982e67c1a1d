package server

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-stream/weir/internal/security/sasl"
	"github.com/weir-stream/weir/internal/wire"
)

const (
	keySaslHandshake    int16 = 17
	keySaslAuthenticate int16 = 36

	// loginFrames is how many requests a login may take; the longest real one takes five.
	loginFrames = 16
	// smallLogin is the size up to which a frame of a login is taken from anybody at once; larger ones wait for one of
	// largeLogins slots, so that many peers who claim much cost little.
	smallLogin  = 16 << 10
	largeLogins = 32
	// reauthPause is how long a client must wait before it proves itself again, as in Kafka.
	reauthPause = time.Second
)

// session is the SASL side of a connection: the login under way and the one that counts. It belongs to the
// connection's reader.
type session struct {
	c         *conn
	auth      *sasl.Authenticator
	mechanism string
	talk      sasl.Conversation // nil: no login is under way
	began     time.Time

	raw      bool // what comes are bare messages of the mechanism (SaslHandshake version 0)
	let      bool // in
	again    bool // the login under way is one of somebody who is in
	name     string
	by       string    // the mechanism that counts
	expires  time.Time // zero: never
	answered bool      // the last answer ended a login
}

// authError ends a connection whose peer could not show who it is.
type authError struct {
	mechanism string
	err       error
}

func (e *authError) Error() string { return "authentication failed: " + e.err.Error() }
func (e *authError) Unwrap() error { return e.err }

// login runs SASL on a connection until the client is in. Nothing but ApiVersions, SaslHandshake and
// SaslAuthenticate is read, in small frames, within the time that handshakes have.
func (c *conn) login(ctx context.Context, end time.Time) error {
	if c.lis.SASL == nil {
		return nil
	}
	s := &session{c: c}
	c.session = s
	if err := c.nc.SetDeadline(end); err != nil {
		return err
	}
	for range loginFrames {
		frame, err := c.loginFrame()
		if err != nil {
			return err
		}
		answer, err := s.frame(ctx, frame)
		var refused *authError
		if errors.As(err, &refused) {
			s.observe(refused.mechanism, refused)
			c.pauseAfterFailure()
			if answer != nil {
				_ = c.nc.SetDeadline(time.Now().Add(loginAnswerTime)) // the connection ends all the same
			}
		}
		if answer != nil {
			if _, werr := c.nc.Write(answer); err == nil {
				err = werr
			}
		}
		if err != nil {
			return err
		}
		if s.let {
			s.observe(s.by, nil)
			return c.nc.SetDeadline(time.Time{})
		}
	}
	return bad("it did not finish its authentication in %d requests", loginFrames)
}

// loginAnswerTime is how long the last answer to a refused client may take.
const loginAnswerTime = 5 * time.Second

// pauseAfterFailure makes guessing slow: the answer to a wrong password comes late.
func (c *conn) pauseAfterFailure() {
	t := time.NewTimer(c.srv.limits.Load().FailedLoginDelay)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.srv.stopping:
	}
}

// observe tells of the end of a login: of its failure, if there is an error.
func (s *session) observe(mechanism string, failure error) {
	o := s.c.srv.observer
	if o == nil {
		return
	}
	l := Login{Listener: s.c.lis.Name, Mechanism: mechanism, Remote: s.c.info.Remote, Principal: s.c.info.Principal, OK: failure == nil, Again: s.again, Err: failure}
	if failure != nil && !s.let {
		l.Principal = ""
		if t, ok := s.talk.(interface{ Claimed() string }); ok && t.Claimed() != "" {
			l.Principal = "User:" + t.Claimed()
		}
	}
	o.Authenticated(&l)
}

// loginFrame reads one frame of a login without its length. Its buffer grows as bytes come.
func (c *conn) loginFrame() ([]byte, error) {
	var head [4]byte
	if n, err := io.ReadFull(c.nc, head[:]); err != nil {
		if n == 0 && err == io.EOF {
			return nil, io.EOF
		}
		return nil, c.explainLogin(err)
	}
	size, limit := int(int32(binary.BigEndian.Uint32(head[:]))), c.srv.limits.Load().LoginBytes
	switch {
	case c.session.raw && size >= 0 && size <= limit:
	case size < wire.MinRequestBytes || size > limit:
		return nil, bad("it sent a request length of %d before it was authenticated, allowed are %d to %d (sasl.server.max.receive.size)%s",
			size, wire.MinRequestBytes, limit, guess(head[:]))
	}
	if size > smallLogin {
		select {
		case c.srv.logins <- struct{}{}:
			defer func() { <-c.srv.logins }()
		default:
			return nil, bad("too many peers send large requests before they are authenticated")
		}
	}
	frame := make([]byte, min(size, smallLogin/4))
	for have := 0; have < size; {
		if have == len(frame) {
			frame = slices.Concat(frame, make([]byte, min(len(frame), size-have)))
		}
		n, err := c.nc.Read(frame[have:])
		if have += n; err != nil && have < size {
			return nil, c.explainLogin(err)
		}
	}
	return frame, nil
}

func (c *conn) explainLogin(err error) error {
	select {
	case <-c.srv.stopping:
		return errStopping
	default:
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return bad("it ended in the middle of a request")
	}
	return err
}

// frame answers one frame of a login. With an error the connection ends after the answer, if there is one.
func (s *session) frame(ctx context.Context, frame []byte) ([]byte, error) {
	if s.raw {
		challenge, err := s.step(ctx, frame)
		if err != nil {
			return nil, err // the bare form has no errors
		}
		return append(binary.BigEndian.AppendUint32(nil, uint32(len(challenge))), challenge...), nil
	}
	h, err := wire.ParseHeader(frame)
	if err != nil {
		return nil, badRequest{err}
	}
	r := s.route(h.Key)
	if r == nil {
		return nil, bad("it sent a request with the API key %d%s before it was authenticated; allowed are ApiVersions, SaslHandshake and SaslAuthenticate",
			h.Key, named(h.Key))
	}
	if h.Version < r.MinVersion || h.Version > r.MaxVersion {
		if h.Key != wire.KeyApiVersions {
			return nil, bad("it sent a %s request of version %d, served are %d to %d", wire.APIName(h.Key), h.Version, r.MinVersion, r.MaxVersion)
		}
		return encodeAnswer(h, 0, wire.ApiVersionsUnsupported(r.MinVersion, r.MaxVersion)), nil
	}
	body, err := wire.DecodeBody(h.Key, h.Version, h.Body, loginDecodeBytes)
	if err != nil {
		return nil, badRequest{err}
	}
	if h.Key == wire.KeyApiVersions {
		return encodeAnswer(h, h.Version, s.versions(r, h, body)), nil
	}
	resp, err := s.request(ctx, body)
	if resp == nil {
		return nil, err
	}
	return encodeAnswer(h, h.Version, resp), err
}

// loginDecodeBytes bounds what decoding a request of a login may allocate.
const loginDecodeBytes = 2 << 20

func named(key int16) string {
	if n := wire.APIName(key); n != "" {
		return " (" + n + ")"
	}
	return ""
}

func (s *session) route(key int16) *route {
	if key != wire.KeyApiVersions && key != keySaslHandshake && key != keySaslAuthenticate || int(key) >= len(s.c.lis.routes) {
		return nil
	}
	return s.c.lis.routes[key]
}

// versions asks the listener's own handler, which answers before it returns.
func (s *session) versions(r *route, h wire.Header, body kmsg.Request) kmsg.Response {
	var answer kmsg.Response
	q := &wire.Request{Key: h.Key, Version: h.Version, CorrelationID: h.CorrelationID, ClientID: string(h.ClientID), Conn: &s.c.info, Body: body,
		Received: time.Now(), Done: s.c.done, ReplyFunc: func(_ *wire.Request, resp wire.Response) { answer, _ = resp.(kmsg.Response) }}
	s.c.noteSoftware(q)
	r.Handle(q)
	return answer
}

func encodeAnswer(h wire.Header, version int16, resp kmsg.Response) []byte {
	resp.SetVersion(version)
	out := wire.AppendResponseHeader(make([]byte, 4, 256), h.Key, version, h.CorrelationID)
	out = resp.AppendTo(out)
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	return out
}

// request answers SaslHandshake and SaslAuthenticate.
func (s *session) request(ctx context.Context, body kmsg.Request) (kmsg.Response, error) {
	switch req := body.(type) {
	case *kmsg.SASLHandshakeRequest:
		return s.handshake(req)
	case *kmsg.SASLAuthenticateRequest:
		return s.authenticate(ctx, req)
	}
	return nil, bad("it sent %s where a login is under way", wire.APIName(body.Key()))
}

// handshake chooses the mechanism.
func (s *session) handshake(req *kmsg.SASLHandshakeRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.SASLHandshakeResponse)
	if s.talk != nil {
		return nil, bad("it sent a second SaslHandshake")
	}
	s.auth = s.c.lis.SASL()
	resp.SupportedMechanisms = s.auth.Mechanisms()
	talk, ok := s.auth.Begin(req.Mechanism)
	switch {
	case !ok:
		resp.ErrorCode = int16(wire.UnsupportedSaslMechanism)
		return resp, &authError{"", fmt.Errorf("the SASL mechanism %.40q is not offered (sasl.enabled.mechanisms)", req.Mechanism)}
	case s.let && req.Mechanism != s.by:
		resp.ErrorCode = int16(wire.IllegalSaslState)
		return resp, &authError{s.by, fmt.Errorf("it may not change from %s to %s while it is in", s.by, req.Mechanism)}
	case s.let && req.Version == 0:
		return nil, bad("it sent SaslHandshake of version 0 to be authenticated again")
	}
	s.talk, s.mechanism, s.began, s.again = talk, req.Mechanism, time.Now(), s.let
	s.raw = req.Version == 0
	return resp, nil
}

// authenticate carries a message of the mechanism.
func (s *session) authenticate(ctx context.Context, req *kmsg.SASLAuthenticateRequest) (kmsg.Response, error) {
	resp := req.ResponseKind().(*kmsg.SASLAuthenticateResponse)
	if s.talk == nil {
		return nil, bad("it sent SaslAuthenticate before SaslHandshake")
	}
	challenge, err := s.step(ctx, req.SASLAuthBytes)
	if err != nil {
		text := s.told(err)
		resp.ErrorCode, resp.ErrorMessage, resp.SASLAuthBytes = int16(wire.SaslAuthenticationFailed), &text, []byte{}
		return resp, err
	}
	resp.SASLAuthBytes = challenge
	if challenge == nil {
		resp.SASLAuthBytes = []byte{}
	}
	if s.answered && !s.expires.IsZero() {
		resp.SessionLifetimeMillis = time.Until(s.expires).Milliseconds()
	}
	return resp, nil
}

// told is what a client gets to read of a failure.
func (s *session) told(err error) string {
	var f *sasl.Failure
	if errors.As(err, &f) && f.Text != "" {
		return f.Text
	}
	return sasl.Invalid(s.mechanism, s.again)
}

// step hands the client's message to the conversation, and lets the client in when that succeeds.
func (s *session) step(ctx context.Context, message []byte) ([]byte, error) {
	s.answered = false
	challenge, err := s.talk.Step(ctx, message)
	if err != nil {
		return nil, &authError{s.mechanism, err}
	}
	id, ok := s.talk.Identity()
	if !ok {
		return challenge, nil
	}
	if s.again && (id.Name != s.name || id.ByToken != s.c.info.TokenAuthenticated) {
		return nil, &authError{s.mechanism, &sasl.Failure{Text: fmt.Sprintf("Cannot change principals during re-authentication from User:%s: User:%s", s.name, id.Name)}}
	}
	now := time.Now()
	s.expires = time.Time{}
	if left, bounded := s.auth.Lifetime(s.mechanism, id, now); bounded {
		s.expires = now.Add(left)
	}
	if !s.let {
		s.c.info.Principal, s.c.info.TokenAuthenticated = "User:"+id.Name, id.ByToken
	}
	s.let, s.name, s.by, s.talk, s.raw, s.answered = true, id.Name, s.mechanism, nil, false, true
	return challenge, nil
}
