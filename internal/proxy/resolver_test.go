package proxy

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"
)

type answer struct {
	addrs []netip.Addr
	err   error
}

// TestResolverBounds: one worker, a queue of two. The fourth name is refused at
// once; the first times out, and those behind it have waited too long by then.
func TestResolverBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		r := newHostResolver(ResolverConfig{Timeout: time.Second, Workers: 1, Queue: 2},
			func(ctx context.Context, name string) ([]netip.Addr, error) {
				calls++
				if name == "good" {
					return []netip.Addr{netip.MustParseAddr("10.0.0.1")}, nil
				}
				<-ctx.Done()
				return nil, ctx.Err()
			})
		defer r.Close()
		answers := make(chan answer, 4)
		ask := func(name string) bool {
			return r.Lookup(name, func(a []netip.Addr, err error) { answers <- answer{a, err} })
		}

		began := time.Now()
		if !ask("dead") {
			t.Fatal("an idle resolver refused")
		}
		synctest.Wait()
		for i, want := range []bool{true, true, false} {
			if got := ask("good"); got != want {
				t.Errorf("name %d taken: %v", i, got)
			}
		}
		if a := <-answers; !errors.Is(a.err, context.DeadlineExceeded) || time.Since(began) != time.Second {
			t.Errorf("after %v: %v", time.Since(began), a.err)
		}
		for range 2 { // they waited for exactly the timeout, which is not too long
			if a := <-answers; a.err != nil || len(a.addrs) != 1 {
				t.Errorf("%v %v", a.addrs, a.err)
			}
		}

		ask("dead")
		synctest.Wait()
		ask("dead")
		ask("good")
		<-answers
		<-answers
		if a := <-answers; !errors.Is(a.err, errTooLate) {
			t.Errorf("a name that waited for 2 s: %v", a.err)
		}
		if calls != 5 {
			t.Errorf("%d names were resolved", calls)
		}
	})
}
