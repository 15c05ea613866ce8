import { short } from './picture.ts';
import { isMet, RATIOS, valueOf, type Figures } from './targets.ts';

const ROW = 22;
const LEFT = 330;
const WIDTH = 900;
/** Width of a bar that just meets its target; twice that is the end of the scale. */
const TARGET_WIDTH = 160;

const STYLE = `text{font:13px system-ui,sans-serif;fill:#1f2328}.dim{fill:#656d76}.bar{fill:#9a6700}.met{fill:#1a7f37}
.aim{stroke:#1f2328;stroke-dasharray:2 3}@media(prefers-color-scheme:dark){text{fill:#e6edf3}.dim{fill:#8d96a0}.bar{fill:#d29922}.met{fill:#3fb950}.aim{stroke:#e6edf3}}`;

/** The ratios of a run as a picture, SVG: a bar each, as long as its value is to its target. What has no value is left out. */
export function svg(figures: Figures, how: string): string {
  const rows = RATIOS.flatMap((ratio) => {
    const value = valueOf(ratio, figures);
    return value === undefined ? [] : [{ ratio, value, met: isMet(ratio, value) }];
  });
  const height = ROW * (rows.length + 3);
  const lines = rows.map(({ ratio, value, met }, i) => {
    const y = ROW * (i + 2);
    const { target, sense } = ratio;
    const label = `<text x="${LEFT - 10}" y="${y + 15}" text-anchor="end">${escaped(ratio.title)}</text>`;
    if (target === undefined || sense === undefined)
      return `${label}<text x="${LEFT}" y="${y + 15}" class="dim">${short(value)}</text>`;
    const length = Math.min(2 * TARGET_WIDTH, (value / target) * TARGET_WIDTH);
    const words = `${short(value)} (target ${sense === '>=' ? 'at least' : 'at most'} ${short(target)}, ${met === true ? 'met' : 'not met'})`;
    return (
      `${label}<rect x="${LEFT}" y="${y + 4}" width="${length.toFixed(1)}" height="14" class="${met === true ? 'met' : 'bar'}"/>` +
      `<text x="${LEFT + 2 * TARGET_WIDTH + 10}" y="${y + 15}">${words}</text>`
    );
  });
  const aim = LEFT + TARGET_WIDTH;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}" role="img">
<title>agrinetd measured: ${escaped(how)}</title><style>${STYLE}</style>
<text x="${LEFT}" y="20" class="dim">${escaped(how)}; the dashed line is the target</text>
<line x1="${aim}" x2="${aim}" y1="${ROW * 1.5}" y2="${height - ROW}" class="aim"/>
${lines.join('\n')}
</svg>
`;
}

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
