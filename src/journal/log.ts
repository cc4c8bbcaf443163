/** Where the journal tells what an operator should know. Codes are stable, texts are for people. */
export type Log = (
  level: 'debug' | 'info' | 'warn' | 'error',
  code: string,
  text: string,
  details?: Record<string, string | number | boolean>,
) => void;
