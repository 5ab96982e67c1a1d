// Package tidy holds the house rules that a machine can check: the order of
// rooms, package comments, growth of the largest files, words and calls that
// are not wanted. It is only tests and the tables they read; it judges no
// behaviour, and formatting and bug patterns are left to golangci-lint.
package tidy
