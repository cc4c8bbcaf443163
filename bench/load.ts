/** The load generator, as a process of its own: takes orders over IPC, one load at a time. */
import { Load } from '../src/cli/load/load.js';
import type { LoadPlan } from '../src/cli/load/plan.js';

export type Order =
  | { readonly order: 'run'; readonly call: number; readonly plan: LoadPlan }
  | { readonly order: 'sample'; readonly call: number }
  | { readonly order: 'first-answer-after'; readonly call: number; readonly at_ms: number }
  | { readonly order: 'stop'; readonly call: number };

export type Reply =
  | { readonly call: number; readonly ok: true; readonly result: unknown }
  | { readonly call: number; readonly ok: false; readonly error: string };

let load: Load | undefined;

async function carryOut(order: Order): Promise<unknown> {
  switch (order.order) {
    case 'run':
      load = new Load(order.plan);
      return load.run();
    case 'sample':
      return load?.sample();
    case 'first-answer-after':
      return load?.firstAnswerAfter(order.at_ms);
    case 'stop':
      return load?.stop();
  }
}

process.on('message', (order: Order) => {
  const { call } = order;
  const reply = (answer: Reply): void => void process.send?.(answer);
  carryOut(order).then(
    (result) => reply({ call, ok: true, result }),
    (error: unknown) =>
      reply({ call, ok: false, error: error instanceof Error ? error.message : String(error) }),
  );
});
process.once('disconnect', () => process.exit(0));
