// hdr_read: what HdrHistogram's own reader for JavaScript finds in a log: a line of JSON a tag, its intervals added up.
// usage: node hdr_read.mjs LOG
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';

const hdr = createRequire(import.meta.url)('hdr-histogram-js');
const sums = new Map();
const reader = new hdr.HistogramLogReader(readFileSync(process.argv[2], 'utf8'), 64);
for (let interval = reader.nextIntervalHistogram(); interval !== null; interval = reader.nextIntervalHistogram()) {
  const tag = interval.tag === hdr.NO_TAG || interval.tag === undefined || interval.tag === 'NO TAG' ? '' : interval.tag;
  if (!sums.has(tag))
    sums.set(tag, { intervals: 0, all: hdr.build({ bitBucketSize: 64, numberOfSignificantValueDigits: 3 }) });
  const sum = sums.get(tag);
  sum.intervals += 1;
  sum.all.add(interval);
}
for (const [tag, { intervals, all }] of sums) {
  const [p50, p99, p999] = [50, 99, 99.9].map((share) => all.getValueAtPercentile(share));
  const min = all.totalCount === 0 || all.getCountAtValue(0) > 0 ? 0 : all.minNonZeroValue;
  console.log(JSON.stringify({ tag, intervals, count: all.totalCount, min, max: all.maxValue, p50, p99, p999 }));
}
