// Package words makes strings of the words of a syntax tree, as bash does: all of what
// stands in the bash manual under "Shell Expansions", but for the running of commands,
// which a Shell is given. A word comes out as fields, as a single string, as a pattern, or
// as a number.
//
// An *Error tells how far bash would go on: each has a Reach.
package words
