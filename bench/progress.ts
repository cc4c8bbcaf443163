import { Presets, SingleBar } from 'cli-progress';

export interface Progress {
  step(text: string): void;
  /** A line that stays. */
  say(text: string): void;
  end(): void;
}

/** A bar on a terminal, lines elsewhere; on standard error. */
export function startProgress(steps: number): Progress {
  return process.stderr.isTTY ? bar(steps) : lines(steps);
}

function bar(steps: number): Progress {
  const shown = new SingleBar(
    {
      format: '{bar} {value}/{total} {duration_formatted} | {text}',
      clearOnComplete: true,
      hideCursor: true,
    },
    Presets.shades_classic,
  );
  let done = 0;
  shown.start(steps, 0, { text: '' });
  return {
    step: (text) => shown.update(Math.min(done++, steps), { text }),
    say: (text) => {
      shown.stop();
      process.stderr.write(`${text}\n`);
      shown.start(steps, done, { text });
    },
    end: () => shown.stop(),
  };
}

function lines(steps: number): Progress {
  let done = 0;
  const say = (text: string): void => void process.stderr.write(`${text}\n`);
  return { step: (text) => say(`[${++done}/${steps}] ${text}`), say, end: () => undefined };
}

export const SILENT: Progress = { step: () => undefined, say: () => undefined, end: () => undefined };
