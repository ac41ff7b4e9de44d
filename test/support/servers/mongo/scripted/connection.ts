import type { Socket } from 'node:net'
import { Command } from './command.ts'
import type { ClientState, Server } from './context.ts'
import { dispatch, failureReply } from './dispatch.ts'
import type { Faults } from './faults.ts'
import { MessageReader, parseMessage, type Request, replyHead } from './wire.ts'

/** A client's connection: answers one command after the other. */
export class Connection {
  readonly #socket: Socket
  readonly #server: Server
  readonly #faults: Faults
  readonly #client: ClientState
  readonly #gone = new AbortController()
  readonly #reader = new MessageReader()
  #last: Promise<void> = Promise.resolve()

  constructor(socket: Socket, server: Server, faults: Faults, id: number) {
    this.#socket = socket
    this.#server = server
    this.#faults = faults
    this.#client = { id, user: undefined, login: undefined, signal: this.#gone.signal }
    socket.setNoDelay()
    socket.on('error', () => this.close())
    socket.on('close', () => this.close())
    socket.on('data', (chunk) => this.#receive(chunk))
  }

  close(): void {
    this.#gone.abort()
    this.#socket.destroy()
  }

  #receive(chunk: Buffer): void {
    try {
      for (const message of this.#reader.push(chunk)) {
        const request = parseMessage(message)
        this.#last = this.#last.then(async () => this.#answer(request))
      }
    } catch {
      // A message that is none: servers hang up as well.
      this.close()
    }
  }

  async #answer(request: Request): Promise<void> {
    if (this.#gone.signal.aborted) return
    const reply = await this.#replyTo(request)
    if (reply === undefined) this.close()
    else if (!request.moreToCome && !this.#gone.signal.aborted) this.#send(replyHead(request, reply), reply)
  }

  #send(head: Buffer, body: Buffer): void {
    this.#socket.cork()
    this.#socket.write(head)
    this.#socket.write(body)
    this.#socket.uncork()
  }

  /** Undefined when the connection is to be cut instead. */
  async #replyTo(request: Request): Promise<Buffer | undefined> {
    let command: Command | undefined
    try {
      command = new Command(request)
      const fault = await this.#faults.before(command, this.#gone.signal)
      if (fault === 'cut') return undefined
      const reply = await dispatch({ server: this.#server, client: this.#client, command })
      return fault === 'cut-after' ? undefined : reply
    } catch (error) {
      return failureReply(this.#server, error, command)
    }
  }
}
