import { doc, OK } from '../bson.ts'
import type { CommandTable, Context } from '../context.ts'
import { MAX_DOCUMENT_BYTES, MAX_MESSAGE_BYTES, MAX_WRITE_BATCH } from '../wire.ts'

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
  refreshSessions: { run: () => doc({ ok: OK }), takes: [] },
}

function hello({ server, client, command }: Context): Buffer {
  const { member, version, port } = server
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
    logicalSessionTimeoutMinutes: 30,
    connectionId: client.id,
    minWireVersion: 0,
    maxWireVersion: version.maxWireVersion,
    readOnly: false,
    ok: OK,
  })
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
