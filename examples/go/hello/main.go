// Hello is the smallest server: one address, one answer, and a drain on Ctrl-C.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"bartizan.example/bartizan"
)

func hello(r *bartizan.Request) {
	// An answer that cannot be sent any more is nobody's loss.
	_ = r.Respond(200, []bartizan.Field{{Name: "content-type", Value: "text/plain"}}, "Hello, World!\n")
}

func start(address string) (*bartizan.Server, error) {
	identity, err := bartizan.SelfSigned("localhost", "127.0.0.1", "::1")
	if err != nil {
		return nil, err
	}
	config := bartizan.NewConfig()
	if err := config.Set("handshake_timeout", "10s"); err != nil {
		return nil, err
	}
	if err := config.Listen(address, identity); err != nil {
		return nil, err
	}
	return config.Start()
}

func main() {
	address := "127.0.0.1:8443"
	if len(os.Args) > 1 {
		address = os.Args[1]
	}
	server, err := start(address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("curl --insecure https://%s/\n", server.Address(0))

	stop, _ := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(stop, server.Shutdown)
	if err := server.Serve(hello); err != nil {
		log.Fatal(err)
	}
}
