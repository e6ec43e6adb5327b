package stack

// index finds numbers by the hash of what they stand for: open addressing,
// linear probing. It holds no keys and no pointers; who asks compares. Growing is
// incremental: each addition moves a few entries, so that none has to wait for all.
type index struct {
	slots []slot
	live  int

	old  []slot // being moved, read only; an entry that left it is gone
	next int    // first slot of old not yet moved
}

type slot struct{ hash, id uint32 }

const (
	gone      = ^uint32(0) // the id of an entry removed from old: probing goes on behind it
	indexMin  = 64
	indexMove = 8 // slots of old per addition: it is empty long before the next growth
)

// find returns the number with this hash that same accepts, or 0.
func (x *index) find(hash uint32, same func(id uint32) bool) uint32 {
	if i := probe(x.slots, hash, same); i >= 0 {
		return x.slots[i].id
	}
	if i := probe(x.old, hash, same); i >= 0 {
		return x.old[i].id
	}
	return 0
}

func probe(s []slot, hash uint32, same func(id uint32) bool) int {
	if len(s) == 0 {
		return -1
	}
	mask := uint32(len(s) - 1)
	// A slot is always free (the table is at most three quarters full).
	for i := hash & mask; s[i].id != 0; i = (i + 1) & mask {
		if s[i].hash == hash && s[i].id != gone && same(s[i].id) {
			return int(i)
		}
	}
	return -1
}

// add enters id, which is neither 0 nor in the index.
func (x *index) add(hash, id uint32) {
	for n := 0; n < indexMove && x.next < len(x.old); n++ {
		if o := &x.old[x.next]; o.id != 0 && o.id != gone {
			x.put(*o)
			o.id = gone
		}
		x.next++
	}
	if x.next == len(x.old) {
		x.old, x.next = nil, 0
	}
	if 4*(x.live+1) > 3*len(x.slots) {
		// Never while old is in use: it takes len(old)*3/4 additions to get
		// here, and moving takes len(old)/8.
		x.old, x.slots = x.slots, make([]slot, max(indexMin, 2*len(x.slots)))
	}
	x.live++
	x.put(slot{hash, id})
}

func (x *index) put(e slot) {
	mask := uint32(len(x.slots) - 1)
	i := e.hash & mask
	for x.slots[i].id != 0 {
		i = (i + 1) & mask
	}
	x.slots[i] = e
}

// remove takes out id, which was added with this hash.
func (x *index) remove(hash, id uint32) {
	same := func(other uint32) bool { return other == id }
	if i := probe(x.old, hash, same); i >= 0 {
		x.old[i].id = gone
		x.live--
		return
	}
	i := probe(x.slots, hash, same)
	if i < 0 {
		panic("stack: removing what is not in the index")
	}
	x.live--
	x.close(uint32(i))
}

// close empties slot i and moves back what probed past it, so that no
// tombstones gather.
func (x *index) close(i uint32) {
	s, mask := x.slots, uint32(len(x.slots)-1)
	for j := (i + 1) & mask; s[j].id != 0; j = (j + 1) & mask {
		if (j-s[j].hash)&mask >= (j-i)&mask {
			s[i] = s[j]
			i = j
		}
	}
	s[i] = slot{}
}
