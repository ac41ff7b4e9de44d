import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * What the doubles of object stores share. They are written from the documentation of the services, for what no server that can be had does:
 * retention, and what is deleted but kept. They prove our side of a conversation, never that of a service.
 */

/** A version of an object. */
export interface DoubleVersion {
  readonly name: string
  readonly id: string
  readonly content: Buffer
  retention: { mode: string; untilMs: number } | undefined
  isHeld: boolean
  /** It has been deleted or replaced. */
  hiddenMs: number | undefined
}

export class DoubleStore {
  readonly versions: DoubleVersion[] = []
  #count = 0

  put(name: string, content: Buffer, retention?: DoubleVersion['retention']): DoubleVersion {
    this.hide(name)
    this.#count += 1
    const version = { name, id: String(this.#count), content, retention, isHeld: false, hiddenMs: undefined }
    this.versions.push(version)
    return version
  }

  live(name: string): DoubleVersion | undefined {
    return this.versions.find((version) => version.name === name && version.hiddenMs === undefined)
  }

  /** A plain deletion: the version stays. */
  hide(name: string): void {
    const version = this.live(name)
    if (version !== undefined) version.hiddenMs = 1_700_000_000_000
  }

  /** Whether the version may go for good. */
  isFree({ retention, isHeld }: DoubleVersion): boolean {
    return !isHeld && (retention === undefined || retention.untilMs <= Date.now())
  }

  remove(version: DoubleVersion): void {
    this.versions.splice(this.versions.indexOf(version), 1)
  }

  /** By name, the oldest version first. */
  list(prefix: string): DoubleVersion[] {
    const found = this.versions.filter(({ name }) => name.startsWith(prefix))
    return found.sort((a, b) => (a.name === b.name ? Number(a.id) - Number(b.id) : a.name < b.name ? -1 : 1))
  }
}

export interface Double extends AsyncDisposable {
  readonly url: string
  readonly store: DoubleStore
}

export async function startDouble(
  serve: (store: DoubleStore, request: IncomingMessage, body: Buffer, url: URL, answer: ServerResponse) => unknown,
): Promise<Double> {
  const store = new DoubleStore()
  const server = createServer(async (request, answer) => {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece)
    serve(store, request, Buffer.concat(pieces), new URL(request.url!, 'http://double'), answer)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    store,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
