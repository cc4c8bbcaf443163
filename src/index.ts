/**
 * paxosd as a library: make an agent, run it, watch it, stop it. The command line is a thin user of this.
 *
 * ```ts
 * import { createAgent, initialise } from 'paxosd';
 *
 * const self = { address: '127.0.0.1', port: '7001' };
 * await initialise('data/7001', { self, agents: [self] });
 * const agent = createAgent({ data_dir: 'data/7001', app: './kvapp' });
 * agent.on('leader', (leader) => console.log('follows', leader));
 * await agent.start();
 * ```
 */
export { compareAddresses, formatAddress, type Address } from './core/address.js';
export { ERROR_CODES, type Certainty, type ErrorCode } from './core/errors.js';
export { MAX_VALUE_COST, valueCost } from './core/limits.js';
export { initialise, readIdentity, type Identity, type InitialiseOptions } from './journal/identity.js';
export { JournalError, type JournalErrorCode } from './journal/journal-error.js';
export { ListenError } from './net/listen-error.js';
export type { ListenerLimits } from './net/client-listener.js';
export type { Log, LogDetails, LogLevel } from './net/logging.js';
export { Agent, createAgent, type AgentEvents } from './server/agent.js';
export { createLogger, logThrough } from './server/log.js';
export { membersFrom, OptionError, parseAddress, type AgentOptions } from './server/options.js';
export type { AgentStatus, AppSummary, PeerStatus } from './server/status.js';
export { VERSION } from './server/version.js';
