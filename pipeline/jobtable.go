package pipeline

import (
	"sync"
)

// A jobTable knows the jobs of all shells of a script that run, by their process ids.
type jobTable struct {
	mu  sync.Mutex
	all map[int]*job
}

func (t *jobTable) add(j *job) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil {
		t.all = make(map[int]*job)
	}
	t.all[j.id()] = j
}

func (t *jobTable) remove(j *job) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all[j.id()] == j {
		delete(t.all, j.id())
	}
}

// find returns the job of a process id, or nil.
func (t *jobTable) find(pid int) *job {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.all[pid]
}

// each calls f for all jobs.
func (t *jobTable) each(f func(*job)) {
	t.mu.Lock()
	all := make([]*job, 0, len(t.all))
	for _, j := range t.all {
		all = append(all, j)
	}
	t.mu.Unlock()
	for _, j := range all {
		f(j)
	}
}
