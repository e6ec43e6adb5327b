package tcp

// Counters counts what happened to the flows of one shard, in the words of
// Linux's TcpExt where the meaning is the same. Every dropped segment has a
// counter of its own.
type Counters struct {
	InSegs, OutSegs, RetransSegs                                uint64
	ActiveOpens, PassiveOpens, AttemptFails, EstabResets        uint64
	FastRetrans, TLPProbes, Timeouts, PersistProbes, KeepAlives uint64
	DupAcks, DSACKRecv, SACKReneging, SpuriousRTOs              uint64
	PAWSDrops, OldAckDrops, OutOfWindow, ChallengeAcks          uint64
	ChallengeSkipped                                            uint64
	AckOfUnsent, NoACKFlag, NoRoomDrops, OfoDrops, Duplicate    uint64
	DataAfterClose, NoSYNFlag, ResetIgnored                     uint64
	SyncookiesSent, SyncookiesRecv, SyncookiesFailed            uint64
	// Coalesced spans were small and copied behind others as they came; pruned
	// ones were dropped out of the out-of-order queue while frames were short.
	Coalesced, OfoPruned uint64
	// NodeVisits is how many nodes of send queues acknowledgements and timeouts
	// made us look at.
	NodeVisits uint64
	// InCE counts marked segments that came, ECNReductions echoes that were
	// answered, ECNFallbacks SYNs repeated without asking.
	InCE, ECNReductions, ECNFallbacks uint64
	// BlackHoles counts that segments were made smaller since large ones vanished
	// without a word; MTUProbes larger ones that tried the path, and how many arrived.
	BlackHoles, MTUProbes, MTUProbesOK uint64
}
