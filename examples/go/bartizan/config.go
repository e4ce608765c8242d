// Package bartizan is the library's surface in Go: a configuration, a server that hands requests to goroutines, and errors.
//
// This file makes servers: settings, listeners, identities. server.go runs them, request.go is what a handler gets. The library
// is used through its completion queue alone, so no C code ever calls into Go.
package bartizan

/*
#cgo LDFLAGS: -lbartizan
#include <stdlib.h>
#include "bartizan.h"
*/
import "C"

import (
	"runtime"
	"strings"
	"unsafe"
)

// Status is what a call about a request returned; it is an error, to be compared by errors.Is.
type Status int32

const (
	ErrValue     Status = C.BARTIZAN_E_VALUE
	ErrOption    Status = C.BARTIZAN_E_OPTION
	ErrHandle    Status = C.BARTIZAN_E_HANDLE
	ErrState     Status = C.BARTIZAN_E_STATE
	ErrCancelled Status = C.BARTIZAN_E_CANCELLED
	ErrLimit     Status = C.BARTIZAN_E_LIMIT
)

func (s Status) Error() string {
	return "bartizan: " + C.GoString(C.bartizan_status_name(C.bartizan_status(s)))
}

// Error is why a call that sets something up failed, in the library's words.
type Error struct {
	Status  Status
	Message string
}

func (e *Error) Error() string { return "bartizan: " + e.Message }

// Unwrap lets errors.Is compare with a Status.
func (e *Error) Unwrap() error { return e.Status }

func failure(status C.bartizan_status, why *C.bartizan_error) error {
	if status >= 0 {
		return nil
	}
	defer C.bartizan_error_free(why)
	return &Error{Status(status), C.GoString(C.bartizan_error_message(why))}
}

// withText lends a string as the NUL-terminated text that keys and addresses are.
func withText(text string, use func(*C.char) error) error {
	if strings.IndexByte(text, 0) >= 0 {
		return &Error{ErrValue, "a NUL in " + strings.ReplaceAll(text, "\x00", "\\0")}
	}
	lent := C.CString(text)
	defer C.free(unsafe.Pointer(lent))
	return use(lent)
}

// octets lends a string's memory for the time of a call.
func octets(text string) *C.char { return (*C.char)(unsafe.Pointer(unsafe.StringData(text))) }

// Identity is a certificate chain and its key.
type Identity struct{ at *C.bartizan_identity }

func newIdentity(status C.bartizan_status, at *C.bartizan_identity, why *C.bartizan_error) (*Identity, error) {
	if err := failure(status, why); err != nil {
		return nil, err
	}
	identity := &Identity{at}
	runtime.AddCleanup(identity, func(at *C.bartizan_identity) { C.bartizan_identity_free(at) }, at)
	return identity, nil
}

// SelfSigned makes an identity for development: DNS names and IP addresses.
func SelfSigned(names ...string) (*Identity, error) {
	var at *C.bartizan_identity
	var why *C.bartizan_error
	list := strings.Join(names, ",")
	status := C.bartizan_identity_self_signed(octets(list), C.size_t(len(list)), &at, &why)
	return newIdentity(status, at, why)
}

// FromPEM takes a certificate chain, the server's own certificate first, and its private key.
func FromPEM(chain, key string) (*Identity, error) {
	var at *C.bartizan_identity
	var why *C.bartizan_error
	status := C.bartizan_identity_from_pem(unsafe.Pointer(octets(chain)), C.size_t(len(chain)),
		unsafe.Pointer(octets(key)), C.size_t(len(key)), &at, &why)
	return newIdentity(status, at, why)
}

// Config is a server to be. One goroutine at a time.
type Config struct{ at *C.bartizan_config }

// NewConfig holds the default settings and no listeners.
func NewConfig() *Config {
	config := &Config{C.bartizan_config_new()}
	runtime.AddCleanup(config, func(at *C.bartizan_config) { C.bartizan_config_free(at) }, config.at)
	return config
}

// Set changes a setting by its name, in the form for people: "10s", "16KiB", "off".
func (c *Config) Set(key, text string) error {
	defer runtime.KeepAlive(c)
	return withText(key, func(key *C.char) error {
		var why *C.bartizan_error
		return failure(C.bartizan_config_set_text(c.at, key, octets(text), C.size_t(len(text)), &why), why)
	})
}

// Listen adds an address, "127.0.0.1:0" or "unix:/path"; without an identity it speaks cleartext.
func (c *Config) Listen(address string, identity *Identity) error {
	defer runtime.KeepAlive(c)
	var tls *C.bartizan_tls
	var why *C.bartizan_error
	if identity != nil {
		defer runtime.KeepAlive(identity)
		tls = C.bartizan_tls_new()
		defer C.bartizan_tls_free(tls)
		if err := failure(C.bartizan_tls_identity(tls, nil, identity.at, &why), why); err != nil {
			return err
		}
	}
	return withText(address, func(address *C.char) error {
		return failure(C.bartizan_config_listen(c.at, address, tls, nil, &why), why)
	})
}
