import { expect } from 'chai';
import { PRESETS } from '../../../src/sim/explorer/bounds.js';
import { Explorer } from '../../../src/sim/explorer/explorer.js';
import type { Action } from '../../../src/sim/explorer/local.js';
import { SHIPPED } from '../../../src/sim/explorer/protocol.js';
import { ScenarioWriter } from '../../../src/sim/explorer/scenario-writer.js';
import { Scenario } from '../../support/scenario.js';

function kindOf(explorer: Explorer, action: Action): string {
  return action.kind === 'deliver' ? explorer.items.get(action.item).kind : action.kind;
}

/** What a scenario's last `state` says. */
function play(text: string): string[] {
  const scenario = new Scenario();
  let last: string[] = [];
  for (const line of text.split('\n')) {
    if (!line.startsWith('> ')) continue;
    const shown = scenario.run(line.slice(2));
    if (line === '> state') last = shown;
  }
  return last;
}

describe('explorer: paths as scenarios', function () {
  this.timeout(60_000);

  for (const name of ['alone-3-1-2-1', 'alone-3-2-2', 'learners-3-1-2']) {
    it(`the way to states of ${name} can be played, and leads there`, () => {
      const explorer = new Explorer(PRESETS[name]!);
      const { states } = explorer.run();
      let played = 0;
      const seen = new Set<string>();
      for (let index = 1; index < states; index += Math.ceil(states / 150)) {
        const moves = explorer.path(index);
        for (const { action } of moves) seen.add(kindOf(explorer, action));
        played++;
        const text = new ScenarioWriter(explorer, SHIPPED).write('A path.', moves);
        const shown = play(text);
        for (const [i, id] of explorer.coresOf(index).entries()) {
          const { live } = explorer.cores.get(id);
          const { promised } = live.acceptor;
          const promise =
            promised.owner === undefined
              ? 'nothing promised'
              : `promised ${promised.round} to ${promised.owner}`;
          expect(shown[i], text).to.include(promise);
          expect(shown[i], text).to.include(
            live.proposer.reign === undefined ? '' : `leads at round ${live.proposer.reign.round}`,
          );
          for (const { value } of live.learner.chosen.values())
            expect(shown[i], text).to.include(`${value}*`);
        }
      }
      expect(played).to.be.above(100);
      if (PRESETS[name]!.learners) expect([...seen]).to.include.members(['silent-disk', 'streamed']);
    });
  }
});
