import { Binary } from 'mongodb'
import { splitNs } from '../apply-ops.ts'
import {
  arrayValues,
  asBoolean,
  asDocument,
  asNumber,
  asString,
  doc,
  elements,
  field,
  OK,
  type RawValue,
  Type,
} from '../bson.ts'
import type { CommandTable, Context } from '../context.ts'
import { MongoFailure } from '../failure.ts'
import { type GrantedRole, isBuiltIn } from '../privileges.ts'
import { ScramConversation } from '../scram.ts'
import { shownUser } from '../users.ts'

/** Users, roles and logging in. */
export const userCommands: CommandTable = {
  saslStart: { run: saslStart, isOpen: true },
  saslContinue: { run: saslContinue, isOpen: true },
  logout: { run: logout, takes: [] },
  connectionStatus: { run: connectionStatus, takes: ['showPrivileges'], isOpen: true },
  createUser: { run: createUser, isWrite: true, takes: ['pwd', 'roles', 'customData', 'mechanisms', 'digestPassword'] },
  createRole: { run: createRole, isWrite: true, takes: ['privileges', 'roles'] },
  dropUser: { run: dropUser, isWrite: true, takes: [] },
  dropRole: { run: dropRole, isWrite: true, takes: [] },
  usersInfo: { run: usersInfo, takes: ['showCredentials', 'showPrivileges', 'showCustomData', 'filter'] },
  rolesInfo: { run: rolesInfo, takes: ['showPrivileges', 'showBuiltinRoles'] },
  _mergeAuthzCollections: {
    run: mergeAuthz,
    isWrite: true,
    takes: ['tempUsersCollection', 'tempRolesCollection', 'drop', 'db'],
  },
}

const CONVERSATION = 1

/** Begins a login: the command itself, or what a greeting says about it. Undefined when the mechanism or the user is not known. */
export function beginLogin({ server: { users }, client }: Context, start: Buffer, db: string): Buffer | undefined {
  if (asString(field(start, 'mechanism')) !== 'SCRAM-SHA-256') return undefined
  const conversation = new ScramConversation((user) => users.credentials(db, user))
  const reply = conversation.start(payload(field(start, 'payload')))
  if (reply === undefined) return undefined
  client.login = { conversation, db, isProven: false }
  return doc({ conversationId: CONVERSATION, done: false, payload: new Binary(Buffer.from(reply)), ok: OK })
}

const payload = (value: RawValue | undefined): string =>
  value?.type === Type.binary ? value.bytes.toString('utf8', 5) : ''

const refused = (): MongoFailure => new MongoFailure(18, 'Authentication failed.')

function saslStart(context: Context): Buffer {
  const reply = beginLogin(context, context.command.body, context.command.db)
  if (reply === undefined) throw refused()
  return reply
}

function saslContinue({ client, command }: Context): Buffer {
  const { login } = client
  if (login === undefined) throw new MongoFailure(17, 'No SASL session state found')
  const from = payload(command.raw('payload'))
  let reply = ''
  if (!login.isProven) {
    const proof = login.conversation.finish(from)
    if (proof === undefined) {
      client.login = undefined
      throw refused()
    }
    login.isProven = true
    reply = proof
    client.user = `${login.db}.${login.conversation.user}`
  }
  return doc({ conversationId: CONVERSATION, done: true, payload: new Binary(Buffer.from(reply)), ok: OK })
}

function logout({ client }: Context): Buffer {
  client.user = undefined
  return doc({ ok: OK })
}

function connectionStatus({ server: { users }, client }: Context): Buffer {
  const { user } = client
  const authenticatedUsers = user === undefined ? [] : [{ user: splitNs(user).name, db: splitNs(user).db }]
  const authenticatedUserRoles = user === undefined ? [] : users.rolesOf(user).map((role) => ({ ...role }))
  return doc({ authInfo: { authenticatedUsers, authenticatedUserRoles, authenticatedUserPrivileges: [] }, ok: OK })
}

