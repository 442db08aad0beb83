/** What each broker has, counted in all and topic by topic. */
export class Tallies<Item extends { readonly topic: string }> {
  readonly #counts = new Map<number, number>();
  readonly #items = new Map<number, Map<string, Set<Item>>>();

  of(brokerId: number): number {
    return this.#counts.get(brokerId) ?? 0;
  }

  ofTopic(brokerId: number, topic: string): number {
    return this.#items.get(brokerId)?.get(topic)?.size ?? 0;
  }

  add(brokerId: number, item: Item): void {
    let topics = this.#items.get(brokerId);
    if (topics === undefined) this.#items.set(brokerId, topics = new Map());
    const items = topics.get(item.topic);
    if (items === undefined) topics.set(item.topic, new Set([item]));
    else items.add(item);
    this.#counts.set(brokerId, this.of(brokerId) + 1);
  }

  remove(brokerId: number, item: Item): void {
    if (!this.#items.get(brokerId)?.get(item.topic)?.delete(item)) return;
    this.#counts.set(brokerId, this.of(brokerId) - 1);
  }

  /**
   * What `from` has, topic by topic: first that of which it has most more than
   * `to`, so that topics are spread evenly too.
   */
  *mostCrowded(from: number, to: number): Generator<Iterable<Item>> {
    const topics = this.#items.get(from);
    if (topics === undefined) return;
    const gainOf = (topic: string, items: ReadonlySet<Item>) =>
      items.size - this.ofTopic(to, topic);
    // The first is nearly always enough: the others are not sorted for it.
    let first: ReadonlySet<Item> | undefined;
    let most = -Infinity;
    for (const [topic, items] of topics) {
      const gain = gainOf(topic, items);
      if (items.size > 0 && gain > most) [first, most] = [items, gain];
    }
    if (first === undefined) return;
    yield first;
    const others = [...topics].filter(([, items]) => items !== first);
    others.sort((a, b) => gainOf(...b) - gainOf(...a));
    for (const [, items] of others) yield items;
  }
}
