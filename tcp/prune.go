package tcp

// What came out of order and was never reported by SACK may be dropped when
// frames are short: to its sender it is lost. What was reported is kept (RFC
// 2018, 8 discourages reneging: a sender may rely on it until a timeout).
//
// An ACK tells of three or four islands, and those not among the last few are
// forgotten (blocks.go): when many come at once most are never told of. They are in
// the list of untold nodes. Only a duplicate, or data that joins a node, can make
// them told later, since nothing else enters them among the blocks again.

// What the flags of an out-of-order node mean.
const (
	untold nodeFlags = 1 << iota // in the list of untold nodes
	passed                       // an ACK left that could have told
)

// The list of untold nodes is in the order of arrival, linked through Mark.
func (n *Node) earlierUntold() uint32 { return uint32(n.Mark) }
func (n *Node) laterUntold() uint32   { return uint32(n.Mark >> 32) }

func (n *Node) linkUntold(earlier, later uint32) { n.Mark = uint64(later)<<32 | uint64(earlier) }

// list enters a new node of the out-of-order queue.
func (c *Conn) list(ns *Nodes, id uint32) {
	if !c.has(useSACK) {
		return
	}
	n := ns.At(id)
	n.flags = untold
	n.linkUntold(c.untold, 0)
	if c.untold != 0 {
		last := ns.At(c.untold)
		last.linkUntold(last.earlierUntold(), id)
	}
	c.untold = id
}

// unlist takes a node out: it was told of, or is in order.
func (c *Conn) unlist(ns *Nodes, id uint32) {
	n := ns.At(id)
	if n.flags&untold == 0 {
		return
	}
	earlier, later := n.earlierUntold(), n.laterUntold()
	if earlier != 0 {
		ns.At(earlier).linkUntold(ns.At(earlier).earlierUntold(), later)
	}
	if later != 0 {
		ns.At(later).linkUntold(earlier, ns.At(later).laterUntold())
	} else {
		c.untold = earlier
	}
	n.flags, n.Mark = 0, 0
}

// retell notes that the next ACK will tell of a node again.
func (c *Conn) retell(ns *Nodes, id uint32) {
	if ns.At(id).flags&passed != 0 {
		c.unlist(ns, id)
		c.list(ns, id)
	}
}

// told follows an ACK that carried the SACK blocks of o. What is among the blocks
// that are remembered may yet be told of, and counts as told. Each node is looked at
// once.
func (c *Conn) told(ns *Nodes, o *Options) {
	for id := c.untold; id != 0; {
		n := ns.At(id)
		if n.flags&passed != 0 {
			return
		}
		n.flags |= passed
		at := id
		id = n.earlierUntold()
		if touches(o.SACK[:o.NSACK], n) || touches(c.blocks[:c.nBlocks], n) {
			c.unlist(ns, at)
		}
	}
}

func touches(blocks []Block, n *Node) bool {
	for _, b := range blocks {
		if n.Seq.Before(b.To) && b.From.Before(n.end()) {
			return true
		}
	}
	return false
}

// Prune drops what came out of order and was not reported. It returns how many
// spans.
func (c *Conn) Prune(e *Env) (dropped uint32) {
	if c.ofoq.head == 0 || !c.synchronized() {
		return 0
	}
	before := c.ofoq.nodes
	if !c.has(useSACK) {
		c.ofoq.free(e)
		c.early, c.nBlocks = 0, 0
	}
	for id := c.untold; id != 0; {
		n := e.Nodes.At(id)
		at := id
		if id = n.earlierUntold(); n.flags&passed == 0 {
			continue // it came since the last ACK
		}
		c.unlist(e.Nodes, at)
		c.early.remove(e.Nodes, at)
		c.ofoq.remove(e.Nodes, at)
		e.release(at)
	}
	dropped = before - c.ofoq.nodes
	e.Count.OfoPruned += uint64(dropped)
	return dropped
}
