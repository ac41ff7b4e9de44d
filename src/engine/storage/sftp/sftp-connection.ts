import { SftpClient, type SftpTransport } from './sftp-client.ts'

/** Makes the way to a server. Fails with HoldfastErrors or errors of the system. */
export type Dial = () => Promise<SftpTransport>

/** The conversation with a server, begun by the first call and begun anew by the first call after it broke. */
export class SftpConnection {
  readonly #dial: Dial
  readonly #stuckMs: number
  #client: Promise<SftpClient> | undefined
  #wasReached = false

  constructor(dial: Dial, stuckMs: number) {
    this.#dial = dial
    this.#stuckMs = stuckMs
  }

  /** There has been a conversation. */
  get wasReached(): boolean {
    return this.#wasReached
  }

  async client(): Promise<SftpClient> {
    const current = this.#client
    if (current !== undefined) {
      const client = await current
      if (client.isUsable) return client
      if (this.#client === current) this.#client = undefined
    }
    this.#client ??= this.#connect()
    return await this.#client
  }

  async close(): Promise<void> {
    const client = await this.#client?.catch(() => undefined)
    this.#client = undefined
    await client?.end()
  }

  async #connect(): Promise<SftpClient> {
    try {
      const transport = await this.#dial()
      const client = await SftpClient.connect(transport, this.#stuckMs)
      this.#wasReached = true
      return client
    } catch (error) {
      this.#client = undefined
      throw error
    }
  }
}
