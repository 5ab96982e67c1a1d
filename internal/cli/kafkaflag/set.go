// Package kafkaflag reads command lines as Kafka's tools read them: long flags with "=" or a blank, one dash
// instead of two, optional and repeated values, mutually exclusive flags, and the words in which Kafka's tools
// refuse a command line, with its exit codes. Two dialects exist among Kafka's tools and here: Jopt (most of
// them) and Argparse (those with subcommands or with lists such as --producer-props a=b c=d).
//
// A Set also becomes a cobra command, which brings shell completion. The package knows no tool, connects to
// nothing and never ends the process: a refusal is an error, and Report turns it into output and an exit code.
package kafkaflag

import (
	"strconv"
	"strings"
)

// KafkaVersion is the release of Apache Kafka whose tools these are; it is what --version prints.
const KafkaVersion = "4.3.1"

// Dialect says which of the two command-line grammars of Kafka's tools a Set follows.
type Dialect int

// The dialects.
const (
	Jopt     Dialect = iota // kafka-topics and most others: usage on standard error, exit 1 even for --help
	Argparse                // kafka-cluster, kafka-storage, kafka-producer-perf-test …: subcommands, "prog: error: …"
)

// Kind is the type of a flag's value.
type Kind int

// The kinds of value. None marks a flag that takes no value.
const (
	None Kind = iota
	Text
	Int  // 32 bits
	Long // 64 bits
	Float
)

// Flag is one flag of a tool. Its fields are read-only once the Set parses; its values belong to the Set's last Parse.
// A Flag is owned by one goroutine.
type Flag struct {
	Name     string   // long name without dashes
	Aliases  []string // other long names
	Short    byte     // one-letter name (Argparse only), 0 for none
	Kind     Kind
	ArgName  string // what usage calls the value
	Usage    string
	Required bool // Argparse refuses a command line without it; Jopt tools use Set.CheckRequired
	Choices  []string
	Default  string

	optionalArg bool
	repeatable  bool
	many        bool
	positional  bool
	removed     string
	group       int
	present     bool
	values      []string
}

// Option changes a Flag at its declaration.
type Option func(*Flag)

// Default gives the value of a flag that is not on the command line.
func Default(v string) Option { return func(f *Flag) { f.Default = v } }

// Required makes Argparse sets refuse a command line without the flag.
func Required() Option { return func(f *Flag) { f.Required = true } }

// Repeatable allows a flag several times; Values has them all.
func Repeatable() Option { return func(f *Flag) { f.repeatable = true } }

// OptionalArg allows a flag with or without its value (--state, --state Empty).
func OptionalArg() Option { return func(f *Flag) { f.optionalArg = true } }

// Many lets one flag take all values up to the next flag (--producer-props a=b c=d).
func Many() Option { return func(f *Flag) { f.many, f.repeatable = true, true } }

// Alias adds other long names.
func Alias(names ...string) Option { return func(f *Flag) { f.Aliases = append(f.Aliases, names...) } }

// Short adds a one-letter name.
func Short(c byte) Option { return func(f *Flag) { f.Short = c } }

// Choices restricts the value to a list.
func Choices(vs ...string) Option { return func(f *Flag) { f.Choices = vs } }

// Set is the flags of one tool (or of one subcommand). Declare flags, Parse, then read the flags.
type Set struct {
	Name    string // the tool's name, as usage prints it
	Purpose string // one sentence for the top of the usage
	Dialect Dialect
	// OptionErrors says what is printed when the command line itself cannot be read (Jopt only).
	OptionErrors OptionErrorStyle
	// ValuesLater leaves checking numbers and repetitions to CheckValues, for tools that find out only while they run.
	ValuesLater bool
	// OptionErrorPrefix stands before the message of such an error.
	OptionErrorPrefix string
	// NoArguments marks a tool that does its work without any; else an empty command line is a call for help (Jopt only).
	NoArguments bool
	// FromFile takes an argument @FILE for the lines of the file, each an argument (Argparse only). Passwords stay out of
	// the list of processes that way.
	FromFile bool

	flags      []*Flag
	byName     map[string]*Flag
	byShort    map[byte]*Flag
	positional []*Flag
	exclusive  []exclusiveGroup
	subs       []*Set
	chosen     *Set
	rest       []string
	occurred   []*Flag
	given      []string
	help       *Flag
	version    *Flag
}

type exclusiveGroup struct {
	flags    []*Flag
	required bool
}

// New returns an empty Set. Jopt sets know --help and --version, Argparse sets --help and -h.
func New(name, purpose string, d Dialect) *Set {
	s := &Set{Name: name, Purpose: purpose, Dialect: d, byName: map[string]*Flag{}, byShort: map[byte]*Flag{}}
	if d == Jopt {
		s.help = s.Switch("help", "Print usage information.")
		s.version = s.Switch("version", "Print the version of Kafka's tools that this one follows.")
	} else {
		s.help = s.Switch("help", "show this help message and exit", Short('h'))
	}
	return s
}

