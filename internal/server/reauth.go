package server

import (
	"context"
	"errors"
	"time"
)

// takes reports whether a request is part of a login of somebody who is in (KIP-368), rather than one to be handled.
// Whoever has no bounded session, or was here a moment ago, gets the answer of the handler instead: that it is in.
func (s *session) takes(key int16, now time.Time) bool {
	switch {
	case key == keySaslHandshake:
		return s.talk != nil || !s.expires.IsZero() && now.Sub(s.began) >= reauthPause
	case key == keySaslAuthenticate:
		return s.talk != nil
	}
	return false
}

// expired tells why a request may not be handled, nil if it may: the session is over, or a login is under way.
func (s *session) expired(r *route, now time.Time) error {
	switch {
	case s.talk != nil:
		return bad("it sent %s while it was to show again who it is", r.name())
	case !s.expires.IsZero() && now.After(s.expires):
		if o := s.c.srv.observer; o != nil {
			o.SessionExpired(s.c.lis.Name)
		}
		return errors.New("its session has expired and it did not show again who it is (connections.max.reauth.ms)")
	}
	return nil
}

// again answers a request of a login on a connection that is in. It runs on the reader.
func (s *session) answerAgain(ctx context.Context, e *exchange) error {
	ctx, cancel := context.WithTimeout(ctx, s.c.srv.limits.Load().HandshakeTimeout)
	defer cancel()
	resp, err := s.request(ctx, e.req.Body)
	var refused *authError
	if errors.As(err, &refused) {
		s.again = true
		s.observe(refused.mechanism, refused)
		s.c.pauseAfterFailure()
	} else if err == nil && s.answered {
		s.observe(s.by, nil)
		s.answered = false
	}
	if resp == nil {
		e.req.Hangup(err.Error())
		return nil
	}
	e.req.Reply(resp)
	return err
}
