import { expect } from 'chai';
import { clientId } from '../../src/core/ids.js';
import { Gathering, MAX_GATHER_MS } from '../../src/server/gathering.js';

const clients = (n: number, from = 1): number[] => Array.from({ length: n }, (_, i) => from + i);

/** The group of these clients leaves and is chosen at `at_ms`. */
function round(gathering: Gathering, group: number[], at_ms: number): void {
  for (const client of group) gathering.leaves(clientId(client));
  gathering.chosen(at_ms);
}

/** Ten rounds in which those who are answered come back `after_ms` later, all but the first `absent`. */
function habit(gathering: Gathering, group: number[], { after_ms = 0.5, absent = 0 } = {}): number {
  let now_ms = 0;
  for (let i = 0; i < 10; i++) {
    now_ms += 10;
    round(gathering, group, now_ms);
    for (const client of group.slice(absent)) gathering.came(clientId(client), now_ms + after_ms);
  }
  return now_ms;
}

describe('server, gathering', () => {
  it('waits for nobody before it knows that they come back', () => {
    const gathering = new Gathering();
    expect(gathering.wait_ms(0)).to.equal(0);
    round(gathering, clients(10), 5);
    expect(gathering.wait_ms(5)).to.equal(0);
  });

  it('waits for those who were answered, where they use to come back, until they are there', () => {
    const gathering = new Gathering();
    const now_ms = habit(gathering, clients(10)) + 10;
    round(gathering, clients(10), now_ms);
    expect(gathering.wait_ms(now_ms)).to.equal(MAX_GATHER_MS);
    expect(gathering.wait_ms(now_ms + 0.5)).to.equal(MAX_GATHER_MS - 0.5);
    for (const client of clients(8)) gathering.came(clientId(client), now_ms + 0.6);
    expect(gathering.wait_ms(now_ms + 0.6), 'eight of ten').to.be.above(0);
    for (const client of clients(8)) gathering.came(clientId(client), now_ms + 0.7);
    expect(gathering.wait_ms(now_ms + 0.7), 'the same ones again').to.be.above(0);
    for (const client of clients(2, 9)) gathering.came(clientId(client), now_ms + 0.8);
    expect(gathering.wait_ms(now_ms + 0.8)).to.equal(0);
  });

  it('waits for as many as use to come back', () => {
    const gathering = new Gathering();
    const now_ms = habit(gathering, clients(10), { absent: 4 }) + 10;
    round(gathering, clients(10), now_ms);
    for (const client of clients(5)) gathering.came(clientId(client), now_ms);
    expect(gathering.wait_ms(now_ms)).to.be.above(0);
    gathering.came(clientId(6), now_ms);
    expect(gathering.wait_ms(now_ms)).to.equal(0);
  });

  it('never waits longer than a moment after the answers', () => {
    const gathering = new Gathering();
    const now_ms = habit(gathering, clients(10)) + 10;
    round(gathering, clients(10), now_ms);
    expect(gathering.wait_ms(now_ms + MAX_GATHER_MS)).to.equal(0);
    expect(gathering.wait_ms(now_ms + 1000)).to.equal(0);
  });

  it('does not wait where others come than were answered, or the same too late', () => {
    const others = new Gathering();
    for (let i = 0; i < 10; i++) {
      round(others, clients(10, 100 * i), 10 * i);
      for (const client of clients(10, 100 * i + 50)) others.came(clientId(client), 10 * i);
    }
    round(others, clients(10), 100);
    expect(others.wait_ms(100)).to.equal(0);

    const late = new Gathering();
    const now_ms = habit(late, clients(10), { after_ms: MAX_GATHER_MS }) + 10;
    round(late, clients(10), now_ms);
    expect(late.wait_ms(now_ms)).to.equal(0);
  });

  it('does not wait for many, and forgets how it was', () => {
    const gathering = new Gathering();
    const now_ms = habit(gathering, clients(65)) + 10;
    round(gathering, clients(65), now_ms);
    expect(gathering.wait_ms(now_ms), 'many').to.equal(0);
    const later_ms = habit(gathering, clients(10)) + 10;
    for (let i = 0; i < 3; i++) habit(gathering, clients(10), { absent: 10 });
    round(gathering, clients(10), later_ms);
    expect(gathering.wait_ms(later_ms), 'not any more').to.equal(0);
  });

  it('has a client that asks alone wait for nothing', () => {
    const gathering = new Gathering();
    const now_ms = habit(gathering, clients(1)) + 10;
    round(gathering, clients(1), now_ms);
    gathering.came(clientId(1), now_ms + 1);
    expect(gathering.wait_ms(now_ms + 1)).to.equal(0);
  });
});
