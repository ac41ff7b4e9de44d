const WINDOW_MS = 120_000
const BUCKET_MS = 1000
const MIN_BUCKETS = 20
const MIN_UNITS = 100_000_000

/**
 * Bytes per second over the recent past: the last two minutes, and longer as long as that covers less than 100 MB or fewer than 20 seconds
 * with progress, so that slow and bursty connections do not make the remaining time jump.
 */
export class RateEstimator {
  #buckets: { endMs: number; bytes: number }[] = []
  #startMs: number
  #bytes = 0

  constructor(nowMs: number) {
    this.#startMs = nowMs
  }

  add(nowMs: number, bytes: number): void {
    if (bytes === 0) return
    let last = this.#buckets.at(-1)
    if (last === undefined || last.endMs <= nowMs) {
      last = { endMs: nowMs + BUCKET_MS, bytes: 0 }
      this.#buckets.push(last)
    }
    last.bytes += bytes
    this.#bytes += bytes
    this.#trim(nowMs)
  }

  /** 0 while nothing is known. */
  bytesPerSecond(nowMs: number): number {
    this.#trim(nowMs)
    return nowMs <= this.#startMs ? 0 : (this.#bytes * 1000) / (nowMs - this.#startMs)
  }

  #trim(nowMs: number): void {
    while (this.#buckets.length > MIN_BUCKETS) {
      const [oldest] = this.#buckets
      if (oldest!.endMs > nowMs - WINDOW_MS || this.#bytes - oldest!.bytes < MIN_UNITS) return
      this.#startMs = oldest!.endMs
      this.#bytes -= oldest!.bytes
      this.#buckets.shift()
    }
  }
}
