// Probe serves the routes of the probe contract that show a queue: whole answers, streams both ways, time, cancellation.
// Here: the command line and the routes' table; the routes are routes.go.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"bartizan.example/bartizan"
)

const usage = "probe [--set KEY=TEXT]... [--listen ADDR --self-signed[=NAME,NAME] | --plaintext]..."

type listener struct {
	address string
	secure  bool
	names   []string
}

type options struct {
	settings  [][2]string
	listeners []listener
}

func parse(args []string) (*options, error) {
	o := &options{}
	for ; len(args) > 0; args = args[1:] {
		name, value, given := strings.Cut(args[0], "=")
		if name == "--set" || name == "--listen" {
			if len(args) == 1 {
				return nil, fmt.Errorf("%s: a value is missing", name)
			}
			value, args = args[1], args[1:]
		}
		switch last := len(o.listeners) - 1; {
		case name == "--set":
			key, text, ok := strings.Cut(value, "=")
			if !ok {
				return nil, fmt.Errorf("--set %s: expected KEY=TEXT", value)
			}
			o.settings = append(o.settings, [2]string{key, text})
		case name == "--listen":
			o.listeners = append(o.listeners, listener{address: value})
		case name == "--self-signed" && last >= 0:
			names := []string{"localhost", "127.0.0.1", "::1"}
			if given {
				names = strings.Split(value, ",")
			}
			o.listeners[last].secure, o.listeners[last].names = true, names
		case name == "--plaintext" && last >= 0:
			o.listeners[last].secure = false
		default:
			return nil, fmt.Errorf("%s: unknown; %s", args[0], usage)
		}
	}
	if len(o.listeners) == 0 {
		return nil, fmt.Errorf("--listen is missing; %s", usage)
	}
	return o, nil
}

func start(o *options) (*bartizan.Server, error) {
	config := bartizan.NewConfig()
	for _, pair := range o.settings {
		if err := config.Set(pair[0], pair[1]); err != nil {
			return nil, err
		}
	}
	for _, l := range o.listeners {
		var identity *bartizan.Identity
		if l.secure {
			var err error
			if identity, err = bartizan.SelfSigned(l.names...); err != nil {
				return nil, err
			}
		}
		if err := config.Listen(l.address, identity); err != nil {
			return nil, err
		}
	}
	return config.Start()
}

func main() {
	o, err := parse(os.Args[1:])
	var server *bartizan.Server
	if err == nil {
		server, err = start(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "probe:", strings.ReplaceAll(err.Error(), "\n", " "))
		os.Exit(2)
	}
	for i, l := range o.listeners {
		scheme := map[bool]string{true: "https", false: "http"}[l.secure]
		fmt.Printf("listening %s://%s\n", scheme, server.Address(i))
	}
	fmt.Println("ready")

	stop, restore := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(stop, func() {
		restore() // A second signal ends the process at once.
		server.Shutdown()
	})
	if err := server.Serve(func(r *bartizan.Request) { route(server, r) }); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}
