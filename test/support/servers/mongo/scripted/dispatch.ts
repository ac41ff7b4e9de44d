import { asString, doc, field, joined } from './bson.ts'
import type { Command } from './command.ts'
import { aggregateCommands } from './commands/aggregate.ts'
import { definitionCommands } from './commands/definitions.ts'
import { diagnosticCommands } from './commands/diagnostics.ts'
import { greetingCommands } from './commands/greeting.ts'
import { readCommands } from './commands/reads.ts'
import { replicationCommands } from './commands/replication.ts'
import { userCommands } from './commands/users.ts'
import { writeCommands } from './commands/writes.ts'
import type { CommandTable, Context, Server } from './context.ts'
import { MongoFailure } from './failure.ts'
import { isAllowed } from './privileges.ts'

const COMMANDS: CommandTable = {
  ...greetingCommands,
  ...definitionCommands,
  ...readCommands,
  ...aggregateCommands,
  ...writeCommands,
  ...replicationCommands,
  ...diagnosticCommands,
  ...userCommands,
}

/** Runs a command as a server does: what is wrong with it becomes a reply as well. */
export async function dispatch(context: Context): Promise<Buffer> {
  const { server, command } = context
  try {
    const definition = Object.hasOwn(COMMANDS, command.name) ? COMMANDS[command.name] : undefined
    if (definition === undefined) throw new MongoFailure(59, `no such command: '${command.name}'`)
    if (!definition.isOpen) checkLogin(context)
    if (definition.isWrite) checkWritable(server, command)
    if (READS.has(command.name)) checkReadable(context)
    if (definition.takes !== undefined) command.allow(definition.takes)
    return withGossip(server, await definition.run(context))
  } catch (error) {
    return failureReply(server, error, command)
  }
}

/** The reply to a command that failed. */
export function failureReply(server: Server, error: unknown, command?: Command): Buffer {
  const failure =
    error instanceof MongoFailure ? error : new MongoFailure(1, `the scripted server failed: ${(error as Error).stack}`)
  return withGossip(server, doc({ ...failure.reply(), ...errorLabels(failure, command) }))
}

/** Failures of a moment, after which a write may be sent again. */
const RETRYABLE: ReadonlySet<number> = new Set([91, 189, 262, 10_107, 11_600, 11_602, 13_435, 13_436])

/** What drivers go by when they send a command again. */
function errorLabels(
  { code, labels }: MongoFailure,
  command: Command | undefined,
): { readonly errorLabels?: readonly string[] } {
  const all = new Set(labels)
  if (command?.raw('txnNumber') !== undefined && RETRYABLE.has(code)) {
    all.add(command.raw('autocommit') === undefined ? 'RetryableWriteError' : 'TransientTransactionError')
  }
  return all.size === 0 ? {} : { errorLabels: [...all] }
}

const READS: ReadonlySet<string> = new Set([
  'find',
  'aggregate',
  'count',
  'distinct',
  'listCollections',
  'listIndexes',
  'listDatabases',
])

/** A secondary is read only by those who say that they mean it, others not at all. */
function checkReadable({ server: { member }, command }: Context): void {
  const { role } = member
  if (role === 'arbiter' || (role === 'uninitiated' && command.db !== 'local'))
    throw new MongoFailure(13_436, 'node is not in primary or recovering state')
  if (role === 'recovering' && command.db !== 'local') {
    throw new MongoFailure(13_436, 'node is in recovering state and is not able to serve reads')
  }
  if (role !== 'secondary') return
  const preference = command.document('$readPreference')
  const mode = preference === undefined ? 'primary' : asString(field(preference, 'mode'))
  if (mode === 'primary') throw new MongoFailure(13_435, 'not primary and secondaryOk=false')
}

function checkLogin({ server, client, command }: Context): void {
  if (!server.needsLogin) return
  if (client.user === undefined) throw new MongoFailure(13, `Command ${command.name} requires authentication`)
  const collection = command.text(command.name)
  if (isAllowed(server.users.rolesOf(client.user), { command: command.name, db: command.db, collection })) return
  throw new MongoFailure(13, `not authorized on ${command.db} to execute command { ${command.name}: ... }`)
}

function checkWritable({ member }: Server, command: Command): void {
  if (member.isWritable || command.db === 'local') return
  throw new MongoFailure(10_107, 'not primary', { fields: { topologyVersion: member.topologyVersion() } })
}

function withGossip({ member }: Server, reply: Buffer): Buffer {
  return member.setName === undefined ? reply : joined(reply, doc(member.gossip()))
}
