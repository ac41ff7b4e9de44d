import type { Clock } from '../../../lib/clock.ts'
import { HoldfastError } from '../../../lib/errors.ts'
import { type ChildOptions, type ChildStream, startChild } from '../child-stream.ts'
import type { HttpConnection, HttpReply, HttpRequest } from '../rest/http-connection.ts'
import { Http2Connection } from './http2-connection.ts'

export interface RcloneOptions extends ChildOptions {
  /** rclone has so long to answer for the first time. */
  readonly startTimeoutMs: number
  readonly stuckRequestTimeoutMs: number
  readonly clock: Clock
}

interface Running {
  readonly child: ChildStream
  readonly http: Http2Connection
}

/** A way to a REST server that is a program of ours: started by the first request, and anew when it ended. */
export class RcloneConnection implements HttpConnection {
  readonly #options: RcloneOptions
  #running: Promise<Running> | undefined
  #requests = 0
  #hasAnswered = false

  constructor(options: RcloneOptions) {
    this.#options = options
  }

  /** Fails with a HoldfastError that has the program's own words when it ended. */
  async send(request: HttpRequest): Promise<HttpReply> {
    const { child, http } = await this.#run()
    this.#requests += 1
    child.setBusy(true)
    try {
      const reply = await this.#answer(http, request)
      this.#hasAnswered = true
      reply.body.once('close', () => this.#done(child))
      return reply
    } catch (error) {
      this.#done(child)
      if (request.signal?.aborted || http.isUsable) throw error
      throw await this.#explain(child, error)
    }
  }

  async close(): Promise<void> {
    const running = await this.#running?.catch(() => undefined)
    this.#running = undefined
    await running?.http.close()
    await running?.child.close()
  }

  async #run(): Promise<Running> {
    const current = this.#running
    if (current !== undefined) {
      const running = await current
      if (running.http.isUsable) return running
      if (this.#running === current) this.#running = undefined
    }
    this.#running ??= this.#start()
    return await this.#running
  }

  async #start(): Promise<Running> {
    try {
      const child = await startChild(this.#options)
      return { child, http: new Http2Connection(child.stream, this.#options.stuckRequestTimeoutMs) }
    } catch (error) {
      this.#running = undefined
      throw error
    }
  }

  async #answer(http: Http2Connection, request: HttpRequest): Promise<HttpReply> {
    if (this.#hasAnswered) return await http.send(request)
    const { clock, startTimeoutMs, program } = this.#options
    const giveUp = new AbortController()
    const tooLong = clock.sleep(startTimeoutMs, giveUp.signal).then(() => {
      throw new HoldfastError(
        'HF_STORAGE_UNREACHABLE',
        `${program} has not answered within ${startTimeoutMs / 1000} s`,
        {
          retry: 'after-fix',
          hint: 'Does it ask for the password of its configuration? Set RCLONE_CONFIG_PASS; rclone.timeout gives it longer.',
        },
      )
    })
    tooLong.catch(() => undefined)
    try {
      return await Promise.race([http.send(request), tooLong])
    } finally {
      giveUp.abort()
    }
  }

  #done(child: ChildStream): void {
    this.#requests -= 1
    if (this.#requests === 0) child.setBusy(false)
  }

  async #explain(child: ChildStream, cause: unknown): Promise<HoldfastError> {
    await child.close()
    const how = await child.ended
    const said = child.said === '' ? 'it said nothing' : `it said: ${child.said}`
    return new HoldfastError('HF_STORAGE_UNREACHABLE', `${this.#options.program} ended with ${how}; ${said}`, {
      cause,
      // A mistake in the location or in its configuration ends it at once.
      retry: this.#hasAnswered ? 'later' : 'after-fix',
      hint: 'Try it by hand: rclone lsd, with what stands behind rclone: in the location.',
    })
  }
}
