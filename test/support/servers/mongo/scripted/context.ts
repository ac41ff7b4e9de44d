import type { Command } from './command.ts'
import type { Cursors } from './cursors.ts'
import type { Datastore } from './datastore.ts'
import type { Member } from './member.ts'
import type { ScramConversation } from './scram.ts'
import type { Transactions } from './transactions.ts'
import type { Users } from './users.ts'
import type { ServerVersion } from './version.ts'

/** What a server knows of a client's connection. */
export interface ClientState {
  readonly id: number
  /** Who has logged in, as `DB.NAME`. */
  user: string | undefined
  /** A login that has begun. */
  login: Login | undefined
  /** Aborts when the connection or the server goes. */
  readonly signal: AbortSignal
}

export interface Login {
  readonly conversation: ScramConversation
  readonly db: string
  isProven: boolean
}

/** How far back a snapshot may read. */
export interface SnapshotHistory {
  windowSeconds: number
  /** Nothing before this can be read, however new it is. */
  oldest: bigint
}

/** What commands work on. */
export interface Server {
  readonly version: ServerVersion
  readonly data: Datastore
  readonly cursors: Cursors
  readonly member: Member
  readonly port: number
  readonly snapshots: SnapshotHistory
  readonly users: Users
  readonly transactions: Transactions
  /** Whether clients have to log in. */
  readonly needsLogin: boolean
}

export interface Context {
  readonly server: Server
  readonly client: ClientState
  readonly command: Command
}

/** A command as this server has it. */
export interface CommandDefinition {
  readonly run: (context: Context) => Buffer | Promise<Buffer>
  /** Its arguments besides those that every command takes; others are refused. All are taken when this is undefined. */
  readonly takes?: readonly string[]
  /** Whether only a primary runs it. */
  readonly isWrite?: boolean
  /** Whether a client may ask before it has logged in. */
  readonly isOpen?: boolean
}

export type CommandTable = Readonly<Record<string, CommandDefinition>>
