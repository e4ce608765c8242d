// Everything that a Go program can do wrong with a request, one route each. What went wrong is told on stdout as
// "WHAT TYPE: MESSAGE"; the suite compares.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"bartizan.example/bartizan"
)

func tell(what string, err error) { fmt.Printf("%s %T: %v\n", what, err, err) }

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func route(r *bartizan.Request) {
	switch r.Path {
	case "/twice":
		must(r.Respond(200, nil, "first"))
		tell("twice", r.Respond(200, nil, "second"))
	case "/throw":
		panic("thrown on purpose")
	case "/throw-later":
		time.Sleep(10 * time.Millisecond)
		panic("thrown later")
	case "/forget":
	case "/stale":
		must(r.Respond(200, nil, "first"))
		time.AfterFunc(50*time.Millisecond, func() {
			tell("stale", r.Respond(200, nil, "second"))
			_, err := r.Read(make([]byte, 1))
			tell("stale-read", err)
		})
	case "/inject":
		tell("inject", r.Respond(200, []bartizan.Field{{Name: "x-a", Value: "b\r\nx-injected: c"}}, ""))
		must(r.Respond(200, nil, "well"))
	case "/behind":
		must(r.Begin(200, nil, 5))
		_, err := r.Write([]byte("first"))
		must(err)
		must(r.Finish())
		_, err = r.Write([]byte("second"))
		tell("behind", err)
	case "/configure":
		config := bartizan.NewConfig()
		tell("key", config.Set("handshake_timeot", "2s"))
		tell("value", config.Set("handshake_timeout", "soon"))
		tell("address", config.Listen("nowhere", nil))
		_, err := config.Start()
		tell("nothing", err)
		must(r.Respond(200, nil, "well"))
	case "/hang":
		<-r.Context().Done()
	case "/exit":
		os.Exit(7)
	default:
		must(r.Respond(200, nil, "well"))
	}
}

func main() {
	config := bartizan.NewConfig()
	identity, err := bartizan.SelfSigned("localhost")
	must(err)
	must(config.Listen("127.0.0.1:0", nil))
	must(config.Listen("127.0.0.1:0", identity))
	server, err := config.Start()
	must(err)
	fmt.Printf("listening http://%s\nlistening https://%s\nready\n", server.Address(0), server.Address(1))
	stop, _ := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	context.AfterFunc(stop, server.Shutdown)
	must(server.Serve(route))

	// Behind the end.
	server.Shutdown()
	must(server.Serve(route))
	fmt.Println("ended", server.Address(0), len(server.Metrics()) > 0)
}
