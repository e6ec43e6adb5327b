package stack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestHTTP: net/http both ways, a server over one stack and a client over another.
func TestHTTP(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	t.Run("", func(t *testing.T) {
		a, b := newStations(t, speaksMPTCP)
		l, err := b.Listen("tcp", ":http")
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			h := sha256.New()
			n, err := io.Copy(h, r.Body)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(w, "%d %x %s\n", n, h.Sum(nil), r.RemoteAddr)
			if r.URL.Path == "/long" {
				w.Write(noise(7, 2<<20))
			}
		}), ReadTimeout: 20 * time.Second, IdleTimeout: 20 * time.Second}
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()

		for name, dial := range map[string]func(context.Context, string, string) (net.Conn, error){
			"TCP": a.DialContext, "MPTCP": a.DialMPTCP,
		} {
			transport := &http.Transport{DialContext: dial}
			client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
			var all sync.WaitGroup
			for i := range 8 {
				all.Go(func() {
					for _, host := range []string{"10.0.0.2", "[fd00::2]"} {
						if err := post(client, "http://"+host+"/long", noise(byte(i), i<<17), noise(7, 2<<20)); err != nil {
							t.Errorf("%s: %v", name, err)
						}
					}
				})
			}
			all.Wait()
			transport.CloseIdleConnections()
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Error(err)
		}
		if err := <-served; err != http.ErrServerClosed {
			t.Error(err)
		}
	})
}

// post sends a body and expects its digest, and what follows it.
func post(c *http.Client, url string, body, more []byte) error {
	r, err := c.Post(url, "application/octet-stream", bytes.NewReader(body))
	if err != nil {
		return err
	}
	defer r.Body.Close()
	got, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	want := fmt.Sprintf("%d %x ", len(body), sha256.Sum256(body))
	head, rest, _ := bytes.Cut(got, []byte("\n"))
	if !bytes.HasPrefix(head, []byte(want)) || !bytes.Equal(rest, more) {
		return fmt.Errorf("%s: %q, then %d bytes", url, head, len(rest))
	}
	return nil
}
