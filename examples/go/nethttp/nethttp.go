// Package nethttp serves handlers of net/http: server.Serve(nethttp.Handler(mux)). Framing, limits and deadlines stay the
// library's; there are no trailers and no http.Hijacker.
package nethttp

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"bartizan.example/bartizan"
)

// Handler turns a handler of net/http into one of this library. http.ErrAbortHandler ends the exchange without a complete answer.
func Handler(handler http.Handler) func(*bartizan.Request) {
	return func(r *bartizan.Request) {
		defer func() {
			if panicked := recover(); panicked == http.ErrAbortHandler {
				_ = r.Abort()
			} else if panicked != nil {
				panic(panicked)
			}
		}()
		w := &writer{r: r, header: http.Header{}}
		handler.ServeHTTP(w, request(r))
		w.end()
	}
}

func request(r *bartizan.Request) *http.Request {
	target, err := url.ParseRequestURI(r.Target)
	if err != nil {
		// "*" of OPTIONS, and octets that net/url takes for no escape.
		target = &url.URL{Path: r.Path, RawQuery: r.Query}
	}
	header := http.Header{}
	for _, field := range r.Fields {
		// Host is a member of the request in net/http.
		if field.Name != "host" {
			header.Add(field.Name, field.Value)
		}
	}
	q := &http.Request{
		Method: r.Method, URL: target, RequestURI: r.Target, Host: r.Authority, RemoteAddr: r.Peer, Header: header,
		Proto: fmt.Sprintf("HTTP/%d.%d", r.Version/10, r.Version%10), ProtoMajor: r.Version / 10, ProtoMinor: r.Version % 10,
		Body: http.NoBody,
	}
	if r.HasContent {
		q.Body, q.ContentLength = content{r}, r.ContentLength
	}
	return q.WithContext(r.Context())
}

type content struct{ *bartizan.Request }

func (content) Close() error { return nil }

// writer is an answer. It goes out with the first Write, or with the end of the handler.
type writer struct {
	r      *bartizan.Request
	header http.Header
	code   int // 0 = WriteHeader was not called
	begun  bool
}

func (w *writer) Header() http.Header { return w.header }

func (w *writer) WriteHeader(code int) {
	if code < 200 {
		_ = w.r.Inform(code, w.fields())
	} else if w.code == 0 {
		w.code = code
	}
}

// fields are the header without what is the library's own business.
func (w *writer) fields() (fields []bartizan.Field) {
	for name, values := range w.header {
		switch name {
		case "Connection", "Content-Length", "Keep-Alive", "Trailer", "Transfer-Encoding", "Upgrade":
			continue
		}
		for _, value := range values {
			fields = append(fields, bartizan.Field{Name: strings.ToLower(name), Value: value})
		}
	}
	return fields
}

func (w *writer) Write(octets []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if !w.begun {
		if _, typed := w.header["Content-Type"]; !typed {
			w.header.Set("Content-Type", http.DetectContentType(octets))
		}
		length, err := strconv.ParseInt(w.header.Get("Content-Length"), 10, 64)
		if err != nil {
			length = -1
		}
		w.begun = true
		if err := w.r.Begin(w.code, w.fields(), length); err != nil {
			return 0, err
		}
	}
	return w.r.Write(octets)
}

// Flush has nothing to do: what was written is on its way. Handlers that stream ask for it.
func (w *writer) Flush() { w.WriteHeader(http.StatusOK) }

func (w *writer) end() {
	w.WriteHeader(http.StatusOK)
	if w.begun {
		_ = w.r.Finish()
	} else {
		_ = w.r.Respond(w.code, w.fields(), "")
	}
}
