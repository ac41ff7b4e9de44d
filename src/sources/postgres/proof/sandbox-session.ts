import pg from 'pg'
import { HoldfastError } from '../../../lib/errors.ts'
import type { Row } from '../connection.ts'

export interface SessionPlace {
  /** The folder of the socket. */
  readonly host: string
  readonly port: number
  readonly user: string
  readonly database: string
}

const CONNECT_TIMEOUT_MS = 30_000

/** What a database or a role may have set for its sessions, and a throw-away server need not have at hand. Superusers only. */
export const SAFE_OPTIONS: string =
  '-c session_preload_libraries= -c local_preload_libraries= -c statement_timeout=0 -c lock_timeout=0'

/** What the server of a sandbox answers when it refuses, or that it is gone. */
export class SandboxRefusal extends HoldfastError {
  /** SQLSTATE; undefined when the connection broke. */
  readonly sqlstate: string | undefined

  constructor(cause: unknown) {
    super('HF_VERIFICATION_FAILED', (cause as Error).message, { cause })
    this.sqlstate = (cause as { readonly code?: string }).code
  }
}

/** A session of the server in a sandbox. Integers and decimals come as numbers where a number holds them, else as text. */
export class SandboxSession implements AsyncDisposable {
  readonly #client: pg.Client
  readonly #abort: () => void
  readonly #signal: AbortSignal | undefined

  private constructor(client: pg.Client, signal: AbortSignal | undefined) {
    this.#client = client
    this.#signal = signal
    this.#abort = () => client.connection.stream.destroy()
    signal?.addEventListener('abort', this.#abort, { once: true })
  }

  /** @throws SandboxRefusal */
  static async open(
    place: SessionPlace,
    { isSuperuser = true, signal }: { readonly isSuperuser?: boolean; readonly signal?: AbortSignal | undefined } = {},
  ): Promise<SandboxSession> {
    signal?.throwIfAborted()
    const client = new pg.Client({
      ...place,
      ssl: false,
      application_name: 'holdfast',
      connectionTimeoutMillis: CONNECT_TIMEOUT_MS,
      types: { getTypeParser },
      ...(isSuperuser ? { options: SAFE_OPTIONS } : {}),
    })
    client.on('error', () => undefined)
    try {
      await client.connect()
    } catch (error) {
      client.connection.stream.destroy()
      throw new SandboxRefusal(error)
    }
    return new SandboxSession(client, signal)
  }

  /** One statement. @throws SandboxRefusal, the signal's reason */
  async rows(statement: string, values: readonly unknown[] = []): Promise<readonly Row[]> {
    try {
      // The extended protocol takes one statement and no more.
      const query = { text: statement, values: [...values], queryMode: 'extended' }
      return (await this.#client.query<Record<string, unknown>>(query)).rows
    } catch (error) {
      this.#signal?.throwIfAborted()
      throw new SandboxRefusal(error)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#signal?.removeEventListener('abort', this.#abort)
    await this.#client.end().catch(() => undefined)
  }
}

/** A name for SQL. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

const INT8 = 20
const NUMERIC = 1700

type Parser = (text: string) => unknown

function getTypeParser(oid: number, format?: 'text' | 'binary'): Parser {
  if (oid === INT8 || oid === NUMERIC) return numberWhereExact
  return pg.types.getTypeParser(oid, format) as Parser
}

function numberWhereExact(text: string): number | string {
  const value = Number(text)
  return Number.isSafeInteger(value) || (text.includes('.') && text.length <= 15) ? value : text
}
