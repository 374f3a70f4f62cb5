package pipeline

import (
	"fmt"
	"io"
)

// stageDone calls the hook of that name.
func (x *execution) stageDone(r StageReport) {
	if x.opts.StageDone == nil {
		return
	}
	x.telling.Lock()
	defer x.telling.Unlock()
	x.opts.StageDone(r)
}

// diagnose tells the user of a failure.
func (x *execution) diagnose(e *StageError) {
	x.telling.Lock()
	defer x.telling.Unlock()
	if x.opts.Diagnose != nil {
		x.opts.Diagnose(e)
		return
	}
	fmt.Fprintf(x.io.stderr, "rpipe: %v\n", e)
	if hint := e.Hint(); hint != "" {
		fmt.Fprintf(x.io.stderr, "rpipe: hint: %s\n", hint)
	}
}

// stderr is where messages go that belong to no stage.
func (x *execution) stderr() io.Writer { return x.io.stderr }

// report returns the report of a stage without its end. s may be nil.
func (s *plannedStage) report() StageReport {
	if s == nil {
		return StageReport{}
	}
	return StageReport{
		Pipeline: s.pipeline, Stage: s.Number, Text: s.String(),
		Line: s.Line(), Column: s.Column(),
	}
}

// failure returns the error of a stage.
func (s *plannedStage) failure(status int, err error) *StageError {
	return &StageError{
		Pipeline: s.pipeline, Stage: s.Number, Line: s.Line(), Column: s.Column(),
		Host: s.Address.Host, Program: s.Address.Program, Status: status, Err: err,
	}
}
