import type { Clock } from '../../src/lib/clock.ts'

interface Sleeper {
  readonly wakeAtMs: number
  readonly wake: () => void
}

/** A clock that stands still until it is moved. Sleepers wake by running time, which a standby does not count, as real timers do. */
export class FakeClock implements Clock {
  #now: bigint
  #runningMs = 0
  readonly #sleepers = new Set<Sleeper>()

  constructor(start = '2026-01-01T00:00:00Z') {
    this.#now = BigInt(Date.parse(start)) * 1_000_000n
  }

  now(): bigint {
    return this.#now
  }

  sleep(milliseconds: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason)
      const sleeper = {
        wakeAtMs: this.#runningMs + milliseconds,
        wake: (): void => {
          this.#sleepers.delete(sleeper)
          resolve()
        },
      }
      this.#sleepers.add(sleeper)
      signal?.addEventListener('abort', () => {
        if (this.#sleepers.delete(sleeper)) reject(signal.reason)
      })
    })
  }

  /** Lets time pass: each sleeper wakes at its moment, and what it starts gets to its next wait before time goes on. */
  async advance(milliseconds: number): Promise<void> {
    const target = this.#runningMs + milliseconds
    for (;;) {
      await settle()
      const next = [...this.#sleepers].reduce<Sleeper | undefined>(
        (first, sleeper) => (first === undefined || sleeper.wakeAtMs < first.wakeAtMs ? sleeper : first),
        undefined,
      )
      if (next === undefined || next.wakeAtMs > target) break
      this.#move(next.wakeAtMs)
      next.wake()
    }
    this.#move(target)
    await settle()
  }

  /** The wall clock moves, timers do not notice: standby, or somebody set the clock. */
  jump(milliseconds: number): void {
    this.#now += BigInt(milliseconds) * 1_000_000n
  }

  #move(toMs: number): void {
    this.#now += BigInt(Math.round((toMs - this.#runningMs) * 1_000_000))
    this.#runningMs = toMs
  }
}

/** Lets all promises run that need no time. */
async function settle(): Promise<void> {
  for (let i = 0; i < 3; i++) await new Promise((resolve) => setImmediate(resolve))
}
