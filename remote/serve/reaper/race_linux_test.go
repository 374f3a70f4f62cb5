//go:build race

package reaper_test

// raced says that everything takes its time: a process that has the race detector
// is slow to start.
const raced = true
