import { expect } from 'chai';
import { describeLanguage, LANGUAGES } from './languages.js';
import { Driver } from './programs.js';
import { Player, readTranscript } from './transcript.js';

/** The one transcript that the clients of all languages must pass (clients/README.md, "Transcript"). */
const scenarios = readTranscript(new URL('../../clients/transcript.txt', import.meta.url));

describe('the clients’ transcript', () => {
  for (const language of LANGUAGES) {
    describeLanguage(language, () => {
      let driver: Driver;

      before(() => {
        driver = new Driver(language);
      });

      after(async () => {
        expect(await driver.end(), 'the driver’s exit code').to.equal(0);
      });

      for (const scenario of scenarios) {
        it(scenario.title, () => new Player(language, driver).play(scenario));
      }
    });
  }
});
