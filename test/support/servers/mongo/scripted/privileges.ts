/** A role that somebody has. */
export interface GrantedRole {
  readonly role: string
  readonly db: string
}

/** What a command wants to touch. */
export interface Request {
  readonly command: string
  readonly db: string
  readonly collection: string | undefined
}

const READ: readonly string[] = [
  'find',
  'count',
  'distinct',
  'aggregate',
  'listCollections',
  'listIndexes',
  'collStats',
  'dbStats',
  'dbHash',
]
const WRITE: readonly string[] = [
  'insert',
  'update',
  'delete',
  'create',
  'createIndexes',
  'dropIndexes',
  'drop',
  'collMod',
  'renameCollection',
]
const USERS: readonly string[] = [
  'usersInfo',
  'rolesInfo',
  'createUser',
  'createRole',
  'dropUser',
  'dropRole',
  'updateUser',
]
const MONITOR: readonly string[] = [
  'serverStatus',
  'hostInfo',
  'getParameter',
  'getCmdLineOpts',
  'replSetGetStatus',
  'replSetGetConfig',
  'listDatabases',
  'listCollections',
  'listIndexes',
  'collStats',
  'dbStats',
]
/** Everything about collections but their documents. */
const ADMIN: readonly string[] = [...READ, ...WRITE, 'dropDatabase', 'validate'].filter(isNoData)
/** Whoever has logged in may. */
const EVERYBODY: ReadonlySet<string> = new Set([
  'getMore',
  'killCursors',
  'listDatabases',
  'connectionStatus',
  'logout',
  'commitTransaction',
  'abortTransaction',
  'startSession',
  'endSessions',
  'refreshSessions',
])

const isUserTable = ({ db, collection = '' }: Request): boolean => db === 'admin' && collection.startsWith('system.')
const isSystem = ({ db }: Request): boolean => db === 'local' || db === 'config'

/** What the built-in roles let their owners do, as far as this server's commands go (MongoDB Manual, "Built-In Roles"). */
const ROLES: Readonly<Record<string, (request: Request, db: string) => boolean>> = {
  root: () => true,
  __system: () => true,
  read: (request, db) => request.db === db && READ.includes(request.command),
  readWrite: (request, db) => request.db === db && [...READ, ...WRITE].includes(request.command),
  dbAdmin: (request, db) => request.db === db && ADMIN.includes(request.command),
  userAdmin: (request, db) => request.db === db && USERS.includes(request.command),
  dbOwner: (request, db) => request.db === db,
  readAnyDatabase: (request) => !isSystem(request) && READ.includes(request.command),
  readWriteAnyDatabase: (request) => !isSystem(request) && [...READ, ...WRITE].includes(request.command),
  userAdminAnyDatabase: ({ command }) => USERS.includes(command),
  dbAdminAnyDatabase: (request) => !isSystem(request) && ADMIN.includes(request.command),
  clusterAdmin: (request) => [...MONITOR, 'dropDatabase', 'appendOplogNote'].includes(request.command),
  clusterMonitor: (request) =>
    MONITOR.includes(request.command) || (request.db === 'config' && READ.includes(request.command)),
  backup: (request) =>
    [...READ, 'appendOplogNote', 'getParameter', 'serverStatus', 'usersInfo', 'rolesInfo'].includes(request.command),
  restore: (request) =>
    [
      ...WRITE,
      ...USERS,
      'dropDatabase',
      'applyOps',
      '_mergeAuthzCollections',
      'listCollections',
      'listIndexes',
      'collStats',
      'getParameter',
      'serverStatus',
    ].includes(request.command) ||
    (isUserTable(request) && READ.includes(request.command)),
}

function isNoData(command: string): boolean {
  return !['find', 'count', 'distinct', 'aggregate', 'insert', 'update', 'delete'].includes(command)
}

/** Whether somebody with these roles may run a command. */
export function isAllowed(roles: readonly GrantedRole[], request: Request): boolean {
  if (EVERYBODY.has(request.command)) return true
  return roles.some(({ role, db }) => ROLES[role]?.(request, db) === true)
}

/** Whether a role is built in. */
export const isBuiltIn = (role: string): boolean => Object.hasOwn(ROLES, role)
