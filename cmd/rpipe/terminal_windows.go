package main

// terminalName is the console's input.
const terminalName = "CONIN$"

// hasTerminal reports false: consoles have no process groups.
func hasTerminal() bool { return false }
