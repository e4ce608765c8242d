package nethttp

import (
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"bartizan.example/bartizan"
)

// serve runs a handler, and gives a client of one protocol and the address.
func serve(t *testing.T, handler http.Handler, protocol string) (*http.Client, string) {
	t.Helper()
	identity, err := bartizan.SelfSigned("localhost")
	if err != nil {
		t.Fatal(err)
	}
	config := bartizan.NewConfig()
	if err := config.Listen("127.0.0.1:0", identity); err != nil {
		t.Fatal(err)
	}
	server, err := config.Start()
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- server.Serve(Handler(handler)) }()
	transport := &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true, NextProtos: []string{protocol}},
		ForceAttemptHTTP2: protocol == "h2",
	}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		server.Shutdown()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}, "https://" + server.Address(0)
}

func both(t *testing.T, handler http.HandlerFunc, look func(t *testing.T, client *http.Client, address string)) {
	for _, protocol := range []string{"http/1.1", "h2"} {
		t.Run(protocol, func(t *testing.T) {
			client, address := serve(t, handler, protocol)
			look(t, client, address)
		})
	}
}

func read(t *testing.T, answer *http.Response, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestAMuxSeesTheRequestAndItsPathValues(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /users/{id}", func(w http.ResponseWriter, q *http.Request) {
		content, err := io.ReadAll(q.Body)
		seen := fmt.Sprintf("%t %d %q %q %v", q.Host != "", q.ContentLength, q.URL.Query().Get("a"), q.Header.Get("X-B"), err)
		w.Header().Set("X-Seen", seen)
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "%s: %s", q.PathValue("id"), content)
	})
	both(t, mux.ServeHTTP, func(t *testing.T, client *http.Client, address string) {
		q, _ := http.NewRequest("POST", address+"/users/7?a=b%20c", strings.NewReader("hello"))
		q.Header.Set("X-B", "d")
		answer, err := client.Do(q)
		if content := read(t, answer, err); content != "7: hello" || answer.StatusCode != 201 {
			t.Error(answer.StatusCode, content)
		}
		if seen := answer.Header.Get("X-Seen"); seen != `true 5 "b c" "d" <nil>` {
			t.Error(seen)
		}
		if kind := answer.Header.Get("Content-Type"); kind != "text/plain; charset=utf-8" {
			t.Error(kind)
		}
		answer, err = client.Get(address + "/users/7")
		if read(t, answer, err); answer.StatusCode != 405 {
			t.Error(answer.StatusCode)
		}
	})
}

func TestAStreamGoesOutAsItIsWritten(t *testing.T) {
	goOn := make(chan struct{})
	both(t, func(w http.ResponseWriter, q *http.Request) {
		io.WriteString(w, "first")
		w.(http.Flusher).Flush()
		<-goOn
		io.WriteString(w, strings.Repeat("x", 1<<20))
	}, func(t *testing.T, client *http.Client, address string) {
		answer, err := client.Get(address)
		if err != nil {
			t.Fatal(err)
		}
		first := make([]byte, 5)
		if _, err := io.ReadFull(answer.Body, first); err != nil || string(first) != "first" {
			t.Fatal(err, first)
		}
		goOn <- struct{}{}
		if rest := read(t, answer, nil); len(rest) != 1<<20 {
			t.Error(len(rest))
		}
	})
}

func TestAnAbortAndAPanicAreWhatTheyAreInNetHTTP(t *testing.T) {
	both(t, func(w http.ResponseWriter, q *http.Request) {
		switch q.URL.Path {
		case "/abort":
			io.WriteString(w, "half")
			panic(http.ErrAbortHandler)
		case "/panic":
			panic("on purpose")
		}
		w.WriteHeader(http.StatusNoContent)
	}, func(t *testing.T, client *http.Client, address string) {
		if answer, err := client.Get(address + "/abort"); err == nil {
			if _, err := io.ReadAll(answer.Body); err == nil {
				t.Error("half an answer passes for a whole one")
			}
			answer.Body.Close()
		}
		answer, err := client.Get(address + "/panic")
		if read(t, answer, err); answer.StatusCode != 500 {
			t.Error(answer.StatusCode)
		}
		answer, err = client.Get(address)
		if read(t, answer, err); answer.StatusCode != 204 {
			t.Error(answer.StatusCode)
		}
	})
}
