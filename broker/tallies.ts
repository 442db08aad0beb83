/**
 * Metrics that are counted as plain numbers and put into Prometheus' form only
 * when `/metrics` is read: prom-client looks labels up anew at every call, which
 * on the produce path cost a quarter of the request.
 */
import { Counter, Histogram, type Registry } from "prom-client";

type Labels = Record<string, string>;

interface TallyOptions {
  readonly name: string;
  readonly help: string;
  readonly registry: Registry;
  readonly labelNames: readonly string[];
}

/** A number that only grows. */
export interface Tally {
  value: number;
}

/** A counter by labels; the caller keeps the tallies and bounds their number. */
export class TallyCounter {
  readonly #tallies: { labels: Labels; tally: Tally }[] = [];

  constructor({ registry, labelNames, ...options }: TallyOptions) {
    const tallies = this.#tallies;
    new Counter({
      ...options,
      labelNames: [...labelNames],
      registers: [registry],
      collect() {
        this.reset();
        for (const { labels, tally } of tallies) this.inc(labels, tally.value);
      },
    });
  }

  /** A new tally; its labels must be new too. */
  tally(labels: Labels = {}): Tally {
    const tally = { value: 0 };
    this.#tallies.push({ labels, tally });
    return tally;
  }
}

/** Observations in buckets, of one set of labels. */
export class BucketTally {
  readonly bounds: readonly number[];
  /** The last counts what is above every bound. */
  readonly counts: Float64Array;
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  observe(value: number): void {
    const { bounds } = this;
    let index = 0;
    while (index < bounds.length && value > bounds[index]) index++;
    this.counts[index]++;
    this.sum += value;
  }
}

export class TallyHistogram {
  readonly #bounds: readonly number[];
  readonly #tallies: { labels: Labels; tally: BucketTally }[] = [];

  constructor(options: TallyOptions & { readonly buckets: readonly number[] }) {
    this.#bounds = options.buckets;
    new BucketMetric(options, this.#tallies);
  }

  /** As {@linkcode TallyCounter.tally}. */
  tally(labels: Labels = {}): BucketTally {
    const tally = new BucketTally(this.#bounds);
    this.#tallies.push({ labels, tally });
    return tally;
  }
}

type Tallies = readonly { labels: Labels; tally: BucketTally }[];
type HistogramValues = Awaited<ReturnType<Histogram["get"]>>;

/** What the registry asks: cumulative buckets, sum and count. */
class BucketMetric extends Histogram {
  readonly #tallies: Tallies;
  readonly #options: { readonly name: string; readonly help: string };

  constructor(
    { name, help, registry, labelNames, buckets }: TallyOptions & {
      readonly buckets: readonly number[];
    },
    tallies: Tallies,
  ) {
    super({
      name,
      help,
      labelNames: [...labelNames],
      buckets: [...buckets],
      registers: [registry],
    });
    this.#options = { name, help };
    this.#tallies = tallies;
  }

  /**
   * What the registry's text and `get()` are made of. The package's types do not
   * tell of it: a test reads the text.
   */
  getForPromString(): Promise<object> {
    const values = this.#tallies.flatMap(({ labels, tally }) => {
      let count = 0;
      const buckets = [...tally.counts].map((inBucket, index) => {
        count += inBucket;
        const bound = tally.bounds[index] ?? "+Inf";
        return this.#value("bucket", { ...labels, le: bound }, count);
      });
      return [
        ...buckets,
        this.#value("sum", labels, tally.sum),
        this.#value("count", labels, count),
      ];
    });
    const { name, help } = this.#options;
    return Promise.resolve({
      name,
      help,
      type: "histogram",
      aggregator: "sum",
      values,
    });
  }

  #value(
    suffix: string,
    labels: Record<string, string | number>,
    value: number,
  ): HistogramValues["values"][number] {
    return { labels, value, metricName: `${this.#options.name}_${suffix}` };
  }
}
