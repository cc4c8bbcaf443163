import { createRequire } from 'node:module';
import pino, { type Logger } from 'pino';
import type Pretty from 'pino-pretty';
import type { Log } from '../net/logging.js';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevelName = (typeof LOG_LEVELS)[number];

/** The level that the environment asks for; `info` if it doesn't. Throws a RangeError that says what is possible. */
export function levelFrom(env: Readonly<Record<string, string | undefined>>): LogLevelName {
  const wanted = (env['LOG_LEVEL'] ?? '').toLowerCase();
  if (wanted === '') return 'info';
  const level = LOG_LEVELS.find((name) => name === wanted);
  if (level === undefined) {
    throw new RangeError(`LOG_LEVEL: "${wanted}" is no level; use one of ${LOG_LEVELS.join(', ')}`);
  }
  return level;
}

/** A logger on standard error: readable on a terminal, JSON lines elsewhere. */
export function createLogger(level: LogLevelName, isTerminal = process.stderr.isTTY): Logger {
  if (!isTerminal) return pino({ level, base: null }, pino.destination({ fd: 2, sync: true }));
  // Loaded here, as what runs without a terminal never needs it.
  const pretty = createRequire(import.meta.url)('pino-pretty') as typeof Pretty;
  const stream = pretty({
    destination: 2,
    sync: true,
    ignore: 'pid,hostname',
    translateTime: 'HH:MM:ss.l',
    singleLine: true,
  });
  return pino({ level, base: null }, stream);
}

/** What the rooms below log through: a code to search for, a sentence to read, and the figures. */
export function logThrough(logger: Logger): Log {
  return (level, code, text, details) => logger[level]({ code, ...details }, text);
}
