// Package pollfd waits for files to be ready, with a way out. The descriptors
// that a shell hands around are often blocking ones, whose read can be ended by
// no deadline and no Close.
//
// Where the Go runtime polls a file, as it does the pipes that os.Pipe makes, a
// wait here parks a goroutine. For others it is a poll(2), which takes a thread
// and can be ended, and takes no byte.
//
// A [Waker] stays the caller's to Close, and so do the files: whoever closes a
// file must first Wake the Waker and wait for the goroutine that uses it.
package pollfd
