package kafkaflag

import (
	"errors"
	"slices"
	"strconv"
	"strings"
)

// Parse reads args (without the tool's name) into the declared flags. A refusal is one of this package's errors,
// to be given to Report; so are --help and --version.
func (s *Set) Parse(args []string) error {
	for _, f := range slices.Concat(s.flags, s.positional) {
		f.present, f.values = false, nil
	}
	s.rest, s.chosen, s.occurred, s.given = nil, nil, nil, args
	if s.Dialect == Argparse {
		args, err := s.expand(args)
		if err != nil {
			return err
		}
		return s.parseArgparse(args)
	}
	if err := s.parseJopt(args); err != nil {
		return err
	}
	switch {
	case s.help.present, len(args) == 0 && !s.NoArguments: // Kafka takes an empty command line for a call for help
		return &HelpRequest{Set: s}
	case s.version.present:
		return &VersionRequest{}
	}
	if s.ValuesLater {
		return s.checkPresence()
	}
	return errors.Join(s.CheckValues(), s.checkPresence())
}

// checkPresence refuses a command line without a required flag. Few of Kafka's tools of this dialect declare any;
// most check later and in other words.
func (s *Set) checkPresence() error {
	var missing []*Flag
	for _, f := range s.flags {
		if f.Required && !f.present {
			missing = append(missing, f)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return &OptionError{Set: s, Class: "joptsimple.MissingRequiredOptionsException", Message: "Missing required option(s) " + Join(missing)}
}

func (s *Set) parseJopt(args []string) error {
	for i := 0; i < len(args); {
		arg := args[i]
		i++
		switch {
		case arg == "--":
			s.rest = append(s.rest, args[i:]...)
			return nil
		case strings.HasPrefix(arg, "--"), len(arg) > 1 && arg[0] == '-':
			used, err := s.joptOption(arg, args[i:])
			if err != nil {
				return err
			}
			i += used
		default:
			s.rest = append(s.rest, arg)
		}
	}
	return nil
}

// joptOption takes one flag and returns how many of the arguments behind it were its value.
func (s *Set) joptOption(arg string, following []string) (used int, err error) {
	name, value, hasValue := strings.Cut(strings.TrimLeft(arg[:2], "-")+arg[2:], "=")
	f := s.byName[name]
	if f == nil {
		return 0, s.unrecognized(arg, name)
	}
	f.present = true
	s.occurred = append(s.occurred, f)
	if f.removed != "" {
		return 0, &RemovedError{Set: s, Flag: name, Advice: f.removed}
	}
	switch {
	case f.Kind == None:
	case hasValue:
		f.values = append(f.values, value)
	case len(following) == 0 && !f.optionalArg:
		return 0, &OptionError{Set: s, Class: "joptsimple.OptionMissingRequiredArgumentException",
			Message: "Option " + f.joptName() + " requires an argument"}
	case len(following) == 0, f.optionalArg && looksLikeFlag(following[0]) && !(f.Kind > Text && f.Kind.accepts(following[0])):
	default:
		f.values = append(f.values, following[0])
		return 1, nil
	}
	return 0, nil
}

// joptName is the flag as the messages about its value name it.
func (f *Flag) joptName() string {
	if len(f.Aliases) == 0 {
		return f.Name
	}
	return f.String()
}

func (s *Set) unrecognized(arg, name string) error {
	if !strings.HasPrefix(arg, "--") && len(name) > 1 {
		name = name[:1] // one dash, unknown word: read as a cluster of one-letter flags, of which there are none
	}
	return &OptionError{Set: s, Class: "joptsimple.UnrecognizedOptionException", Message: name + " is not a recognized option"}
}

func looksLikeFlag(arg string) bool { return len(arg) > 1 && arg[0] == '-' }

// CheckValues refuses values that are no numbers where they must be, and repetitions of flags with one value.
func (s *Set) CheckValues() error {
	for _, f := range s.flags {
		if len(f.values) > 1 && !f.repeatable {
			return &OptionError{Set: s, Class: "joptsimple.MultipleArgumentsForOptionException",
				Message: "Found multiple arguments for option " + f.joptName() + ", but you asked for only one"}
		}
		for _, v := range f.values {
			if !f.Kind.accepts(v) {
				return &OptionError{Set: s, Class: "joptsimple.OptionArgumentConversionException",
					Message: "Cannot parse argument '" + v + "' of option " + f.joptName()}
			}
		}
	}
	return nil
}

func (k Kind) accepts(v string) (ok bool) {
	var err error
	switch k {
	case Int:
		_, err = strconv.ParseInt(v, 10, 32)
	case Long:
		_, err = strconv.ParseInt(v, 10, 64)
	case Float:
		_, err = strconv.ParseFloat(v, 64)
	}
	return err == nil
}
