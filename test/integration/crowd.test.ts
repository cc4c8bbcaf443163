import { expect } from 'chai';
import { TEST_APP, TEST_TIMEOUT_MS, useClusters } from '../support/cluster-hooks.js';

const CLIENTS = 300;
const REQUESTS_EACH = 6;

describe('integration: a crowd of clients', function () {
  this.timeout(TEST_TIMEOUT_MS);
  const cluster = useClusters();

  it(`row 75: ${CLIENTS} connections at once, ${REQUESTS_EACH} requests each: all answered, each executed once`, async () => {
    const all = await cluster({ nodes: 3, app: TEST_APP });
    const leader = await all.leader();
    const crowd = Array.from({ length: CLIENTS }, (_, c) => ({ c, client: all.client() }));
    // One request of each first, so that all connections are open at the same time.
    const first = await Promise.all(crowd.map(({ c, client }) => client.request(`${c}/0`)));
    const { clients } = await leader.until(
      'all connections',
      (status) => status.clients.connections >= CLIENTS,
    );
    expect(clients.sessions).to.equal(CLIENTS);
    const rest = await Promise.all(
      crowd.flatMap(({ c, client }) =>
        Array.from({ length: REQUESTS_EACH - 1 }, (_, i) => client.request(`${c}/${i + 1}`)),
      ),
    );
    const answers = [...first, ...rest].map(({ value }) => value.split(':'));
    const total = CLIENTS * REQUESTS_EACH;
    expect(new Set(answers.map(([place]) => place))).to.have.property('size', total);
    expect(Math.max(...answers.map(([place]) => Number(place)))).to.equal(total);
    expect(new Set(answers.map(([, value]) => value))).to.have.property('size', total);

    const count = await all.settled(all.nodes, total);
    const log = (await all.log(all.nodes[0]!, count)).filter(({ id }) => id > 0);
    expect(log).to.have.length(total);
    expect(new Set(log.map(({ value }) => value))).to.have.property('size', total);
    expect((await leader.status())?.clients.waiting).to.equal(0);
  });
});
