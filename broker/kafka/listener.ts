/**
 * Door two: the Kafka wire protocol. Owns the listeners, who may connect, the
 * deadlines of all connections and the stop. It owns no business rule and no
 * byte of the protocol.
 */
import type { InvariantError } from "../../storage/assert.ts";
import type {
  Environment,
  TcpConnection,
  TcpListener,
  Timer,
} from "../environment.ts";
import type { Logger } from "../logger.ts";
import { AnswerBuffers } from "./answer_buffers.ts";
import { ByteBudget } from "./byte_budget.ts";
import { Connection } from "./connection.ts";
import { Dispatcher } from "./dispatcher.ts";
import type { ServedApi } from "./handler.ts";
import { KAFKA_LIMITS, type KafkaLimits } from "./limits.ts";
import { LimitedLogger } from "./limited_logger.ts";
import type { KafkaMetrics } from "./metrics.ts";
import { ScratchPool } from "./scratch_pool.ts";
import { UnsentBudget } from "./unsent_budget.ts";

export interface KafkaDoorOptions {
  readonly environment: Pick<Environment, "clock" | "timers">;
  readonly logger: Logger;
  /** All APIs but ApiVersions, which the door answers itself. */
  readonly served: readonly ServedApi[];
  /** Differences from `KAFKA_LIMITS`. */
  readonly limits?: Partial<KafkaLimits>;
  readonly metrics?: KafkaMetrics;
  /** A broken invariant: the process must end (see `storage/assert.ts`). */
  readonly onInvariant: (error: InvariantError) => void;
}

export interface KafkaDoor {
  /** Takes over `listener` and serves what connects until `close`. */
  serveOn(listener: TcpListener): void;
  readonly connections: number;
  /**
   * Stops accepting, ends long waits, lets running requests end within
   * `closeMs`, and closes all connections. Idempotent.
   */
  close(): Promise<void>;
}

export function createKafkaDoor(options: KafkaDoorOptions): KafkaDoor {
  return new Door(options);
}

/** Time between looks at the deadlines: how late they may be kept. */
const SWEEP_MS = 1000;
const KEPT_SCRATCH_BUFFERS = 16;
/** Consumers ask for a mebibyte of a partition unless they are told otherwise. */
const ANSWER_BUFFERS = {
  bufferBytes: 1024 * 1024,
  leastBytes: 64 * 1024,
  keptBuffers: 8,
};

class Door implements KafkaDoor {
  readonly #options: KafkaDoorOptions;
  readonly #limits: KafkaLimits;
  readonly #dispatcher: Dispatcher;
  readonly #lines: LimitedLogger;
  readonly #frameBudget: ByteBudget;
  readonly #bufferBudget: ByteBudget;
  readonly #unsentBudget: UnsentBudget;
  readonly #followerBudget: UnsentBudget;
  readonly #scratch: ScratchPool;
  readonly #answerBuffers: AnswerBuffers;
  readonly #listeners: TcpListener[] = [];
  readonly #accepting: Promise<void>[] = [];
  readonly #running = new Map<Connection, Promise<void>>();
  readonly #perHost = new Map<string, number>();
  #sweep: Timer | null = null;
  #closing: Promise<void> | null = null;

