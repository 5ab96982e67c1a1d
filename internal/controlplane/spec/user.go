package spec

import (
	"regexp"
	"time"
)

// Role is what a person or program may do with the service.
type Role string

// The roles, each of which may do what the ones below it may.
const (
	RoleAdmin    Role = "admin"    // users, tokens, create and delete
	RoleOperator Role = "operator" // change clusters that exist
	RoleViewer   Role = "viewer"   // look
)

// rank orders roles; an unknown role may do nothing.
func (r Role) rank() int {
	switch r {
	case RoleAdmin:
		return 3
	case RoleOperator:
		return 2
	case RoleViewer:
		return 1
	}
	return 0
}

// Valid says whether r is a role.
func (r Role) Valid() bool { return r.rank() > 0 }

// Allows says whether r may do what needs the role need.
func (r Role) Allows(need Role) bool { return need.Valid() && r.rank() >= need.rank() }

// User is a person who uses the service. Users of a Kafka cluster are the
// cluster's own.
type User struct {
	Name string `json:"name"`
	Role Role   `json:"role"`
	// PasswordHash is a salted hash that says its own method, never a password.
	PasswordHash string    `json:"passwordHash"`
	CreatedAt    time.Time `json:"createdAt"`
	Revision     int64     `json:"revision"`
}

var userPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

// Validate checks a user of the service.
func (u *User) Validate() error {
	var r refusals
	if !userPattern.MatchString(u.Name) {
		r.add("name", u.Name, "must be 1 to 64 letters, digits, dots, hyphens, underscores and @, beginning with a letter or digit")
	}
	if !u.Role.Valid() {
		r.add("role", u.Role, "must be admin, operator or viewer")
	}
	if u.PasswordHash == "" {
		r.add("passwordHash", "", "must be set: there are no users without a password")
	}
	return r.err()
}

// Token lets a program use the API. Only a hash of its secret is kept.
type Token struct {
	ID         string    `json:"id"`
	User       string    `json:"user"`
	Role       Role      `json:"role"`
	SecretHash string    `json:"secretHash"`
	CreatedAt  time.Time `json:"createdAt"`
	ExpiresAt  time.Time `json:"expiresAt,omitzero"` // zero: never
	Revision   int64     `json:"revision"`
}

// Expired says whether the token is past its time.
func (t *Token) Expired(now time.Time) bool { return !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) }

// Session is a browser that is logged in. ID is a hash of the cookie.
type Session struct {
	ID        string    `json:"id"`
	User      string    `json:"user"`
	CSRF      string    `json:"csrf"`
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt"`
	Revision  int64     `json:"revision"`
}

// Expired says whether the session is past its time.
func (s *Session) Expired(now time.Time) bool { return !now.Before(s.ExpiresAt) }

// SetupLink makes the first user, once. ID is a hash of its secret.
type SetupLink struct {
	ID        string    `json:"id"`
	CreatedAt time.Time `json:"createdAt"`
	ExpiresAt time.Time `json:"expiresAt"`
	// UsedAt is zero until it is used; a second use is refused.
	UsedAt   time.Time `json:"usedAt,omitzero"`
	Revision int64     `json:"revision"`
}

// Usable says whether the link can be used now.
func (s *SetupLink) Usable(now time.Time) bool { return s.UsedAt.IsZero() && now.Before(s.ExpiresAt) }
