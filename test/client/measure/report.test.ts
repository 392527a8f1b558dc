import { createHash } from 'node:crypto';
import test from 'ava';
import { chartSvg, html, legendHtml, ticksUpTo } from '../../../client/measure/chart-svg.ts';
import { reportHtml } from '../../../client/measure/report-html.ts';
import { events, intervalOf, summaryOf } from './helpers.ts';

const head = { remote: 'ferry://nas/', at: '2026-11-28T00:00:00.000Z' };

test('the page needs nothing from elsewhere, and runs nothing', (t) => {
  const page = reportHtml(events, head);
  t.notRegex(page, /<script|<link|<img|<iframe|@import|url\(|javascript:|\son\w+=|\sstyle=/i);
  t.notRegex(page, /(src|href)=/i);
  const [, style = ''] = /<style>(.*?)<\/style>/s.exec(page) ?? [];
  const hash = createHash('sha256').update(style).digest('base64');
  // The policy allows this style alone, so the page looks the same where others are forbidden.
  t.true(page.includes(html(`default-src 'none'; style-src 'sha256-${hash}'`)));
  t.is(page.match(/<svg /g)?.length, 3);
  t.regex(page, /prefers-color-scheme: dark/);
});

test('hostile names are shown, not obeyed', (t) => {
  const evil = `ferry://h/"><script>alert('x')</script>\u202e\u001b&`;
  const error = { type: 'error', failure: 'io', message: evil, exitCode: 1 } as const;
  const page = reportHtml(
    [...events.slice(0, -1), error, summaryOf({ settings: { folder: evil, ['<b>']: [evil] } })],
    { ...head, remote: evil },
  );
  t.notRegex(page, /<script|<b>/);
  t.notRegex(page, /[\u202e\u001b]/u);
  t.true(page.includes('&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;'));
});

test('a bench that failed before anything flowed still gives a page', (t) => {
  const page = reportHtml(
    [{ type: 'error', failure: 'permission', message: 'No.', exitCode: 4 }],
    head,
  );
  t.regex(page, /<p class="failure">No\.<\/p>/);
  t.notRegex(page, /NaN|undefined/);
});

test('charts hold their points, in order, with a title for each', (t) => {
  const chart = {
    title: 'A < B',
    series: [
      {
        name: 'up',
        colour: 1,
        points: [
          [0.5, 10],
          [1.5, 40],
        ] as const,
      },
    ],
    endX: 2,
    omittedX: 1,
    yText: (y: number) => `${y} x`,
  };
  const svg = chartSvg(chart);
  t.regex(svg, /aria-label="A &lt; B"/);
  t.is(svg.match(/<circle/g)?.length, 2);
  t.regex(svg, /<title>up, 1.5 s: 40 x<\/title>/);
  t.regex(svg, /class="omitted"/);
  t.notRegex(svg, /NaN|Infinity/);
  t.is(legendHtml(chart.series), '');
  t.regex(legendHtml([...chart.series, ...chart.series]), /<li>/);
  t.notRegex(chartSvg({ ...chart, series: [], endX: 0 }), /NaN|Infinity/);
});

test('ticks are round, few, and reach the top', (t) => {
  t.deepEqual(ticksUpTo(100), [0, 25, 50, 75, 100]);
  t.deepEqual(ticksUpTo(0), [0, 1]);
  for (const most of [0.001, 0.7, 3, 9.99, 101, 12_345, 5e9]) {
    const ticks = ticksUpTo(most);
    t.true((ticks.at(-1) ?? 0) >= most * 0.999_999, String(most));
    t.true(ticks.length >= 3 && ticks.length <= 6, String(most));
  }
});

test('slivers at the end of a bench are in the table, and not in the charts', (t) => {
  const sliver = intervalOf(2, { to: 2.01, upBytesPerSecond: 1e12 });
  const settings = { intervalMs: 1000 };
  const page = reportHtml([...events.slice(0, -1), sliver, summaryOf({ settings })], head);
  t.notRegex(page, /<title>up, 2 s/);
  t.regex(page, /2\.0–2\.0 s/);
});
