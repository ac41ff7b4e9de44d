import { doc, elements } from './bson.ts'
import type { Command } from './command.ts'
import { aggregateCommands } from './commands/aggregate.ts'
import { definitionCommands } from './commands/definitions.ts'
import { greetingCommands } from './commands/greeting.ts'
import { readCommands } from './commands/reads.ts'
import { writeCommands } from './commands/writes.ts'
import type { CommandTable, Context, Server } from './context.ts'
import { MongoFailure } from './failure.ts'

const COMMANDS: CommandTable = {
  ...greetingCommands,
  ...definitionCommands,
  ...readCommands,
  ...aggregateCommands,
  ...writeCommands,
}

/** Runs a command as a server does: what is wrong with it becomes a reply as well. */
export async function dispatch(context: Context): Promise<Buffer> {
  const { server, command } = context
  try {
    const definition = Object.hasOwn(COMMANDS, command.name) ? COMMANDS[command.name] : undefined
    if (definition === undefined) throw new MongoFailure(59, `no such command: '${command.name}'`)
    if (definition.isWrite) checkWritable(server, command)
    if (definition.takes !== undefined) command.allow(definition.takes)
    return withGossip(server, await definition.run(context))
  } catch (error) {
    return failureReply(server, error)
  }
}

/** The reply to a command that failed. */
export function failureReply(server: Server, error: unknown): Buffer {
  const failure =
    error instanceof MongoFailure ? error : new MongoFailure(1, `the scripted server failed: ${(error as Error).stack}`)
  return withGossip(server, doc(failure.reply()))
}

function checkWritable({ member }: Server, command: Command): void {
  if (member.isWritable || command.db === 'local') return
  throw new MongoFailure(10_107, 'not primary', { fields: { topologyVersion: member.topologyVersion() } })
}

function withGossip({ member }: Server, reply: Buffer): Buffer {
  const gossip = Object.entries(member.gossip())
  if (gossip.length === 0) return reply
  return doc([...Array.from(elements(reply), ({ name, value }) => [name, value] as const), ...gossip])
}
