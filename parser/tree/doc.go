// Package tree walks the syntax trees of mvdan.cc/sh/v3/syntax. A script is walked many
// times before it runs.
package tree
