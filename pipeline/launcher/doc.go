// Package launcher starts programs with what os/exec cannot give them: a umask, limits,
// ignored signals, closed standard streams. All of these belong to a process, and many
// shells run in one; so the program of this package's user is started once more, gives
// itself what is wanted, and becomes the wanted program by execve(2), which keeps all of
// it, and the process id.
//
// The user's main must call Main where Asked says so, before it does anything else.
package launcher
