import { isHoldfastError } from '../../../lib/errors.ts'
import { documentsOf } from '../bson/batch.ts'
import { field, textOf } from '../bson/raw.ts'
import type { MongoConnection } from '../connection.ts'
import { Code, codeOf } from '../server-error.ts'
import type { FinalCollection } from './final-state.ts'

/** Where users and roles wait for the server to take them over; mongorestore calls them so. */
const TEMP_USERS = 'tempusers'
const TEMP_ROLES = 'temproles'

export const USERS = 'admin.system.users'
export const ROLES = 'admin.system.roles'
const VERSION = 'admin.system.version'

/** Collections that no insert can restore. */
export const isAuthorization = (namespace: string): boolean =>
  namespace === USERS || namespace === ROLES || namespace === VERSION

/** Ids of users and roles (`database.name`) that a server has. */
export interface KnownAccounts {
  readonly users: ReadonlySet<string>
  readonly roles: ReadonlySet<string>
}

/** @throws HoldfastError; undefined when the server does not tell, or has none */
export async function readAccounts(connection: MongoConnection): Promise<KnownAccounts | undefined> {
  try {
    const { users } = await connection.command('admin', { usersInfo: { forAllDBs: true } })
    const { roles } = await connection.command('admin', { rolesInfo: 1, showPrivileges: false })
    return { users: idsOf(users, 'user'), roles: idsOf(roles, 'role') }
  } catch (error) {
    if (codeOf(error) === undefined || !isHoldfastError(error)) throw error
    return undefined
  }
}

function idsOf(list: unknown, key: 'user' | 'role'): ReadonlySet<string> {
  return new Set((Array.isArray(list) ? list : []).map((one) => String(one._id ?? `${one.db}.${one[key]}`)))
}

/** A way to insert documents into a collection of `admin`. */
export type InsertInto = (collection: string, bytes: Buffer) => Promise<void>

export interface AccountsRestore {
  readonly connection: MongoConnection
  readonly insert: InsertInto
  /** Documents of a collection in their last state. */
  readonly documents: (collection: FinalCollection) => AsyncIterable<{ readonly bytes: Buffer }>
  /** Ids that are left as they are. */
  readonly kept: KnownAccounts
}

/**
 * Adds users and roles by the internal command with which mongorestore does it (mongodb/mongo, db/commands/user_management_commands.cpp):
 * passwords are restored as hashes. Nobody is removed.
 * @returns how many there were to add
 * @throws HoldfastError when the server has no such command, or does not permit it
 */
export async function restoreAccounts(
  collections: readonly FinalCollection[],
  { connection, insert, documents, kept }: AccountsRestore,
): Promise<number> {
  const drop = async (): Promise<void> => {
    for (const name of [TEMP_USERS, TEMP_ROLES])
      await connection.command('admin', { drop: name }).catch((error: unknown) => {
        if (codeOf(error) !== Code.namespaceNotFound) throw error
      })
  }
  await drop()
  let count = 0
  try {
    const waiting = { users: 0, roles: 0 }
    for (const collection of collections) {
      const isUsers = collection.entry.collection === 'system.users'
      const known = isUsers ? kept.users : kept.roles
      for await (const { bytes } of documents(collection)) {
        const added = [...documentsOf(bytes)].filter((one) => !known.has(textOf(field(one, '_id')) ?? ''))
        if (added.length === 0) continue
        await insert(isUsers ? TEMP_USERS : TEMP_ROLES, Buffer.concat(added))
        waiting[isUsers ? 'users' : 'roles'] += added.length
        count += added.length
      }
    }
    if (count === 0) return 0
    await connection.command('admin', {
      _mergeAuthzCollections: 1,
      ...(waiting.users > 0 && { tempUsersCollection: `admin.${TEMP_USERS}` }),
      ...(waiting.roles > 0 && { tempRolesCollection: `admin.${TEMP_ROLES}` }),
      drop: false,
      db: '',
    })
    return count
  } finally {
    await drop()
  }
}
