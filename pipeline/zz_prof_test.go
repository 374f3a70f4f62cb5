package pipeline_test

import (
	"context"
	"os"
	"rpipe/parser"
	"rpipe/pipeline"
	"testing"
)

func BenchmarkZZ(b *testing.B) {
	script, _ := os.ReadFile(os.Getenv("ZZ"))
	for b.Loop() {
		prog, err := parser.Parse("t", script)
		if err != nil {
			b.Fatal(err)
		}
		_ = pipeline.Run(context.Background(), prog, pipeline.Options{Stdout: nil, Stderr: os.Stderr})
	}
}
