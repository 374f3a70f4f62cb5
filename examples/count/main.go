// Command count runs a pipeline through the library: it counts the lines of its
// standard input that match, on two hosts, and tells failures apart.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"

	"rpipe/parser"
	"rpipe/pipeline"
	"rpipe/remote"
	"rpipe/remote/identity"
)

// script takes the pattern as its first parameter: it is never parsed again, on
// either side.
const script = `@a:grep -- "$1" | @b:wc -l`

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "count: %v\n", err)
		os.Exit(pipeline.ExitStatus(err))
	}
}

func run() error {
	home, err := os.UserHomeDir()
	if err != nil {
		return err
	}
	folder := flag.String("folder", filepath.Join(home, ".config", "rpipe"), "where identity and known_hosts are")
	a := flag.String("a", "", "address of host a")
	b := flag.String("b", "", "address of host b")
	flag.Parse()

	key, err := identity.LoadKey(filepath.Join(*folder, "identity"), nil)
	if err != nil {
		return err
	}
	defer key.Close()
	hosts, err := identity.LoadKnownHosts(filepath.Join(*folder, "known_hosts"))
	if err != nil {
		return err
	}
	addresses := map[string]string{"a": *a, "b": *b}
	dialer := &remote.Dialer{
		Key:   key,
		Hosts: hosts,
		Resolve: func(_ context.Context, host string) ([]string, error) {
			if address := addresses[host]; address != "" {
				return []string{address}, nil
			}
			return nil, nil
		},
	}
	defer dialer.Close()

	prog, err := parser.Parse("count", []byte(script))
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var out bytes.Buffer
	err = pipeline.Run(ctx, prog, pipeline.Options{
		Stdin:    os.Stdin,
		Stdout:   &out,
		Stderr:   os.Stderr,
		Params:   []string{flag.Arg(0)},
		Dialer:   dialer,
		Diagnose: func(*pipeline.StageError) {}, // what Run returns is told below
	})
	var lost *remote.LostError
	var stage *pipeline.StageError
	switch {
	case errors.As(err, &lost):
		return fmt.Errorf("no count: the stream was cut: %w", err)
	case errors.As(err, &stage) && stage.Host == "a" && stage.Status == 1:
		// grep found nothing, which is a count too
	case err != nil:
		return err
	}
	fmt.Println(strings.TrimSpace(out.String()))
	return nil
}
