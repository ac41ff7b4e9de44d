import { asNumber, asString, doc, field, OK } from '../bson.ts'
import type { CommandTable, Context } from '../context.ts'
import { newUuid } from '../uuid.ts'
import { MAX_DOCUMENT_BYTES, MAX_MESSAGE_BYTES, MAX_WRITE_BATCH } from '../wire.ts'
import { beginLogin } from './users.ts'

const GIT_VERSION = '0'.repeat(40)

/** What a client asks first: who are you, and what can you do. */
export const greetingCommands: CommandTable = {
  hello: { run: hello, isOpen: true },
  isMaster: { run: hello, isOpen: true },
  ismaster: { run: hello, isOpen: true },
  ping: { run: () => doc({ ok: OK }), isOpen: true, takes: [] },
  buildInfo: { run: buildInfo, isOpen: true, takes: [] },
  buildinfo: { run: buildInfo, isOpen: true, takes: [] },
  endSessions: { run: () => doc({ ok: OK }), takes: [] },
  startSession: { run: startSession, takes: [] },
  refreshSessions: { run: () => doc({ ok: OK }), takes: [] },
}

async function hello(context: Context): Promise<Buffer> {
  const { server, client, command } = context
  const { member, version, port } = server
  // A client that says what it knows wants to hear of a change, or after a while that there is none.
  const known = command.document('topologyVersion')
  const patience = command.number('maxAwaitTimeMS')
  if (known !== undefined && patience !== undefined && field(known, 'processId')?.bytes.equals(member.processId.id)) {
    const counter = field(known, 'counter')!
    const changes = counter.bytes.length === 8 ? counter.bytes.readBigInt64LE(0) : BigInt(asNumber(counter)!)
    await member.changedSince(changes, patience, client.signal)
  }
  const { isWritablePrimary, ...greeting } = member.greeting(`127.0.0.1:${port}`)
  const isNew = command.name === 'hello'
  return doc({
    ...(command.flag('helloOk') && { helloOk: true }),
    topologyVersion: member.topologyVersion(),
    ...greeting,
    [isNew ? 'isWritablePrimary' : 'ismaster']: isWritablePrimary,
    maxBsonObjectSize: MAX_DOCUMENT_BYTES,
    maxMessageSizeBytes: MAX_MESSAGE_BYTES,
    maxWriteBatchSize: MAX_WRITE_BATCH,
    localTime: new Date(),
    logicalSessionTimeoutMinutes: SESSION_MINUTES,
    connectionId: client.id,
    minWireVersion: 0,
    maxWireVersion: version.maxWireVersion,
    readOnly: false,
    ...login(context),
    ok: OK,
  })
}

/** What a greeting says about logging in: the mechanisms of a user, and the answer to a login it begins. */
function login(context: Context): Readonly<Record<string, unknown>> {
  const { command, server } = context
  const asked = command.text('saslSupportedMechs')
  const dot = asked?.indexOf('.') ?? -1
  const isKnown = asked !== undefined && server.users.find(asked.slice(0, dot), asked.slice(dot + 1)) !== undefined
  const start = command.document('speculativeAuthenticate')
  const db = start === undefined ? undefined : asString(field(start, 'db'))
  const reply = start === undefined ? undefined : beginLogin(context, start, db ?? 'admin')
  return {
    ...(isKnown && { saslSupportedMechs: ['SCRAM-SHA-256'] }),
    ...(reply !== undefined && { speculativeAuthenticate: reply }),
  }
}

function buildInfo({ server: { version } }: Context): Buffer {
  const { text, major, minor, patch } = version
  return doc({
    version: text,
    gitVersion: GIT_VERSION,
    modules: [],
    allocator: 'tcmalloc',
    javascriptEngine: 'mozjs',
    sysInfo: 'deprecated',
    versionArray: [major, minor, patch, 0],
    bits: 64,
    debug: false,
    maxBsonObjectSize: MAX_DOCUMENT_BYTES,
    storageEngines: ['devnull', 'wiredTiger'],
    ok: OK,
  })
}

const SESSION_MINUTES = 30

function startSession(): Buffer {
  return doc({ id: { id: newUuid() }, timeoutMinutes: SESSION_MINUTES, ok: OK })
}
