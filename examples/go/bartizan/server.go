package bartizan

/*
#include "bartizan.h"

// It neither calls back into Go nor keeps what it is lent, so that its arguments need not move to the heap.
#cgo nocallback bartizan_queue_next
#cgo noescape bartizan_queue_next
*/
import "C"

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"syscall"
	"unsafe"
)

// batch is how many events one call takes: a burst costs one crossing into C.
const batch = 64

// Server is a running server. Any goroutine.
type Server struct {
	at    *C.bartizan_server
	queue *C.bartizan_queue

	mu       sync.Mutex
	requests map[C.bartizan_request]*Request
	handlers sync.WaitGroup
}

// Start binds the listeners; requests wait until Serve takes them. Once for a configuration.
func (c *Config) Start() (*Server, error) {
	defer runtime.KeepAlive(c)
	var why *C.bartizan_error
	s := &Server{requests: map[C.bartizan_request]*Request{}}
	if status := C.bartizan_abi_check(C.BARTIZAN_ABI); status != C.BARTIZAN_OK {
		return nil, Status(status)
	}
	if err := failure(C.bartizan_queue_new(&s.queue, &why), why); err != nil {
		return nil, err
	}
	err := failure(C.bartizan_config_queue(c.at, s.queue, 0, &why), why)
	if err == nil {
		err = failure(C.bartizan_server_start(c.at, &s.at, &why), why)
	}
	// Freed with the last reference, not with the end: Metrics and Shutdown are harmless behind it.
	runtime.AddCleanup(s, func(at *C.bartizan_server) { C.bartizan_server_free(at) }, s.at)
	runtime.AddCleanup(s, func(queue *C.bartizan_queue) { C.bartizan_queue_free(queue) }, s.queue)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Address is that of the listener with this number, with the port that the system chose.
func (s *Server) Address(listener int) string {
	defer runtime.KeepAlive(s)
	return reply(func(buffer *C.char, room C.size_t, length *C.size_t) C.bartizan_status {
		return C.bartizan_server_address(s.at, C.uint32_t(listener), buffer, room, length)
	})
}

// Metrics is the OpenMetrics text.
func (s *Server) Metrics() string {
	defer runtime.KeepAlive(s)
	return reply(func(buffer *C.char, room C.size_t, length *C.size_t) C.bartizan_status {
		return C.bartizan_server_metrics_text(s.at, buffer, room, length)
	})
}

// reply asks again with more room while there is too little; "" after any other failure.
func reply(ask func(*C.char, C.size_t, *C.size_t) C.bartizan_status) string {
	for room := C.size_t(1024); ; {
		var length C.size_t
		buffer := make([]byte, room)
		switch ask((*C.char)(unsafe.Pointer(&buffer[0])), room, &length) {
		case C.BARTIZAN_OK:
			return string(buffer[:length])
		case C.BARTIZAN_E_LIMIT:
			room = length + length/4 + 1
		default:
			return ""
		}
	}
}

// Shutdown accepts nothing new and lets what is under way complete, for the time of the setting drain_timeout.
func (s *Server) Shutdown() {
	C.bartizan_server_shutdown(s.at, -1)
	runtime.KeepAlive(s)
}

// Serve hands each request to `handle`, in a goroutine of its own, until the server has been shut down and drained; it may be
// called once. A handler that panics, or returns without an answer, is a 500.
//
// It waits in the runtime's poller, not in a thread: the queue's descriptor is readable while events wait.
func (s *Server) Serve(handle func(*Request)) error {
	copied, err := syscall.Dup(int(C.bartizan_queue_fd(s.queue)))
	if err != nil {
		return err
	}
	syscall.CloseOnExec(copied)
	file := os.NewFile(uintptr(copied), "bartizan queue")
	defer file.Close()
	poller, err := file.SyscallConn()
	if err != nil {
		return err
	}
	events := make([]C.bartizan_event, batch)
	// The poller tells of edges: only a queue that was found empty may be waited for.
	err = poller.Read(func(uintptr) (ended bool) {
		for {
			var n C.size_t
			switch C.bartizan_queue_next(s.queue, &events[0], batch, 0, &n) {
			case C.BARTIZAN_OK:
				s.take(events[:n], handle)
			case C.BARTIZAN_AGAIN:
				return false
			default:
				return true
			}
		}
	})
	s.handlers.Wait()
	C.bartizan_server_wait(s.at, -1)
	runtime.KeepAlive(s)
	return err
}

func (s *Server) take(events []C.bartizan_event, handle func(*Request)) {
	for i := range events {
		event := &events[i]
		if event.kind == C.BARTIZAN_EV_REQUEST {
			r := newRequest(s, *(**C.bartizan_request_view)(unsafe.Pointer(&event.data)))
			s.mu.Lock()
			s.requests[r.id] = r
			s.mu.Unlock()
			s.handlers.Add(1)
			go s.run(r, handle)
			continue
		}
		s.mu.Lock()
		r := s.requests[event.request]
		s.mu.Unlock()
		if r != nil {
			r.tell(event)
		}
	}
}

func (s *Server) run(r *Request, handle func(*Request)) {
	defer s.handlers.Done()
	defer r.release()
	defer func() {
		if panicked := recover(); panicked != nil {
			fmt.Fprintf(os.Stderr, "bartizan: panic serving %s: %v\n%s", r.Peer, panicked, debug.Stack())
		}
	}()
	handle(r)
}

func (r *Request) release() {
	r.server.mu.Lock()
	delete(r.server.requests, r.id)
	r.server.mu.Unlock()
	C.bartizan_request_release(r.id)
	r.cancel(context.Canceled)
}
