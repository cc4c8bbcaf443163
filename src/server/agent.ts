import { EventEmitter } from 'node:events';
import { formatAddress, indexOfAddress, type Address } from '../core/address.js';
import { newAgent, recover } from '../core/agent.js';
import type { AgentIndex } from '../core/ids.js';
import { MESSAGE_NAMES, MessageType, type PeerMessage } from '../core/message.js';
import { DEFAULT_TIMES, type AgentState } from '../core/state.js';
import { readIdentity } from '../journal/identity.js';
import { openJournal, type Journal } from '../journal/journal.js';
import { lockDirectory, type Lock } from '../journal/lock.js';
import { openAgentSocket, type AgentSocket } from '../net/agent-socket.js';
import type { ClientConnection, ClientMessage } from '../net/client-connection.js';
import { openClientListener, type ClientListener } from '../net/client-listener.js';
import { Counters } from '../net/counters.js';
import type { Log } from '../net/logging.js';
import { Application } from './application.js';
import { Clock } from './clock.js';
import { Driver } from './driver.js';
import { compileValidators } from '../wire/validators.js';
import { serveStatus, type StatusServer } from './http.js';
import { logSource } from './log-source.js';
import { listenerLimits, obeysDone, timesFrom, type AgentOptions } from './options.js';
import { statusOf, type AgentStatus } from './status.js';
import { VERSION } from './version.js';

/** What can be watched of an agent. */
export interface AgentEvents {
  /** The leader that this agent follows, itself perhaps, has changed; undefined: none is known. */
  leader: [leader: string | undefined];
  /** Every entry below `committed` is chosen and known here. */
  committed: [committed: number];
  /** The agent has stopped, on request or because it was told Done. */
  stopped: [];
  /** The agent had to stop: its disk or the program itself is at fault. Nothing was sent after that. */
  failed: [error: Error];
}

const silent: Log = () => undefined;

/**
 * One member of a cluster: an agent on UDP, a server for clients and followers on TCP, a journal, and the application
 * (spec.md, "Roles"). Make it with `createAgent`, then `start` it.
 */
export class Agent extends EventEmitter<AgentEvents> {
  readonly #options: AgentOptions;
  readonly #log: Log;
  readonly #refused = new Counters<string>();
  readonly #clock = new Clock();
  /** What each peer said last. */
  readonly #heard = new Map<AgentIndex, { type: MessageType; at_ms: number }>();
  readonly #started_ms = performance.now();
  #lock: Lock | undefined;
  #journal: Journal | undefined;
  #socket: AgentSocket | undefined;
  #listener: ClientListener | undefined;
  #http: StatusServer | undefined;
  #state: AgentState | undefined;
  #driver: Driver | undefined;
  #application: Application | undefined;
  #opening: Promise<void> | undefined;
  #stopping: Promise<void> | undefined;
  #phase: 'new' | 'starting' | 'running' | 'over' = 'new';

  constructor(options: AgentOptions) {
    super();
    this.#options = options;
    this.#log = options.log ?? silent;
  }

  /** Where the agent listens, over UDP and TCP alike. Known once it has started. */
  get address(): Address {
    const { config } = this.#running();
    const own = config.agents[config.self];
    if (own === undefined) throw new Error('the agent is not among its cluster');
    return own;
  }

  /** The agent's state, as `/status` shows it. */
  get status(): AgentStatus {
    const state = this.#running();
    const size = this.#journal?.size() ?? { segments: 0, begun: 0, bytes: 0 };
    const unflushed = (this.#journal?.appended ?? 0) - (this.#journal?.durable ?? 0);
    return statusOf(state, {
      lastHeard: (peer) => {
        const heard = this.#heard.get(peer as AgentIndex);
        if (heard === undefined) return undefined;
        const message = MESSAGE_NAMES[heard.type] ?? '';
        return { message, ms_ago: Math.round(performance.now() - heard.at_ms) };
      },
      journal: { ...size, unflushed },
      app: this.#application?.summary ?? { state: 'none' },
      connections: this.#listener?.connections ?? 0,
      refused: this.#refused.all(),
      uptime_ms: Math.round(performance.now() - this.#started_ms),
      version: VERSION,
    });
  }

  /**
   * Recovers the journal, binds the ports and joins the cluster. Rejects, with everything released again, with a
   * JournalError, ListenError or OptionError that says what is wrong, where, and what to do.
   */
  async start(): Promise<void> {
    if (this.#phase !== 'new') throw new Error('an agent is started once; make another one');
    this.#phase = 'starting';
    this.#opening = this.#open();
    try {
      await this.#opening;
    } catch (error) {
      this.#phase = 'over';
      await this.#release();
      throw error;
    }
    if (this.#hasEnded()) {
      await this.#stopping;
      throw new Error('the agent was stopped, or had to stop, while it started');
    }
    this.#phase = 'running';
    this.#driver?.dispatch({ type: 'start' });
    this.#log('info', 'started', `listens on ${formatAddress(this.address)}, UDP and TCP`, {
      members: this.#running().config.agents.length,
      committed: this.#running().learner.committed,
    });
  }

  /** Stops: clients are told, the application is ended, the journal is flushed, the ports are free again. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop().then(() => {
      this.emit('stopped');
    });
    return this.#stopping;
  }

  /** In a method, as the compiler takes a field for unchanged across an await. */
  #hasEnded(): boolean {
    return this.#phase === 'over';
  }

