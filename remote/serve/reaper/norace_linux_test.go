//go:build !race

package reaper_test

const raced = false
