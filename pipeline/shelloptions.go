package pipeline

import "strings"

// options takes from the words of a "set" the options that this package keeps, -m and
// -E, and returns what is left for the interpreter.
func (st *shellState) options(args []string) []string {
	rest, ours := args[:1:1], false
	for i := 1; i < len(args); i++ {
		word := args[i]
		if len(word) < 2 || word[0] != '-' && word[0] != '+' || word == "--" {
			rest = append(rest, args[i:]...)
			break
		}
		on, letters := word[0] == '-', ""
		for _, o := range word[1:] {
			if option := st.option(string(o)); option != nil {
				st.put(option, on)
				ours = true
				continue
			}
			letters += string(o)
		}
		if strings.HasSuffix(letters, "o") && i+1 < len(args) {
			i++
			if option := st.option(args[i]); option != nil {
				st.put(option, on)
				ours = true
				letters = strings.TrimSuffix(letters, "o")
			} else {
				if letters != "" {
					rest = append(rest, word[:1]+letters, args[i])
				}
				continue
			}
		}
		if letters != "" {
			rest = append(rest, word[:1]+letters)
		}
	}
	switch {
	case !ours:
		return args
	case len(rest) == 1:
		return []string{":"} // "set" alone lists variables
	}
	return rest
}

// option returns where one of our options is kept, by its letter or its name, or nil.
func (st *shellState) option(name string) *bool {
	switch name {
	case "m", "monitor":
		return &st.monitor
	case "E", "errtrace":
		return &st.errtrace
	}
	return nil
}

func (st *shellState) put(option *bool, on bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	*option = on
}