// Switch declares a flag without a value.
func (s *Set) Switch(name, usage string, opts ...Option) *Flag {
	return s.add(&Flag{Name: name, Usage: usage}, opts)
}

// String declares a flag with a text value. argName is what usage calls the value ("" for none).
func (s *Set) String(name, argName, usage string, opts ...Option) *Flag {
	return s.add(&Flag{Name: name, Kind: Text, ArgName: argName, Usage: usage}, opts)
}

// Int declares a flag with a 32-bit integer value.
func (s *Set) Int(name, argName, usage string, opts ...Option) *Flag {
	return s.add(&Flag{Name: name, Kind: Int, ArgName: argName, Usage: usage}, opts)
}

// Long declares a flag with a 64-bit integer value.
func (s *Set) Long(name, argName, usage string, opts ...Option) *Flag {
	return s.add(&Flag{Name: name, Kind: Long, ArgName: argName, Usage: usage}, opts)
}

// Float declares a flag with a floating point value.
func (s *Set) Float(name, argName, usage string, opts ...Option) *Flag {
	return s.add(&Flag{Name: name, Kind: Float, ArgName: argName, Usage: usage}, opts)
}

// Positional declares a positional argument, filled in order (Argparse only).
func (s *Set) Positional(name, usage string, opts ...Option) *Flag {
	f := &Flag{Name: name, Kind: Text, ArgName: name, Usage: usage, positional: true}
	for _, o := range opts {
		o(f)
	}
	s.positional = append(s.positional, f)
	return f
}

// Removed declares a flag that a former Kafka had. Using it is refused with advice, which should name the flag
// that took its place.
func (s *Set) Removed(name, advice string) {
	s.add(&Flag{Name: name, Kind: Text, removed: advice}, []Option{Repeatable(), OptionalArg()})
}

// Exclusive makes flags mutually exclusive; with required, exactly one must be there (Argparse only).
func (s *Set) Exclusive(required bool, flags ...*Flag) {
	s.exclusive = append(s.exclusive, exclusiveGroup{flags, required})
	for _, f := range flags {
		f.group = len(s.exclusive)
	}
}

// Sub adds a subcommand and returns its Set (Argparse only).
func (s *Set) Sub(name, purpose string) *Set {
	sub := New(s.Name+" "+name, purpose, Argparse)
	s.subs = append(s.subs, sub)
	return sub
}

// SubName is the word that selects a subcommand's Set.
func (s *Set) SubName() string { return s.Name[strings.LastIndexByte(s.Name, ' ')+1:] }

// Chosen is the subcommand's Set that the last Parse selected, nil if there is none.
func (s *Set) Chosen() *Set { return s.chosen }

// Given is the command line of the last Parse.
func (s *Set) Given() []string { return s.given }

// Occurred are the flags of the command line in its order, as often as they are there (Jopt only).
func (s *Set) Occurred() []*Flag { return s.occurred }

// Args are the arguments that belong to no flag.
func (s *Set) Args() []string { return s.rest }

func (s *Set) add(f *Flag, opts []Option) *Flag {
	for _, o := range opts {
		o(f)
	}
	s.flags = append(s.flags, f)
	s.byName[f.Name] = f
	for _, a := range f.Aliases {
		s.byName[a] = f
	}
	if f.Short != 0 {
		s.byShort[f.Short] = f
	}
	return f
}

// Present tells whether the flag was on the command line.
func (f *Flag) Present() bool { return f.present }

// Values are all values given, or the default.
func (f *Flag) Values() []string {
	if len(f.values) == 0 && f.Default != "" {
		return []string{f.Default}
	}
	return f.values
}

// Value is the (last) value given, or the default, or "".
func (f *Flag) Value() string {
	if n := len(f.values); n > 0 {
		return f.values[n-1]
	}
	return f.Default
}

// HasValue tells whether the flag was given with a value of its own.
func (f *Flag) HasValue() bool { return len(f.values) > 0 }

// Int64 is Value as a number; Parse has checked it. 0 if there is neither value nor default.
func (f *Flag) Int64() int64 {
	n, _ := strconv.ParseInt(f.Value(), 10, 64)
	return n
}

// Float64 is Value as a number; Parse has checked it.
func (f *Flag) Float64() float64 {
	n, _ := strconv.ParseFloat(f.Value(), 64)
	return n
}

// String is the flag as Kafka's messages name it: "[topic]".
func (f *Flag) String() string {
	return "[" + strings.Join(append([]string{f.Name}, f.Aliases...), ", ") + "]"
}
