//go:build race

package cmd_test

// raceFlag makes the commands under test be built as the tests are.
const raceFlag = "-race"
