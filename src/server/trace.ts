import type { Effect } from '../core/effect.js';
import type { Event } from '../core/event.js';
import { MESSAGE_NAMES } from '../core/message.js';
import type { Log } from '../net/logging.js';

type Details = Record<string, string | number | boolean>;

/** Logs what an entry goes through, from request to response, at level `debug`. */
export function traceEvent(log: Log, event: Event): void {
  switch (event.type) {
    case 'message': {
      const { message, from } = event;
      return log('debug', 'receive', `receives ${nameOf(message)}`, { from, ...figuresOf(message) });
    }
    case 'client': {
      const { message, connection } = event;
      return log('debug', 'request', `a client sends ${nameOf(message)}`, {
        connection,
        ...figuresOf(message),
      });
    }
    case 'app-response':
      return log('debug', 'app-response', 'the application has answered', { entry: event.entry });
    case 'several':
      for (const one of event.events) traceEvent(log, one);
      return;
    case 'durable':
      return log('debug', 'durable', 'is on the disk', { position: event.position });
    default:
      return;
  }
}

export function traceEffect(log: Log, effect: Effect): void {
  switch (effect.type) {
    case 'persist': {
      const { record, position } = effect;
      const code = `persist-${record.verdict}`;
      return log('debug', code, `appends "${record.verdict}"`, { position, ...figuresOf(record) });
    }
    case 'send': {
      const { message, to, after } = effect;
      return log('debug', 'send', `sends ${nameOf(message)}`, { to, after, ...figuresOf(message) });
    }
    case 'reply': {
      const { message, connection } = effect;
      return log('debug', 'reply', `replies ${nameOf(message)}`, { connection, ...figuresOf(message) });
    }
    case 'committed':
      return log('debug', 'committed', 'knows every entry below chosen', { committed: effect.committed });
    default:
      return;
  }
}

function nameOf(message: { readonly type: number }): string {
  return MESSAGE_NAMES[message.type] ?? `type ${message.type}`;
}

/** The numbers by which one finds a line again: the entry, the round, and whose request it is. */
function figuresOf(thing: object): Details {
  const figures: Details = {};
  const take = (source: object, names: readonly string[]): void => {
    for (const name of names) {
      const value: unknown = Reflect.get(source, name);
      if (typeof value === 'number') figures[name] = value;
    }
  };
  take(thing, ['entry', 'round', 'committed']);
  if ('request' in thing) take(thing.request as object, ['id', 'no']);
  return figures;
}
