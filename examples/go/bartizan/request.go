package bartizan

/*
#include "bartizan.h"

// As in server.go.
#cgo nocallback bartizan_respond
#cgo noescape bartizan_respond
#cgo nocallback bartizan_body_read
#cgo noescape bartizan_body_read
#cgo nocallback bartizan_response_write
#cgo noescape bartizan_response_write
*/
import "C"

import (
	"context"
	"io"
	"runtime"
	"strconv"
	"strings"
	"unsafe"
)

// Field is one field line of a header or trailer section.
type Field struct{ Name, Value string }

// TLS is what the handshake of a connection negotiated. ServerName and ALPN are nil where the client named none.
type TLS struct {
	Version          string  `json:"version"`
	Suite            string  `json:"suite"`
	Group            string  `json:"group"`
	ServerName       *string `json:"server_name"`
	ALPN             *string `json:"alpn"`
	Resumed          bool    `json:"resumed"`
	PeerCertificates int     `json:"peer_certificates"`
}

// Request is one request and its answer. Everything in it is a copy, so it may outlive the handler; its methods then return
// ErrHandle. Any goroutine, but one reader and one writer at a time.
type Request struct {
	Method, Scheme, Authority, Target, Path, Query string
	Peer, Local                                    string
	Version                                        int // 10, 11 or 20
	Listener                                       int
	Connection                                     uint64
	ContentLength                                  int64 // -1 = not announced
	HasContent                                     bool
	Fields                                         []Field
	TLS                                            *TLS // nil = cleartext

	id       C.bartizan_request
	server   *Server
	context  context.Context
	cancel   context.CancelCauseFunc
	readable chan struct{}
	writable chan struct{}
	over     chan struct{}
}

func text(s C.bartizan_str) string { return C.GoStringN(s.ptr, C.int(s.len)) }

func address(ip C.bartizan_str, port C.uint32_t) string {
	host := text(ip)
	switch {
	case host == "":
		return "unix:"
	case strings.Contains(host, ":"):
		host = "[" + host + "]"
	}
	return host + ":" + strconv.Itoa(int(port))
}

func newRequest(s *Server, view *C.bartizan_request_view) *Request {
	r := &Request{
		Method: text(view.method), Scheme: text(view.scheme), Authority: text(view.authority),
		Target: text(view.target), Path: text(view.path), Query: text(view.query),
		Peer: address(view.peer_ip, view.peer_port), Local: address(view.local_ip, view.local_port),
		Version: int(view.http_version), Listener: int(view.listener), Connection: uint64(view.connection),
		ContentLength: int64(view.content_length), HasContent: view.flags&C.BARTIZAN_VIEW_HAS_BODY != 0,
		Fields: fields(view.headers, view.header_count), id: view.request, server: s,
		readable: make(chan struct{}, 1), writable: make(chan struct{}, 1), over: make(chan struct{}),
	}
	if tls := view.tls; tls != nil {
		r.TLS = &TLS{text(tls.version_name), text(tls.suite_name), text(tls.group_name), optional(tls.server_name),
			optional(tls.alpn), tls.resumed != 0, int(tls.peer_certificates)}
	}
	r.context, r.cancel = context.WithCancelCause(context.Background())
	return r
}

func optional(str C.bartizan_str) *string {
	if str.len == 0 {
		return nil
	}
	copied := text(str)
	return &copied
}

func fields(at *C.bartizan_header, count C.size_t) []Field {
	copied := make([]Field, count)
	for i, field := range unsafe.Slice(at, count) {
		copied[i] = Field{text(field.name), text(field.value)}
	}
	return copied
}

// Gone is the cause of a context that the library has cancelled: the reason, such as "peer.closed".
type Gone string

func (g Gone) Error() string { return "bartizan: the exchange was cancelled: " + string(g) }

// Context ends with the handler, or with a cause of type Gone when the exchange is cancelled; after "peer.closed", which may be
// half a close, an answer may still go out.
func (r *Request) Context() context.Context { return r.context }

// Over is closed when the exchange has ended on the network, whoever ended it: what is computed for it now is for nobody.
func (r *Request) Over() <-chan struct{} { return r.over }

func (r *Request) tell(event *C.bartizan_event) {
	switch event.kind {
	case C.BARTIZAN_EV_BODY:
		signal(r.readable)
	case C.BARTIZAN_EV_WRITABLE:
		signal(r.writable)
	case C.BARTIZAN_EV_CANCELLED:
		r.cancel(Gone(C.GoString(C.bartizan_reason_name(C.uint32_t(event.arg[0])))))
	case C.BARTIZAN_EV_DONE:
		close(r.over)
	}
}

