// Package parser turns the text of a script into a [Program]: the syntax tree
// as mvdan.cc/sh/v3/syntax reads it (the Bash variant), and over it every
// pipeline with its stages, the addresses of the remote ones, and the chains
// that may run without the client between them. Nothing is expanded, run,
// opened or looked up; what comes out is data with positions.
//
// # Remote stages
//
// A stage is remote when it is a simple command whose name begins with "@"
// once quotes are removed: @a:grep, '@a:grep' and \@a:grep are the same, and
// ./@a is a local file. Its name is its first word; assignments may stand
// before it. [ParseAddress] holds the grammar of addresses.
//
// A name that holds expansions is judged by what is written. @$HOST:grep is
// [Remote] with a zero [Address]; its literal parts are checked here, the whole
// when it has been expanded, with ParseAddress and [Address.CheckArgs]. $CMD,
// or a pattern, says nothing before it is expanded: [Dynamic].
//
// An address that stands behind another command is an argument here:
// "env @a:x", "command @a:x", "exec @a:x" and "xargs @a:x" are [Local] stages.
// Whether their word is one for us is decided by whoever runs them, as for
// aliases, eval and source. A function must not be named like an address: the
// calls to it would be remote stages, so its definition is an error.
//
// # Pipelines
//
// A chain of | and |& is one [Pipeline], wherever it stands: in loops,
// functions, substitutions, here-documents, arithmetic. A simple command that
// is in no such chain is a pipeline of one stage; any other command (a loop, a
// group, a declaration, a test) only is a stage when it is part of a chain, and
// the pipelines inside it are listed by themselves. "!", "time" and "&" belong
// to the statement around.
//
// # Chains
//
// Neighbouring stages may fuse when both are [Remote], | is between them, and
// neither has a redirection that reaches into the hop:
//
//   - The standard error of a fused call is one stream, so a redirection of
//     anything but standard input and output keeps its stage apart, on both sides.
//   - A redirection of standard output cuts behind its stage. On the last stage
//     of a chain it is the output of the whole.
//   - A redirection of standard input cuts in front of its stage. On the first
//     stage of a chain a here-document or here-string is the input of the
//     whole. An input file cuts behind the stage as well: when it cannot be
//     opened only that stage fails, and the ones after it run on empty input.
//   - What closes or duplicates descriptors keeps its stage apart.
//
// [Pipeline.Redirs] gives what remains to be applied to the fused call.
//
// # What is refused
//
// Constructs of bash that cannot be run as bash runs them are errors like those of
// syntax, with a way round: [Unsupported] lists them. A script may hold one that
// it does not run, in a branch for another shell: where the text does not say that it
// surely is reached, its statement is in [Program.Refused], and is refused, with status
// 2, when it is reached.
//
// # Errors and limits
//
// The error of [Parse] is an [ErrorList]. The first error of syntax is the only
// one; else all bad addresses come together. Each has name, line and column
// (counted in bytes, from 1), the line of the source, and a caret. What is
// shown of a script has its control characters made visible.
//
// Input cannot make Parse panic or exhaust the stack: nesting is bounded, both
// while the recursive parser reads and in the tree that it gives. Bytes that
// are not UTF-8 are kept as they are, and so is the position of everything.
//
// All functions may be used concurrently. A Program is not changed by this
// package after Parse; who rewrites the tree of one owns it.
package parser
