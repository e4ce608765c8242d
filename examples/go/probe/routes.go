package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"bartizan.example/bartizan"
)

const hello = "Hello, World!"

func typed(value string) []bartizan.Field {
	return []bartizan.Field{{Name: "content-type", Value: value}}
}

// route runs in a goroutine of its own, so what takes time just takes it. Errors of answers are left alone: the exchange is
// over then, and the library has said why.
func route(server *bartizan.Server, r *bartizan.Request) {
	bytes, isBytes := strings.CutPrefix(r.Path, "/bytes/")
	wait, isWait := strings.CutPrefix(r.Path, "/wait/")
	get := r.Method == "GET" || r.Method == "HEAD"
	switch {
	case r.Path == "/" && get:
		r.Respond(200, typed("text/plain"), hello)
	case r.Path == "/inspect":
		inspect(r)
	case r.Path == "/echo":
		echo(r)
	case isBytes && get:
		if n, ok := number(r, bytes, math.MaxInt64); ok && limit(r) {
			zeros(r, n)
		}
	case isWait && get:
		if ms, ok := number(r, wait, math.MaxInt32); ok {
			select {
			case <-time.After(time.Duration(ms) * time.Millisecond):
				r.Respond(200, typed("text/plain"), hello)
			case <-r.Over():
			}
		}
	case r.Path == "/hang" && get:
		<-r.Context().Done()
	case r.Path == "/metrics" && get:
		r.Respond(200, typed("application/openmetrics-text; version=1.0.0; charset=utf-8"), server.Metrics())
	default:
		r.Respond(404, typed("text/plain"), "not found\n")
	}
}

func refuse(r *bartizan.Request, value, why string) bool {
	r.Respond(400, typed("text/plain"), value+": "+why+"\n")
	return false
}

func number(r *bartizan.Request, text string, most int64) (int64, bool) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || int64(n) > most {
		return 0, refuse(r, text, fmt.Sprintf("not a number from 0 to %d", most))
	}
	return int64(n), true
}

// limit sets what the query says, KEY=TEXT, as limits of this request.
func limit(r *bartizan.Request) bool {
	for _, piece := range strings.Split(r.Query, "&") {
		key, value, ok := strings.Cut(piece, "=")
		if piece == "" {
			continue
		}
		if !ok {
			return refuse(r, piece, "not KEY=TEXT")
		}
		if err := r.Set(key, value); err != nil {
			return refuse(r, piece, err.Error())
		}
	}
	return true
}

// latin1 shows octets as JSON has them: one character each.
func latin1(octets string) string {
	runes := make([]rune, len(octets))
	for i := range len(octets) {
		runes[i] = rune(octets[i])
	}
	return string(runes)
}

func pairs(fields []bartizan.Field) [][2]string {
	shown := [][2]string{}
	for _, field := range fields {
		shown = append(shown, [2]string{latin1(field.Name), latin1(field.Value)})
	}
	return shown
}

func inspect(r *bartizan.Request) {
	sum := sha256.New()
	length, err := io.Copy(sum, r)
	if err != nil {
		return
	}
	trailers, err := r.Trailers()
	if err != nil {
		return
	}
	seen, _ := json.Marshal(map[string]any{
		"method": latin1(r.Method), "scheme": r.Scheme, "authority": latin1(r.Authority),
		"target": latin1(r.Target), "path": latin1(r.Path), "query": latin1(r.Query),
		"http":    map[int]string{10: "1.0", 11: "1.1", 20: "2"}[r.Version],
		"headers": pairs(r.Fields), "trailers": pairs(trailers),
		"body": map[string]any{"length": length, "sha256": hex.EncodeToString(sum.Sum(nil))},
		"peer": r.Peer, "local": r.Local, "listener": r.Listener, "conn": r.Connection, "tls": r.TLS,
	})
	r.Respond(200, typed("application/json"), string(seen))
}

// echo begins its answer with the first content, not before: until then a 408 or 413 can still be sent.
func echo(r *bartizan.Request) {
	piece := make([]byte, 64<<10)
	n, err := r.Read(piece)
	if err != nil && err != io.EOF || r.Begin(200, typed("application/octet-stream"), r.ContentLength) != nil {
		return
	}
	for err == nil {
		if _, err = r.Write(piece[:n]); err == nil {
			n, err = r.Read(piece)
		}
	}
	if err == io.EOF {
		r.Finish()
	}
}

func zeros(r *bartizan.Request, n int64) {
	if r.Begin(200, typed("application/octet-stream"), n) != nil {
		return
	}
	piece := make([]byte, 64<<10)
	for n > 0 {
		if _, err := r.Write(piece[:min(n, int64(len(piece)))]); err != nil {
			return
		}
		n -= min(n, int64(len(piece)))
	}
	r.Finish()
}