/** Roles in a command: names of this database, or documents with role and db. */
function grantedRoles({ command }: Context): readonly GrantedRole[] {
  return (command.values('roles') ?? []).map((value) => {
    const name = asString(value)
    if (name !== undefined) return { role: name, db: command.db }
    return { role: asString(field(value.bytes, 'role')) ?? '', db: asString(field(value.bytes, 'db')) ?? command.db }
  })
}

function createUser(context: Context): Buffer {
  const { server, command } = context
  const roles = grantedRoles(context)
  for (const role of roles) requireRole(context, role)
  server.users.create(
    command.db,
    command.string('createUser')!,
    command.string('pwd') ?? '',
    roles,
    command.document('customData'),
  )
  return doc({ ok: OK })
}

function requireRole({ server: { users } }: Context, { role, db }: GrantedRole): void {
  const isThere =
    isBuiltIn(role) || users.all('roles').some((known) => asString(field(known, '_id')) === `${db}.${role}`)
  if (!isThere) throw new MongoFailure(31, `Could not find role: ${role}@${db}`)
}

function createRole(context: Context): Buffer {
  const { server, command } = context
  const roles = grantedRoles(context).map((role) => ({ ...role }))
  server.users.createRole(command.db, command.string('createRole')!, command.raw('privileges') ?? [], roles)
  return doc({ ok: OK })
}

function dropUser({ server: { users }, command }: Context): Buffer {
  users.remove('users', command.db, command.string('dropUser')!)
  return doc({ ok: OK })
}

function dropRole({ server: { users }, command }: Context): Buffer {
  users.remove('roles', command.db, command.string('dropRole')!)
  return doc({ ok: OK })
}

/** Whether something is asked for: 1 means all of this database, a name or a document with name and db one, an array several. */
function isAsked(wanted: RawValue, kind: 'user' | 'role', entry: Buffer, currentDb: string): boolean {
  const name = asString(field(entry, kind))
  const db = asString(field(entry, 'db'))
  if (wanted.type === Type.array) return arrayValues(wanted).some((one) => isAsked(one, kind, entry, currentDb))
  const inner = asDocument(wanted)
  if (inner !== undefined) {
    if (asBoolean(field(inner, 'forAllDBs'))) return true
    return asString(field(inner, kind)) === name && asString(field(inner, 'db')) === db
  }
  if (asNumber(wanted) !== undefined) return db === currentDb
  return asString(wanted) === name && db === currentDb
}

function usersInfo({ server, command }: Context): Buffer {
  const wanted = command.raw('usersInfo')!
  const found = server.users.all('users').filter((user) => isAsked(wanted, 'user', user, command.db))
  return doc({ users: found.map((user) => shownUser(user, command.flag('showCredentials'))), ok: OK })
}

function rolesInfo({ server, command }: Context): Buffer {
  const wanted = command.raw('rolesInfo')!
  const found = server.users.all('roles').filter((role) => isAsked(wanted, 'role', role, command.db))
  const showsPrivileges = command.flag('showPrivileges')
  const shown = found.map((role) =>
    doc([
      ...Array.from(elements(role), ({ name, value }) => [name, value] as const).filter(
        ([name]) => showsPrivileges || name !== 'privileges',
      ),
      ['isBuiltin', false],
    ]),
  )
  return doc({ roles: shown, ok: OK })
}

function mergeAuthz({ server: { data, users }, command }: Context): Buffer {
  const db = command.string('db') ?? ''
  for (const [kind, argument] of [
    ['roles', 'tempRolesCollection'],
    ['users', 'tempUsersCollection'],
  ] as const) {
    const ns = command.string(argument)
    if (ns === undefined || ns === '') continue
    const from = splitNs(ns)
    const collection = data.catalog.collection(from.db, from.name)
    if (collection !== undefined) users.merge(kind, collection, db, command.flag('drop'))
  }
  return doc({ ok: OK })
}
