import { Socket } from 'node:net'
import { systemClock } from '../../lib/clock.ts'

/** What one read of the socket takes at most: the system keeps what comes meanwhile. */
const BUFFER_BYTES = 256 * 1024

/** What a server writes at a time while it sends rows. What is shorter is the end of something, and nothing may follow. */
const SENT_BYTES = 8 * 1024
/** When less has come of much, it is given a moment: being woken for every few kilobytes costs more than what is done with them. */
const WORTHWHILE_BYTES = 64 * 1024
const MOMENT_MS = 1

/**
 * A socket that reads into one buffer that it keeps. A stream of Node makes a new one of 64 KiB for every read, and collecting them costs a
 * tenth of what a base backup takes.
 *
 * For the driver it is a stream like others until its bytes are taken over.
 */
export class ArrivalSocket {
  readonly stream: Socket
  readonly #buffer: Buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  /** Bytes in the buffer that nobody has seen. */
  #arrived = 0
  #isTakenOver = false
  #wake: () => void = () => undefined

  constructor() {
    this.stream = new Socket({ onread: { buffer: this.#buffer, callback: (count) => this.#onRead(count) } })
  }

  /**
   * What arrives from now on, read only as fast as it is taken. A piece is valid until the next one is asked for. Ends with the connection,
   * and fails with it. `gathers`: what comes little by little may wait a moment for more.
   */
  async *takeOver({ gathers = false }: { readonly gathers?: boolean } = {}): AsyncGenerator<Uint8Array> {
    const { stream } = this
    this.#isTakenOver = true
    let failure: Error | undefined
    let waits = false
    const onError = (error: Error): void => {
      failure = error
    }
    const onEnd = (): void => this.#wake()
    stream.on('error', onError).on('end', onEnd).on('close', onEnd)
    try {
      for (;;) {
        while (this.#arrived === 0) {
          if (failure !== undefined) throw failure
          if (stream.destroyed || stream.readableEnded) return
          if (waits) {
            waits = false
            await systemClock.sleep(MOMENT_MS)
            continue
          }
          const { promise, resolve } = Promise.withResolvers<void>()
          this.#wake = resolve
          stream.resume()
          await promise
        }
        const piece = this.#buffer.subarray(0, this.#arrived)
        this.#arrived = 0
        waits = gathers && piece.length >= SENT_BYTES && piece.length < WORTHWHILE_BYTES
        yield piece
      }
    } finally {
      stream.off('error', onError).off('end', onEnd).off('close', onEnd)
    }
  }

  /** @returns whether reading goes on */
  #onRead(count: number): boolean {
    if (!this.#isTakenOver) return this.stream.emit('data', Buffer.from(this.#buffer.subarray(0, count)))
    this.#arrived = count
    this.#wake()
    return false
  }
}
