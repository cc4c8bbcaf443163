/**
 * Calls back once everything that had arrived at the process's sockets before this call has had a chance to be read.
 * When a process was stopped and goes on, a timer that is due fires before the input that queued meanwhile is read;
 * whoever wants to say "nothing came" asks here first. The first turn may be in its polling phase already or past
 * it; a whole polling phase lies before the second.
 */
export function afterPolling(callback: () => void): void {
  setImmediate(() => setImmediate(callback));
}
