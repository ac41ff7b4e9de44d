import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/**
 * What becomes of a call: a failure as KMS answers it, by its name; `stall` never answers; `reset` closes the connection.
 */
export type KmsFault = { readonly error: string; readonly status?: number } | 'stall' | 'reset'

export interface KmsFaults {
  readonly url: string
  /** The operations that were asked for, in order: `Encrypt`, `Decrypt`. */
  readonly calls: readonly string[]
  /** Makes calls of these operations fail, of all by default, until `clear`. */
  fail(fault: KmsFault, ...operations: readonly string[]): void
  /** Only those about this key. */
  failKey(arn: string, fault: KmsFault): void
  clear(): void
  stop(): Promise<void>
}

interface Rule {
  readonly applies: (operation: string, body: string) => boolean
  readonly fault: KmsFault
}

/** A proxy on a free port of 127.0.0.1 before the KMS at `port`. */
export async function startKmsFaults(port: number): Promise<KmsFaults> {
  let rules: Rule[] = []
  const calls: string[] = []
  const server = createServer((incoming, outgoing) => {
    void handle(incoming, outgoing)
  })

  async function handle(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const chunks: Buffer[] = []
    for await (const chunk of incoming) chunks.push(chunk as Buffer)
    const body = Buffer.concat(chunks)
    const operation = String(incoming.headers['x-amz-target'] ?? '')
      .split('.')
      .at(-1)!
    calls.push(operation)
    const fault = rules.find(({ applies }) => applies(operation, body.toString('utf8')))?.fault
    if (fault === 'stall') return
    if (fault === 'reset') {
      outgoing.destroy()
      return
    }
    if (fault !== undefined) {
      const answer = JSON.stringify({ __type: fault.error, message: `made up by a test: ${fault.error}` })
      outgoing.writeHead(fault.status ?? 400, { 'content-type': 'application/x-amz-json-1.1' }).end(answer)
      return
    }
    const onward = request(
      { host: '127.0.0.1', port, method: incoming.method, path: incoming.url, headers: incoming.headers },
      (answer) => {
        outgoing.writeHead(answer.statusCode!, answer.headers)
        answer.pipe(outgoing)
      },
    )
    onward.on('error', () => outgoing.destroy())
    onward.end(body)
  }

  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    calls,
    fail(fault, ...operations) {
      rules.push({ applies: (operation) => operations.length === 0 || operations.includes(operation), fault })
    },
    failKey(arn, fault) {
      rules.push({ applies: (_, body) => body.includes(arn), fault })
    },
    clear() {
      rules = []
    },
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
