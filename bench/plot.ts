/** Line charts as SVG: axes linear or logarithmic, one colour and one shape of line for each series. */
export interface Series {
  readonly name: string;
  readonly points: readonly (readonly [x: number, y: number])[];
  readonly dashed?: boolean;
  /** Which colour, by number; the series' own if absent. */
  readonly colour?: number;
}

export interface Axis {
  readonly label: string;
  readonly log?: boolean;
  /** Where the axis ends at least; a linear one begins at 0 unless this says otherwise. */
  readonly min?: number;
}

export interface Chart {
  readonly title: string;
  readonly x: Axis;
  readonly y: Axis;
  readonly series: readonly Series[];
  /** Vertical lines with a word each. */
  readonly marks?: readonly { readonly x: number; readonly text: string }[];
}

const WIDTH = 720;
const HEIGHT = 400;
const LEFT = 76;
const RIGHT = 24;
const TOP = 44;
const BOTTOM = 52;
const LEGEND_LINE = 18;
const MAX_TICKS = 8;

/** Told apart by people who see colours in any of the usual ways. */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9'];

interface Scale {
  at(value: number): number;
  readonly ticks: readonly number[];
}

export function lineChart(chart: Chart): string {
  const all = chart.series.flatMap(({ points }) => points);
  const x = scaleOf(
    chart.x,
    [...all.map(([value]) => value), ...(chart.marks ?? []).map((mark) => mark.x)],
    [LEFT, WIDTH - RIGHT],
  );
  const y = scaleOf(
    chart.y,
    all.map(([, value]) => value),
    [HEIGHT - BOTTOM, TOP],
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<title>${escape(chart.title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    text(WIDTH / 2, 22, chart.title, 'middle', ' font-size="15"'),
    ...x.ticks.flatMap((tick) => [
      line(x.at(tick), TOP, x.at(tick), HEIGHT - BOTTOM, '#e4e4e4'),
      text(x.at(tick), HEIGHT - BOTTOM + 16, tickText(tick), 'middle'),
    ]),
    ...y.ticks.flatMap((tick) => [
      line(LEFT, y.at(tick), WIDTH - RIGHT, y.at(tick), '#e4e4e4'),
      text(LEFT - 6, y.at(tick) + 4, tickText(tick), 'end'),
    ]),
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 14, chart.x.label, 'middle'),
    `<g transform="rotate(-90 18 ${(TOP + HEIGHT - BOTTOM) / 2})">${text(18, (TOP + HEIGHT - BOTTOM) / 2, chart.y.label, 'middle')}</g>`,
    ...(chart.marks ?? []).flatMap((mark) => [
      line(x.at(mark.x), TOP, x.at(mark.x), HEIGHT - BOTTOM, '#888888', ' stroke-dasharray="2 3"'),
      markText(x.at(mark.x), mark.text),
    ]),
    ...chart.series.map((series, i) => curve(series, i, x, y)),
    // A single line is named by the axis.
    ...(chart.series.length > 1 ? chart.series.map((series, i) => legend(series, i)) : []),
    '</svg>',
    '',
  ].join('\n');
}

function curve({ points, dashed, colour }: Series, i: number, x: Scale, y: Scale): string {
  const places = points.map((point) => `${x.at(point[0]).toFixed(1)},${y.at(point[1]).toFixed(1)}`);
  const stroke = colourOf(colour ?? i);
  const dash = dashed ? ' stroke-dasharray="6 4"' : '';
  const dots =
    points.length > 30
      ? ''
      : places
          .map((place) => place.split(','))
          .map(([cx, cy]) => `<circle cx="${cx ?? ''}" cy="${cy ?? ''}" r="3" fill="${stroke}"/>`)
          .join('');
  return `<polyline fill="none" stroke="${stroke}" stroke-width="2"${dash} points="${places.join(' ')}"/>${dots}`;
}

function legend({ name, dashed, colour }: Series, i: number): string {
  const y = TOP + 14 + i * LEGEND_LINE;
  const x = LEFT + 14;
  return (
    line(
      x,
      y - 4,
      x + 24,
      y - 4,
      colourOf(colour ?? i),
      ` stroke-width="2"${dashed ? ' stroke-dasharray="6 4"' : ''}`,
    ) + text(x + 30, y, name, 'start')
  );
}

/** Beside its line, on the side where there is more room. */
function markText(x: number, words: string): string {
  return x > WIDTH / 2 ? text(x - 4, TOP + 12, words, 'end') : text(x + 4, TOP + 12, words, 'start');
}

function colourOf(i: number): string {
  return COLOURS[i % COLOURS.length] ?? '#000000';
}

function line(x1: number, y1: number, x2: number, y2: number, stroke: string, more = ''): string {
  const [a, b, c, d] = [x1, y1, x2, y2].map((value) => value.toFixed(1));
  return `<line x1="${a ?? ''}" y1="${b ?? ''}" x2="${c ?? ''}" y2="${d ?? ''}" stroke="${stroke}"${more}/>`;
}

function text(x: number, y: number, words: string, anchor: string, more = ''): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}" text-anchor="${anchor}" fill="#222222"${more}>${escape(words)}</text>`;
}

function escape(words: string): string {
  return words
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;');
}

function tickText(value: number): string {
  const size = Math.abs(value);
  if (size >= 1e6) return `${Number((value / 1e6).toPrecision(3))}M`;
  if (size >= 1e3) return `${Number((value / 1e3).toPrecision(3))}k`;
  return String(Number(value.toPrecision(3)));
}

function scaleOf(axis: Axis, values: readonly number[], [from, to]: readonly [number, number]): Scale {
  const usable = axis.log ? values.filter((value) => value > 0) : values;
  const low = usable.reduce((least, value) => Math.min(least, value), Infinity);
  const high = usable.reduce((most, value) => Math.max(most, value), -Infinity);
  return axis.log ? logScale(low, high, from, to) : linearScale(axis.min ?? Math.min(0, low), high, from, to);
}

function linearScale(low: number, high: number, from: number, to: number): Scale {
  const first = Number.isFinite(low) ? low : 0;
  const last = Number.isFinite(high) && high > first ? high : first + 1;
  const step = niceStep((last - first) / MAX_TICKS);
  const start = Math.floor(first / step) * step;
  const end = Math.ceil(last / step) * step;
  const ticks = Array.from({ length: Math.round((end - start) / step) + 1 }, (_, i) => start + i * step);
  return { at: (value) => from + ((value - start) / (end - start)) * (to - from), ticks };
}

function niceStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5].find((each) => each * power >= rough) ?? 10;
  return factor * power;
}

function logScale(low: number, high: number, from: number, to: number): Scale {
  const start = Number.isFinite(low) ? Math.floor(Math.log10(low)) : 0;
  const end = Math.max(start + 1, Number.isFinite(high) ? Math.ceil(Math.log10(high)) : 1);
  const ticks = Array.from({ length: end - start + 1 }, (_, i) => 10 ** (start + i));
  const at = (value: number): number =>
    from + ((Math.log10(Math.max(value, 10 ** start)) - start) / (end - start)) * (to - from);
  return { at, ticks };
}