func signal(to chan struct{}) {
	select {
	case to <- struct{}{}:
	default:
	}
}

// await waits for what was armed, in a goroutine and not in a thread.
func (r *Request) await(armed C.bartizan_status, ready chan struct{}) error {
	if armed != C.BARTIZAN_OK {
		return Status(armed)
	}
	select {
	case <-ready:
	case <-r.over:
	}
	return nil
}

// Read reads content; io.EOF when it is complete.
func (r *Request) Read(into []byte) (int, error) {
	if len(into) == 0 {
		return 0, nil
	}
	for {
		var n C.size_t
		status := C.bartizan_body_read(r.id, unsafe.Pointer(&into[0]), C.size_t(len(into)), 0, &n)
		switch status {
		case C.BARTIZAN_OK:
			return int(n), nil
		case C.BARTIZAN_EOF:
			return 0, io.EOF
		case C.BARTIZAN_AGAIN:
			if err := r.await(C.bartizan_body_arm(r.id), r.readable); err != nil {
				return 0, err
			}
		default:
			return 0, Status(status)
		}
	}
}

// Trailers are the fields behind the content, once Read returned io.EOF.
func (r *Request) Trailers() ([]Field, error) {
	var at *C.bartizan_header
	var count C.size_t
	if status := C.bartizan_body_trailers(r.id, &at, &count); status != C.BARTIZAN_OK {
		return nil, Status(status)
	}
	return fields(at, count), nil
}

// lend gives field lines to the call, which copies them: the strings are pinned until it returned.
func lend(fields []Field, call func(*C.bartizan_header, C.size_t) C.bartizan_status) error {
	var pinner runtime.Pinner
	defer pinner.Unpin()
	str := func(s string) C.bartizan_str {
		if len(s) > 0 {
			pinner.Pin(unsafe.StringData(s))
		}
		return C.bartizan_str{octets(s), C.size_t(len(s))}
	}
	lent := make([]C.bartizan_header, len(fields))
	for i, field := range fields {
		lent[i] = C.bartizan_header{str(field.Name), str(field.Value)}
	}
	if status := call(unsafe.SliceData(lent), C.size_t(len(lent))); status != C.BARTIZAN_OK {
		return Status(status)
	}
	return nil
}

// Respond answers in one piece.
func (r *Request) Respond(code int, fields []Field, content string) error {
	return lend(fields, func(at *C.bartizan_header, count C.size_t) C.bartizan_status {
		return C.bartizan_respond(r.id, C.uint32_t(code), at, count, unsafe.Pointer(octets(content)), C.size_t(len(content)))
	})
}

// Inform sends an answer that is not the last word, such as 103, before the one that is.
func (r *Request) Inform(code int, fields []Field) error {
	return lend(fields, func(at *C.bartizan_header, count C.size_t) C.bartizan_status {
		return C.bartizan_response_informational(r.id, C.uint32_t(code), at, count)
	})
}

// Begin begins an answer that is written piece by piece; a length of -1 is unknown.
func (r *Request) Begin(code int, fields []Field, length int64) error {
	return lend(fields, func(at *C.bartizan_header, count C.size_t) C.bartizan_status {
		return C.bartizan_response_begin(r.id, C.uint32_t(code), at, count, C.int64_t(length))
	})
}

// Write writes content, at the pace of the peer.
func (r *Request) Write(content []byte) (int, error) {
	written := 0
	for written < len(content) {
		var n C.size_t
		status := C.bartizan_response_write(r.id, unsafe.Pointer(&content[written]), C.size_t(len(content)-written), 0, &n)
		written += int(n)
		switch status {
		case C.BARTIZAN_OK:
		case C.BARTIZAN_AGAIN:
			if err := r.await(C.bartizan_response_arm(r.id), r.writable); err != nil {
				return written, err
			}
		default:
			return written, Status(status)
		}
	}
	return written, nil
}

// Finish ends an answer that was begun.
func (r *Request) Finish(trailers ...Field) error {
	return lend(trailers, func(at *C.bartizan_header, count C.size_t) C.bartizan_status {
		return C.bartizan_response_finish(r.id, at, count)
	})
}

// Abort ends the exchange at once, whatever of the answer has gone out.
func (r *Request) Abort() error {
	if status := C.bartizan_response_abort(r.id); status != C.BARTIZAN_OK {
		return Status(status)
	}
	return nil
}

// Set moves a limit of this request, in the form for people: "handler_timeout", "1m".
func (r *Request) Set(key, value string) error {
	return withText(key, func(key *C.char) error {
		if status := C.bartizan_request_set_text(r.id, key, octets(value), C.size_t(len(value))); status != C.BARTIZAN_OK {
			return Status(status)
		}
		return nil
	})
}
