// Package arith evaluates the arithmetic of bash: an expression goes in as text, with
// its expansions done, and comes out as a signed number of 64 bits that wraps around.
// Operators, precedence, constants and errors are those of the bash manual, "Shell
// Arithmetic": a name stands for its value, which is an expression in turn; constants
// are decimal, octal (0), hexadecimal (0x) or base#digits with bases from 2 to 64.
//
// Package arith knows no shell: it finds variables through Vars.
package arith
