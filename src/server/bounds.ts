/** Entries of a stream of the log that the core is handed at once: a millisecond's work. */
export const MAX_FETCHED_AT_ONCE = 256;

/** Events that are one step of the core at most: so many that what follows a step costs little beside them. */
export const MAX_EVENTS_AT_ONCE = 64;

/** Records that may wait for the disk before a stream of the log is held up: a few groups' worth. */
export const MAX_UNFLUSHED_RECORDS = 8192;

/**
 * Bytes of records that may wait for a disk that hangs or can't keep up: seconds of what a good one takes. Past it no
 * stream goes on, clients are left waiting in their sockets, and what peers want written down is dropped, as UDP may
 * lose anything: they send it again, or it is fetched once the disk is back. Without a bound a node's memory would fill
 * at the speed of the cluster.
 */
export const MAX_WAITING_BYTES = 32 * 1024 * 1024;

/**
 * How long proposals wait at most: for the leader's own disk to take the group that they ride with, and for what has
 * left before them to be chosen. Longer than good disks and a good network take, and short enough that a quorum of
 * others decides without a disk that is slow, and that a far network is kept full. It is also how long what an agent
 * learns waits for its votes, to be flushed along with them.
 */
export const MAX_RIDE_MS = 5;
