package pipeline

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"mvdan.cc/sh/v3/interp"
)

// errNotStarted is the cause with which the stages of a pipeline end when a host
// has refused one of them.
var errNotStarted = errors.New("another stage was refused")

// A pipelineRun is a pipeline of two or more stages under way.
type pipelineRun struct {
	x       *execution
	plan    *plannedPipeline
	ctx     context.Context
	stages  []*stageRun
	barrier *barrier
	stdout  io.Writer // of the last stage
	kept    hold      // of stdout
}

// runPipeline runs a pipeline in the shell sh and returns its status in the way
// of an exec handler, with PIPESTATUS set.
func (x *execution) runPipeline(ctx context.Context, sh *shell, hc interp.HandlerContext, plan *plannedPipeline) error {
	p := &pipelineRun{x: x, plan: plan, ctx: ctx}
	if err := p.prepare(ctx, sh, hc); err != nil {
		fmt.Fprintf(x.stderr(), "rpipe: cannot make a pipe: %v\n", err)
		return failure(1)
	}
	defer p.kept.end()
	refused := p.start()
	for _, s := range p.stages {
		<-s.done
	}
	p.closeProbes()
	if refused {
		return p.refusal(ctx, sh, hc)
	}
	return p.verdict(ctx, sh, hc)
}

// prepare makes the shells and the pipes. On an error nothing is left open.
func (p *pipelineRun) prepare(ctx context.Context, sh *shell, hc interp.HandlerContext) error {
	stderr := veiled(hc)
	p.stdout = hc.Stdout
	early := 0
	for _, ps := range p.plan.stages {
		if ps.early() {
			early++
		}
	}
	p.barrier = newBarrier(early)
	in, input := hc.Stdin, (*os.File)(nil)
	for i, ps := range p.plan.stages {
		s := &stageRun{
			pipeline: p, plan: ps, parent: sh.stage, in: input,
			done: make(chan struct{}),
		}
		s.ctx, s.cancel = context.WithCancelCause(ctx)
		if ps.early() {
			s.ticket = &ticket{barrier: p.barrier}
			p.gather(i, s.ticket)
		}
		p.stages = append(p.stages, s)
		out, errOut := hc.Stdout, stderr
		if i < len(p.plan.stages)-1 {
			r, w, err := os.Pipe()
			if err != nil {
				for _, s := range p.stages {
					s.closeEnds()
					s.cancel(nil)
				}
				p.closeProbes()
				return err
			}
			s.out, s.outID, out, input = w, pipeOf(w), w, r
			s.readers.open(w)
			if ps.PipeAll {
				errOut = w
				if t, ok := stderr.(*descriptors); ok {
					errOut = t.with(w)
				}
			}
		}
		s.stdout = out
		s.shell = &shell{
			runner: sh.runner.Subshell(), stage: s, job: sh.job,
			state: p.x.newState(sh.state, true), custody: &custody{outer: sh.custody},
		}
		p.x.descend(s.shell.runner)
		if err := interp.StdIO(in, out, s.shell.inherits(&p.x.ownership, errOut))(s.shell.runner); err != nil {
			return err // not for files
		}
		in = input
	}
	return nil
}

// gather gives the stage at i its place in a gathering: a new one where no stage
// before it may be one chain with it.
func (p *pipelineRun) gather(i int, t *ticket) {
	for _, c := range p.plan.source.Chains {
		if c.First <= i && i <= c.Last {
			t.position = i - c.First
			if i == c.First {
				t.gathering = newGathering(1 + c.Last - c.First)
			} else {
				t.gathering = p.stages[i-1].ticket.gathering
			}
			return
		}
	}
	t.gathering = newGathering(1)
}

func (p *pipelineRun) closeProbes() {
	for _, s := range p.stages {
		s.readers.close()
	}
}

// start starts the stages in two phases: those that may need a host, and when
// all of them have been accepted, and then services been connected, the others. It
// returns true if a host has refused one; then no other stage has run, but for what
// a service does when it is connected and reset.
func (p *pipelineRun) start() (refused bool) {
	for _, s := range p.stages {
		s.begun = time.Now()
		if s.ticket != nil {
			go s.run()
		}
	}
	<-p.barrier.met
	if refused = p.isRefused(); !refused {
		p.barrier.turn.give()
		refused = p.isRefused()
	}
	if refused {
		for _, s := range p.stages {
			s.cancel(errNotStarted)
		}
	}
	p.barrier.decide(!refused)
	for _, s := range p.stages {
		switch {
		case s.ticket != nil:
		case refused:
			s.closeEnds()
			s.cancel(nil)
			close(s.done)
		default:
			go s.run()
		}
	}
	return refused
}

// isRefused reports whether a stage was refused, when the barrier is met.
func (p *pipelineRun) isRefused() bool {
	return slices.ContainsFunc(p.stages, func(s *stageRun) bool { return s.ticket.refusal() != nil })
}

// refusal is the end of a pipeline that was not started. Its status is that of
// the rightmost refusal; so is, in PIPESTATUS, that of the stages which were not
// refused, for none of them did its work.
func (p *pipelineRun) refusal(ctx context.Context, sh *shell, hc interp.HandlerContext) error {
	v := &verdict{}
	for _, s := range p.stages {
		if r := s.ticket.refusal(); r != nil {
			v.status = r.status
			v.stages = append(v.stages, r.stages...)
		}
	}
	p.x.miss(sh, hc, v)
	for _, e := range v.stages {
		p.x.diagnose(e)
	}
	statuses := make([]int, len(p.stages))
	for i, s := range p.stages {
		if !s.ran {
			if s.ticket.refusal() == nil {
				s.status = v.status
			}
			s.report()
		}
		statuses[i] = s.status
	}
	sh.setStatuses(ctx, hc, statuses...)
	return sh.failed(v)
}

// verdict is the end of a pipeline whose stages have run.
func (p *pipelineRun) verdict(ctx context.Context, sh *shell, hc interp.HandlerContext) error {
	statuses := make([]int, len(p.stages))
	for i, s := range p.stages {
		if v := p.x.hunter.lostBy(s); v != nil {
			s.lose(v) // it may have left in the background what was lost later
		}
		statuses[i] = s.status
	}
	on := decide(p.stages, true)
	if on >= 0 && on != decide(p.stages, false) && !option(ctx, hc, "pipefail") {
		on = -1
	}
	sh.setStatuses(ctx, hc, statuses...)
	if on < 0 {
		return nil
	}
	v := &verdict{status: p.stages[on].status, lost: p.stages[on].lost}
	if len(p.stages[on].errs) > 0 {
		for _, s := range p.stages {
			v.stages = append(v.stages, s.errs...)
		}
	}
	return sh.failed(v)
}