  async #stop(): Promise<void> {
    this.#phase = 'over';
    await this.#opened();
    this.#driver?.sayGoodbye();
    this.#driver?.stop();
    await this.#release();
    this.#log('info', 'stopped', 'has stopped');
  }

  /** Resolves when nothing is being opened any more, so that all of it can be released. */
  async #opened(): Promise<void> {
    await this.#opening?.catch(() => undefined);
  }

  #running(): AgentState {
    if (this.#state === undefined) throw new Error('the agent has not been started');
    return this.#state;
  }

  async #open(): Promise<void> {
    const options = this.#options;
    const times = timesFrom(options);
    this.#lock = await lockDirectory(options.data_dir);
    const { self: own, agents } = await readIdentity(options.data_dir);
    const self = indexOfAddress(agents, own);
    if (self === undefined) throw new Error('the identity names an agent that is not in its cluster');
    const has_app = options.app !== undefined;
    const state = newAgent({ ...DEFAULT_TIMES, ...times, self, agents, has_app });
    const application = new Application({
      command: options.app,
      hang_ms: times.request_timeout_ms,
      log: this.#log,
    });
    await application.check();

    this.#state = state;
    const journal = await this.#openJournal(state, agents);
    this.#journal = journal;
    this.#socket = await this.#openSocket(self, agents);
    const driver = this.#newDriver(state, journal, this.#socket);
    this.#driver = driver;
    this.#application = application;
    application.attach(logSource(state, journal), driver);
    this.#listener = await this.#openListener(own, agents);
    if (options.http !== undefined) this.#http = await serveStatus(options.http, () => this.status);
    void compileValidators().catch((error: unknown) => this.#fail(error as Error));
  }

  #openJournal(state: AgentState, agents: readonly Address[]): Promise<Journal> {
    const { data_dir, segment_bytes, onRecovery } = this.#options;
    return openJournal({
      directory: data_dir,
      agents,
      onRecord: (record) => recover(state, record),
      mayBegin: () => this.#driver?.mayBegin() ?? true,
      onWriting: () => this.#driver?.writing(),
      onDurable: (position) => this.#driver?.durable(position),
      onFailure: (error) => this.#fail(error),
      log: this.#log,
      ...(onRecovery && { onProgress: onRecovery }),
      ...(segment_bytes !== undefined && { segment_bytes }),
    });
  }

  #openSocket(self: AgentIndex, agents: readonly Address[]): Promise<AgentSocket> {
    return openAgentSocket({
      self,
      agents,
      onMessage: (from, message) => this.#receive(from, message),
      onDone: (from) => this.#onPeerDone(agents[from]),
      onDropped: (code) => this.#refused.count(code),
      together: (handle) => this.#together(handle),
      log: this.#log,
      now_ms: this.#clock.now_ms,
    });
  }

  #receive(from: AgentIndex, message: PeerMessage): void {
    const { type } = message;
    const at_ms = this.#clock.now_ms();
    const heard = this.#heard.get(from);
    if (heard === undefined) this.#heard.set(from, { type, at_ms });
    else {
      heard.type = type;
      heard.at_ms = at_ms;
    }
    this.#driver?.receive(from, message);
  }

  #newDriver(state: AgentState, journal: Journal, socket: AgentSocket): Driver {
    return new Driver({
      state,
      journal,
      socket,
      clock: this.#clock,
      log: this.#log,
      log_debug: this.#options.log_debug ?? false,
      callbacks: {
        onReign: () => this.#application?.start(),
        onAbdicate: (reason) => {
          this.#log('warn', 'abdicated', `leads no longer: ${reason}`);
          this.#application?.stop();
        },
        onFollow: (leader) => this.#onFollow(state, leader),
        onCommitted: (committed) => {
          this.#application?.wake();
          this.emit('committed', committed);
        },
        onHandled: () => this.#listener?.wake(),
        onFatal: (error) => this.#fail(error),
        onNote: (code) => this.#refused.count(code),
      },
    });
  }

  #onFollow(state: AgentState, leader: AgentIndex | undefined): void {
    const address = leader === undefined ? undefined : state.config.agents[leader];
    const name = address && formatAddress(address);
    const isSelf = leader === state.config.self;
    if (!isSelf) this.#log('info', 'follow', name === undefined ? 'knows no leader' : `follows ${name}`);
    this.emit('leader', name);
  }

  #openListener(own: Address, agents: readonly Address[]): Promise<ClientListener> {
    const peers = agents.filter((agent) => agent !== own);
    return openClientListener({
      address: own,
      limits: listenerLimits(this.#options),
      reserved: { places: agents.length - 1, addresses: peers.map(({ address }) => address) },
      onMessage: (connection, message) => this.#onClient(connection, message),
      onEnded: (connection) => {
        if (this.#application?.reads(connection)) this.#application.ended(connection);
        else this.#driver?.clientEnded(connection);
      },
      onClosed: (connection) => {
        this.#application?.closed(connection);
        this.#driver?.clientClosed(connection);
      },
      onRefused: (code, connection) => {
        this.#refused.count(code);
        if (code === 'line-too-long' && connection !== undefined) this.#application?.lineTooLong(connection);
      },
      isBusy: (connection) => this.#isBusy(connection),
      together: (handle) => this.#together(handle),
      intake: {
        openRequests: () => this.#driver?.open_requests ?? 0,
        isHeldUp: () => this.#driver?.disk_is_behind === true,
        isExempt: (connection) => this.#application?.reads(connection) === true,
      },
      log: this.#log,
    });
  }

  #together(handle: () => void): void {
    if (this.#driver === undefined) handle();
    else this.#driver.together(handle);
  }

  #isBusy(connection: ClientConnection): boolean {
    const known = this.#state?.clients.connections.get(connection.id);
    const waits = known !== undefined && (known.outstanding > 0 || known.waiting.length > 0);
    return waits || this.#application?.reads(connection) === true;
  }

  #onClient(connection: ClientConnection, message: ClientMessage): void {
    switch (message.type) {
      case MessageType.ClientRequest:
      case MessageType.ClientConnectRequest:
        this.#driver?.dispatchClient(connection, { type: 'client', connection: connection.id, message });
        return;
      case MessageType.ClientApp:
      case MessageType.AppResponse:
        this.#application?.handle(connection, message);
        return;
      case MessageType.Done:
        if (obeysDone(connection, this.#options)) {
          return this.#onDone(connection.remote);
        }
        connection.refuse(
          'not-allowed',
          'Done is obeyed from the loopback only; start the node with --allow-remote-done to change that',
        );
    }
  }

  /** Over UDP only a peer is heard at all; it counts under the same condition. */
  #onPeerDone(peer: Address | undefined): void {
    if (peer !== undefined && obeysDone({ loopback: peer.address.startsWith('127.') }, this.#options)) {
      this.#onDone(formatAddress(peer));
    }
  }

  #onDone(who: string): void {
    this.#log('warn', 'done', `${who} said Done: stops`);
    void this.stop();
  }

  /** The disk or the program is at fault: no message, vote or answer may leave any more. */
  #fail(error: Error): void {
    if (this.#phase === 'over') return;
    this.#phase = 'over';
    this.#driver?.stop();
    this.#log('error', 'failed', `stops, since it can't go on safely: ${error.message}`);
    this.#stopping ??= this.#opened()
      .then(() => this.#release())
      .finally(() => this.emit('failed', error));
  }

  /** Gives back whatever has been taken, in the opposite order; goes on past what fails. */
  async #release(): Promise<void> {
    const steps: (() => Promise<void> | undefined)[] = [
      () => this.#http?.close(),
      () => this.#application?.end(),
      () => this.#listener?.close(),
      () => this.#socket?.close(),
      () => this.#journal?.close(),
      () => this.#lock?.release(),
    ];
    for (const release of steps) {
      await Promise.resolve(release()).catch((error: unknown) => {
        this.#log(
          'warn',
          'release',
          `while stopping: ${error instanceof Error ? error.message : String(error)}`,
        );
      });
    }
  }
}

/** Makes an agent for a data directory that has been initialised; see `Agent`. */
export function createAgent(options: AgentOptions): Agent {
  return new Agent(options);
}
