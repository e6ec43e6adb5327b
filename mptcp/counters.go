package mptcp

// Counters counts what happened to the connections of one shard, in the words
// of Linux's MPTcpExt where the meaning is the same. Everything that is
// dropped has a counter of its own.
type Counters struct {
	// Handshake.
	MPCapableSYNRX, MPCapableSYNTX, MPCapableSYNACKRX, MPCapableACKRX uint64
	MPCapableFallbackACK                                              uint64 // the third ACK or its data had no MP_CAPABLE
	MPCapableFallbackSYNACK                                           uint64 // the SYN-ACK had none
	MPCapableIgnored                                                  uint64 // a SYN's MP_CAPABLE was of a form we do not speak
	MPCapableMute                                                     uint64 // a SYN of version 0 with flag B, dropped
	MPCapablePlainSYN                                                 uint64 // a SYN came again without it
	Blackhole                                                         uint64 // plain TCP was dialled: the path had swallowed SYNs with MP_CAPABLE
	MPFallbackTokenInit                                               uint64 // no key was found
	MPCapableCookieKey                                                uint64 // the ACK of a SYN cookie echoed a key that is not ours

	// Joins.
	MPJoinSynRx, MPJoinSynTx, MPJoinSynAckRx, MPJoinAckRx uint64
	MPJoinNoTokenFound                                    uint64
	MPJoinSynAckHMacFailure, MPJoinAckHMacFailure         uint64
	MPJoinRejected                                        uint64 // a limit, or the connection takes no more
	MPJoinFlood                                           uint64 // dropped: too many were in progress, or began
	MPJoinEarly                                           uint64 // it overtook the third ACK of the first subflow: dropped
	MPJoinInitial                                         uint64 // to the address and port of the initial subflow, which we had asked not to be joined
	MPJoinNoOption                                        uint64 // the third ACK or SYN-ACK had no MP_JOIN
	MPJoinAckAgain                                        uint64 // a third ACK came again
	MPJoinUnable                                          uint64 // no route, port or memory for a subflow that was wanted

	// Data.
	DSSNotMatching     uint64 // a mapping contradicted an earlier one
	DSSNoMatchTCP      uint64 // a mapping covers nothing the subflow can still yield
	DSSOverflow        uint64 // too many mappings wait
	DSSUnknownKey      uint64 // a mapping could not be placed before the peer's key was known
	DSSChecksumForm    uint64 // a checksum was there or missing against the agreement
	NoDSSInWindow      uint64 // data remained without mapping
	DataCsumErr        uint64
	DuplicateData      uint64
	OutOfWindow        uint64 // data beyond the window we promised
	OFOQueue           uint64
	OFODrops           uint64 // the queue of data out of order was full
	RcvPressure        uint64 // payload refused: small spans use up the buffer
	DataAckBeyond      uint64 // a DATA_ACK of what was never sent
	Unmapped           uint64 // bytes whose mapping never came, dropped: they come again
	InfiniteMapRx      uint64
	MalformedOptions   uint64
	UnacceptableIgnore uint64 // options of unacceptable segments

	// Sending.
	MPTCPRetrans    uint64 // ranges sent again on another subflow
	Unblocked       uint64 // mappings sent again because they held the window up
	DataRTO         uint64 // data-level timeouts
	WinProbe        uint64 // data-level zero window probes
	SubflowStale    uint64
	SubflowRecover  uint64
	DataFinRetrans  uint64
	StallTimeout    uint64 // a peer kept its window shut for too long
	SchedulerBursts uint64
	BurstBytes      uint64

	// Fallback.
	DssFallback           uint64 // options are stripped
	DssFinFallback        uint64 // the DATA_FIN does not get through
	DSSCorruptionFallback uint64 // a checksum failed on the only subflow, here or at the peer
	DSSCorruptionReset    uint64 // a checksum failed, and the subflow was reset
	InfiniteMapTx         uint64
	FallbackFailed        uint64 // it was too late: the subflow was reset

	// Addresses and priority.
	AddAddr, EchoAddTx, AddAddrDrop, AddAddrHMac uint64
	AddAddrTx, EchoAdd                           uint64
	AddAddrTxDrop                                uint64 // it did not fit beside tcp's options
	AddAddrUnechoed                              uint64 // told often enough, never echoed
	RmAddr, RmAddrDrop, RmAddrKept, RmSubflow    uint64
	RmAddrTx                                     uint64
	MPPrioRx, MPPrioTx                           uint64
	RecordsLost                                  uint64 // nobody read them in time

	// Ends.
	MPFailRx, MPFailTx           uint64
	MPFastcloseRx, MPFastcloseTx uint64
	MPFastcloseKey               uint64 // with a wrong key
	MPFastcloseMute              uint64 // nobody answered ours
	MPRstRx, MPRstTx             uint64
	CloseTimeout                 uint64 // a connection without subflows, or released, waited too long

	MPCurrEstab uint64
}
