/**
 * Carries out the handling of all that came at once: of a datagram, or of what one read of a connection brought. Who is
 * to do something after every message may do it once, at the end.
 */
export type Together = (handle: () => void) => void;

/** For those who have nothing to do afterwards. */
export const separately: Together = (handle) => handle();
