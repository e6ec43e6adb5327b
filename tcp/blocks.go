package tcp

// The receiving side's SACK blocks (RFC 2018, 4). The islands of the
// out-of-order queue are not walked: the four most recent are remembered, as
// many as a header can carry.

// noteBlock enters [from, to) as the most recent block, merged with those it
// touches.
func (c *Conn) noteBlock(from, to Seq) {
	kept := uint8(0)
	for _, b := range c.blocks[:c.nBlocks] {
		if b.To.Before(from) || b.From.After(to) {
			c.blocks[kept] = b
			kept++
			continue
		}
		if b.From.Before(from) {
			from = b.From
		}
		if b.To.After(to) {
			to = b.To
		}
	}
	kept = min(kept, uint8(len(c.blocks)-1))
	copy(c.blocks[1:kept+1], c.blocks[:kept])
	c.blocks[0] = Block{from, to}
	c.nBlocks = kept + 1
}

// trimBlocks forgets blocks that RCV.NXT has passed.
func (c *Conn) trimBlocks() {
	kept := uint8(0)
	for _, b := range c.blocks[:c.nBlocks] {
		if b.To.After(c.rcvNxt) {
			c.blocks[kept] = b
			kept++
		}
	}
	c.nBlocks = kept
}

// noteDuplicate remembers what came twice, to be reported once (RFC 2883, 4).
func (c *Conn) noteDuplicate(from, to Seq) {
	c.dsack = Block{from, to}
	if c.has(useSACK) {
		c.flags |= hasDSACK
	}
}

// putBlocks writes what fits into room bytes of options; all: nothing was
// left out. Linux, too, reports at most the blocks that fit.
func (c *Conn) putBlocks(ns *Nodes, o *Options, room int) (all bool) {
	o.NSACK = 0
	if !c.has(useSACK) || !c.has(hasDSACK) && c.nBlocks == 0 {
		return true
	}
	if room < 12 {
		return false
	}
	most := min((room-4)/8, len(o.SACK))
	if c.has(hasDSACK) {
		o.SACK[0] = c.dsack
		o.NSACK = 1
		c.flags &^= hasDSACK
	}
	for _, b := range c.blocks[:c.nBlocks] {
		if int(o.NSACK) == most {
			break
		}
		o.SACK[o.NSACK] = b
		o.NSACK++
	}
	c.told(ns, o)
	return true
}