  constructor(options: KafkaDoorOptions) {
    const { environment, logger, served, metrics, onInvariant } = options;
    const { clock, timers } = environment;
    this.#options = options;
    this.#limits = { ...KAFKA_LIMITS, ...options.limits };
    const answerBuffers = new AnswerBuffers(ANSWER_BUFFERS);
    this.#dispatcher = new Dispatcher({
      served,
      answerBuffers,
      clock,
      logger,
      metrics,
      onInvariant,
    });
    this.#lines = new LimitedLogger({ logger, clock });
    this.#frameBudget = new ByteBudget(this.#limits.frameBudgetBytes);
    this.#bufferBudget = new ByteBudget(this.#limits.readBudgetBytes);
    this.#scratch = new ScratchPool({
      bufferBytes: this.#limits.gatheredBytes,
      keptBuffers: KEPT_SCRATCH_BUFFERS,
    });
    this.#answerBuffers = answerBuffers;
    this.#unsentBudget = new UnsentBudget({
      limitBytes: this.#limits.unsentBudgetBytes,
      timers,
    });
    this.#followerBudget = new UnsentBudget({
      limitBytes: this.#limits.followerBudgetBytes,
      timers,
    });
  }

  get connections(): number {
    return this.#running.size;
  }

  serveOn(listener: TcpListener): void {
    if (this.#closing !== null) return listener.close();
    this.#listeners.push(listener);
    this.#accepting.push(this.#acceptAll(listener));
  }

  close(): Promise<void> {
    return this.#closing ??= this.#close();
  }

  async #acceptAll(listener: TcpListener): Promise<void> {
    try {
      for (;;) {
        const socket = await listener.accept();
        if (socket === null) return;
        this.#admit(socket);
      }
    } catch (error) {
      this.#options.logger.error("Stopped accepting Kafka connections", {
        port: listener.port,
        cause: String(error),
      });
    }
  }

  #admit(socket: TcpConnection): void {
    if (this.#closing !== null) return socket.close();
    const { hostname } = socket.remote;
    const ofHost = this.#perHost.get(hostname) ?? 0;
    const { connections, connectionsPerHost } = this.#limits;
    if (
      this.#running.size >= connections || ofHost >= connectionsPerHost
    ) {
      socket.close();
      this.#lines.write("warn", "Refused a Kafka connection", {
        client: hostname,
        reason: ofHost >= connectionsPerHost
          ? `its host has ${ofHost} connections already`
          : `there are ${connections} connections already`,
      });
      return;
    }
    this.#perHost.set(hostname, ofHost + 1);
    const connection = new Connection({
      socket,
      dispatcher: this.#dispatcher,
      clock: this.#options.environment.clock,
      timers: this.#options.environment.timers,
      limits: this.#limits,
      frameBudget: this.#frameBudget,
      bufferBudget: this.#bufferBudget,
      unsentBudget: this.#unsentBudget,
      followerBudget: this.#followerBudget,
      scratch: this.#scratch,
      answerBuffers: this.#answerBuffers,
    });
    const running = connection.run()
      .catch((error) => this.#dispatcher.refuse(error, connection))
      .finally(() => this.#forget(connection));
    this.#running.set(connection, running);
    this.#options.metrics?.connections(this.#running.size);
    if (this.#sweep === null) this.#armSweep();
  }

  #forget(connection: Connection): void {
    const { hostname } = connection.remote;
    const left = this.#perHost.get(hostname)! - 1;
    if (left === 0) this.#perHost.delete(hostname);
    else this.#perHost.set(hostname, left);
    this.#running.delete(connection);
    this.#options.metrics?.connections(this.#running.size);
    if (this.#running.size > 0) return;
    this.#sweep?.cancel();
    this.#sweep = null;
  }

  #armSweep(): void {
    const { clock, timers } = this.#options.environment;
    this.#sweep = timers.after(SWEEP_MS, () => {
      const nowMs = clock.monotonicMs();
      for (const connection of this.#running.keys()) {
        const reason = connection.overdue(nowMs);
        if (reason === null) continue;
        const { hostname, port } = connection.remote;
        const client = `${hostname}:${port}`;
        this.#lines.write("info", "Closed a Kafka connection", {
          client,
          reason,
        });
        connection.close();
      }
      this.#armSweep();
    });
  }

  async #close(): Promise<void> {
    for (const listener of this.#listeners) listener.close();
    const ended = Promise.all(this.#running.values());
    for (const connection of this.#running.keys()) connection.stop();
    const isLate = await this.#within(ended, this.#limits.closeMs);
    if (isLate) {
      this.#options.logger.warn("Closed Kafka connections in mid-request", {
        connections: this.#running.size,
      });
      for (const connection of this.#running.keys()) connection.close();
    }
    this.#sweep?.cancel();
    this.#sweep = null;
    await Promise.all(this.#accepting);
  }

  /** True when `promise` has not resolved within `ms`. */
  #within(promise: Promise<unknown>, ms: number): Promise<boolean> {
    return new Promise((resolve) => {
      const timer = this.#options.environment.timers.after(
        ms,
        () => resolve(true),
      );
      void promise.then(() => {
        timer.cancel();
        resolve(false);
      });
    });
  }
}
