import type { Decree } from '../core/decree.js';
import { entry as entryOf, type Entry } from '../core/ids.js';
import { wasExecuted } from '../core/learner.js';
import { MessageType, type LogResponse } from '../core/message.js';
import { recall } from '../core/sessions.js';
import { AppStream, type Judgement } from '../net/app-stream.js';
import { Program } from './app.js';
import { mustHold } from './failure.js';
import type { Life } from './life.js';

const RESTART_MS = 100;

/** What an answer is worth that was given before. So much may have been sent since that its entry is forgotten. */
const AGAIN = ['twice', 'not-awaited'] as const;

/** The application of a leader: started with its reign, ended with it, restarted when it crashes. */
export class AppProcess {
  #stream: AppStream | undefined;
  #program = new Program();
  #killed = false;
  /** Counts processes, so that what one was sent doesn't reach the next. */
  #process = 0;
  #queue: LogResponse[] = [];
  #working = false;
  /** Entries that were answered before their turn. */
  readonly #spoilt = new Set<Entry>();
  /** Whether any ever was: nobody gets its answer from this process. */
  #spoils = false;
  #hangs_until_ms = 0;
  #slow_until_ms = 0;

  constructor(private readonly life: Life) {
    this.#start();
  }

  #start(): void {
    const { schedule, random } = this.life.world;
    const process = ++this.#process;
    schedule.after(random.between(1, RESTART_MS), () =>
      this.life.arrive(() => {
        if (this.#killed || process !== this.#process) return;
        this.#program = new Program();
        const { learner } = this.life.state;
        this.#stream = new AppStream(entryOf(0), {
          isExecuted: (entry: Entry) => wasExecuted(learner, entry),
          isRemembered: (_entry: Entry, { id, no }: Decree) =>
            recall(learner.sessions, id, no).kind === 'executed',
        });
        this.life.handle({ type: 'app-attached', first: entryOf(0) });
        this.wake();
      }),
    );
  }

  /** The process is ended for good. */
  kill(): void {
    if (this.#killed) return;
    const wasAttached = this.#stream !== undefined;
    this.#drop();
    this.#killed = true;
    if (wasAttached && !this.life.dead) {
      // The core is in the midst of a step's effects: it hears of it next.
      this.life.world.schedule.after(0, () =>
        this.life.arrive(() => this.life.handle({ type: 'app-detached', expected: true })),
      );
    }
  }

  crash(): void {
    if (this.#killed || this.#stream === undefined) return;
    this.life.world.trace.note('app-crash', this.life.node.index);
    this.#drop();
    this.life.handle({ type: 'app-detached', expected: true });
    this.#start();
  }

  hang(for_ms: number): void {
    this.#hangs_until_ms = this.life.world.schedule.now_ms + for_ms;
  }

  slow(for_ms: number): void {
    this.#slow_until_ms = this.life.world.schedule.now_ms + for_ms;
  }

  /** One that hangs is replaced, and one that owes an answer for good. */
  heal(): void {
    const hangs = this.#hangs_until_ms > this.life.world.schedule.now_ms || this.#spoils;
    this.#hangs_until_ms = 0;
    this.#slow_until_ms = 0;
    if (hangs) this.crash();
  }

  #drop(): void {
    this.#stream = undefined;
    this.#queue = [];
    this.#working = false;
    this.#spoilt.clear();
    this.#spoils = false;
    this.#process++;
  }

  /** Sends the application what is chosen by now, as far as its window allows. */
  wake(): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    const { state, world, node } = this.life;
    while (!stream.full && stream.next < state.learner.committed) {
      const stored = this.life.stored(stream.next);
      world.checker.onTold(node.index, stored.entry, stored.decree);
      const message = stream.offer(stored);
      world.checker.onOffered(stored.entry, message !== undefined);
      if (message !== undefined) this.#queue.push(message);
    }
    this.#work();
  }

  #work(): void {
    if (this.#working || this.#queue.length === 0) return;
    this.#working = true;
    const { schedule, random } = this.life.world;
    const { now_ms } = schedule;
    const slow_ms = now_ms < this.#slow_until_ms ? random.between(10, 500) : 0;
    const process = this.#process;
    schedule.after(random.between(0.01, 0.5) + slow_ms, () =>
      this.life.arrive(() => {
        if (this.#killed || process !== this.#process) return;
        this.#working = false;
        const wait_ms = this.#hangs_until_ms - schedule.now_ms;
        if (wait_ms <= 0) return this.#answer();
        // A process that hangs longer than the driver's patience is replaced; a shorter time it only loses.
        this.#working = true;
        schedule.after(wait_ms, () =>
          this.life.arrive(() => {
            if (this.#killed || process !== this.#process) return;
            this.#working = false;
            this.#work();
          }),
        );
      }),
    );
  }

  #answer(): void {
    const sent = this.#queue.shift();
    const stream = this.#stream;
    if (sent === undefined || stream === undefined) return;
    const { entry, request } = sent;
    const value = this.#program.apply(sent.value);
    this.life.world.checker.onApplied(entry, value);
    const isSpoilt = this.#spoilt.delete(entry);
    if (isSpoilt) this.#say(sent, value, ...AGAIN);
    else if (!request.noset) {
      this.#say(sent, value, 'answered');
      this.life.handle({ type: 'app-response', entry, value });
    }
    const { random, plan, calm } = this.life.world;
    const isOdd = !calm && random.chance(plan.odd_answers ?? 0);
    if (isOdd && !isSpoilt && !this.#killed) this.#beOdd(sent);
    this.wake();
  }

  #say({ entry, request }: LogResponse, value: string, ...verdicts: Judgement['verdict'][]): void {
    const judged = this.#stream?.judge({ type: MessageType.AppResponse, request, entry, value });
    mustHold(
      judged === undefined || verdicts.includes(judged.verdict),
      'app',
      () => `entry ${entry}: ${judged?.verdict ?? ''}`,
    );
  }

  /** Answers twice, for nothing, or before its turn: none of it counts (faults.md, row 62). */
  #beOdd(sent: LogResponse): void {
    const { world } = this.life;
    const oddity = world.random.pick(['twice', 'never-sent', 'out-of-order'] as const);
    if (oddity === 'twice') {
      if (sent.request.noset) return;
      this.#say(sent, 'another answer', ...AGAIN);
      // The core doesn't rely on the stream's judgement either.
      this.life.handle({ type: 'app-response', entry: sent.entry, value: 'another answer' });
    } else if (oddity === 'never-sent') {
      const next = this.#stream?.next ?? 0;
      this.#say({ ...sent, entry: entryOf(next + world.random.below(1000)) }, '', 'never-sent');
    } else {
      const [first, later] = this.#queue.filter(
        ({ entry, request }) => !request.noset && !this.#spoilt.has(entry),
      );
      if (first === undefined || later === undefined) return;
      this.#say(later, 'too early', 'out-of-order');
      this.#spoilt.add(later.entry);
      this.#spoils = true;
    }
    world.counters.add(`fault: application answers, ${oddity}`);
  }
}
