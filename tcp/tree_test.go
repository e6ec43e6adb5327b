package tcp

import (
	"math/rand/v2"
	"testing"
)

// depth is the longest path down the tree.
func (t tree) depth(ns *Nodes) int {
	if t == 0 {
		return 0
	}
	n := ns.At(uint32(t))
	return 1 + max(tree(n.prior).depth(ns), tree(n.after).depth(ns))
}

// Whatever the order in which nodes come, what is found is right and the way to it is
// short: a random search tree of n nodes is 4.3*ln(n) deep at most, with all but certainty; of 4096
// that is 36.
func TestTree(t *testing.T) {
	const size, step = 4096, 1000
	base := Seq(1<<32 - size*step/2) // it wraps
	orders := map[string]func(i int) int{
		"rising":  func(i int) int { return i },
		"falling": func(i int) int { return size - 1 - i },
		"inwards": func(i int) int { return i/2 + i%2*(size-1-2*(i/2)) },
		"strides": func(i int) int { return i * 1237 % size },
	}
	for name, order := range orders {
		ns, r := &Nodes{}, rand.New(rand.NewPCG(1, 2))
		var root tree
		for i := range size {
			id, n, _ := ns.Alloc()
			n.Seq = base + Seq(order(i)*step)
			root.insert(ns, id, Time(r.Uint64()>>1))
		}
		if d := root.depth(ns); d > 36 {
			t.Errorf("%s: %d deep", name, d)
		}
		if root.find(ns, base-1) != 0 {
			t.Errorf("%s: something before the first", name)
		}
		for i := range size {
			if i > 0 {
				root.pop(ns) // what is left begins with i
			}
			for _, j := range []int{i, (i + size) / 2, size - 1} {
				for _, at := range []int{j * step, j*step + step - 1} {
					if id := root.find(ns, base+Seq(at)); id == 0 || ns.At(id).Seq != base+Seq(j*step) {
						t.Fatalf("%s: at %d node %d", name, at, id)
					}
				}
			}
		}
		if root.pop(ns); root != 0 {
			t.Errorf("%s: not empty", name)
		}
	}
}

// A hole is filled wherever it is, however many segments and holes lie around it: nothing of an honest
// sender is dropped.
func TestHolesAnywhere(t *testing.T) {
	o := newOneOf(t, 8192)
	o.conf.RcvBuf, o.conf.RcvStart = 8<<20, 8<<20
	o.established()
	o.conn.AckNow() // promises the whole buffer
	o.out()
	const segments = 6000 // half of the nodes of the buffer
	for i := 1; i < segments; i++ {
		if i%3 != 0 {
			o.in(ACK, Seq(1+i*1000), 1, 1000)
		}
	}
	for _, stride := range []int{1999, 1} { // far from head, tail and each other, then what is left
		for i := 0; i < segments/3; i++ {
			if at := i * stride % (segments / 3) * 3; at > 0 && (stride == 1 || i%2 == 0) {
				o.in(ACK, Seq(1+at*1000), 1, 1000)
			}
		}
	}
	o.in(ACK, 1, 1, 1000)
	if o.conn.rcvNxt != peerISS+1+segments*1000 || o.count.OfoDrops != 0 {
		t.Errorf("%d bytes in order, %d segments dropped", o.conn.rcvNxt-peerISS-1, o.count.OfoDrops)
	}
	o.read()
	o.done()
}
