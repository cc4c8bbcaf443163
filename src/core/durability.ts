import { MessageType, type PeerMessage } from './message.js';
import { mutants } from './mutants.js';

/**
 * What must be on the disk before a message of a type may leave (spec.md, "Durability"). One exhaustive switch: a new
 * type does not compile until it is decided here.
 * `everything`: every record appended so far, which includes whatever the message reports. `nothing`: it claims only
 * what a quorum's disks hold, or asks without claiming anything.
 */
export function mustBeDurable(message: PeerMessage): 'everything' | 'nothing' {
  switch (message.type) {
    case MessageType.Prepare: // the round is spent
    case MessageType.Nack: // the promise and the acceptance that it reports
      return 'everything';
    case MessageType.Promise: // the promise, the acceptances and the commit index that it reports
      return mutants.promise_not_durable ? 'nothing' : 'everything';
    case MessageType.Accepted: // the acceptance
      return mutants.acceptance_not_durable ? 'nothing' : 'everything';
    case MessageType.AcceptRequest: // the own vote counts only once durable
    case MessageType.Heartbeat: // the notice speaks of what a quorum holds
      return 'nothing';
  }
}
