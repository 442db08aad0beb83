/**
 * A member of a group that consumes over HTTP: polls, and with each poll commits
 * what the one before it brought. Owns its polling; the group that all members
 * make together is told what they got.
 */
import type { GroupRecordsAnswer } from "../../../contract/http.ts";
import type { TopicSpec } from "../history.ts";
import type { Load } from "./client.ts";
import { HttpClient } from "./http_client.ts";

/** What members of one group got, all together. */
export class GroupDeliveries {
  readonly #offsets = new Map<string, Set<number>>();

  add(topic: string, partition: number, offset: number): void {
    const place = `${topic}-${partition}`;
    const offsets = this.#offsets.get(place) ?? new Set();
    this.#offsets.set(place, offsets.add(offset));
  }

  /** The first offset below `end` that nobody got. */
  missing(topic: string, partition: number, end: number): number | undefined {
    const offsets = this.#offsets.get(`${topic}-${partition}`);
    for (let offset = 0; offset < end; offset++) {
      if (!offsets?.has(offset)) return offset;
    }
    return undefined;
  }
}

export interface GroupMemberOptions {
  readonly group: string;
  readonly topic: TopicSpec;
  readonly deliveries: GroupDeliveries;
  /** All that there is has been delivered. */
  isDone(): boolean;
}

export class GroupMember extends HttpClient {
  readonly #options: GroupMemberOptions;
  /** Names the last answer that came; what was lost comes again. */
  #ack = "none";

  constructor(load: Load, name: string, options: GroupMemberOptions) {
    super(load, name);
    this.#options = options;
  }

  override async run(): Promise<void> {
    this.doing = "polling";
    while (!this.load.isOver || !this.#options.isDone()) {
      if (!await this.#poll()) await this.backOff();
      await this.pause();
    }
    this.doing = "nothing";
  }

  async #poll(): Promise<boolean> {
    const { group, topic, deliveries } = this.#options;
    const answer = await this.call(
      "GET",
      `/v1/groups/${group}/records?topics=${topic.name}&member=${this.name}` +
        `&max=50&waitMs=300&sessionTimeoutMs=6000&ack=${this.#ack}`,
    );
    if (answer?.status !== 200) {
      this.say(`poll: ${answer?.status ?? "no answer"} ${answer?.body?.code}`);
      return false;
    }
    const { records, poll, state, unavailable } = answer
      .body as GroupRecordsAnswer;
    if (state !== "stable" || unavailable !== undefined) {
      this.say(`poll: ${state} ${JSON.stringify(unavailable)}`);
    }
    this.#ack = poll;
    for (const { partition, offset, message } of records) {
      this.load.checks.read(topic.name, partition, offset, message ?? "");
      deliveries.add(topic.name, partition, offset);
    }
    return true;
  }
}
