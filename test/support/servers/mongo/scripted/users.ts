import { arrayValues, asDocument, asString, decodeDocument, doc, elements, encode, field, NULL } from './bson.ts'
import type { Collection } from './collection.ts'
import type { Datastore } from './datastore.ts'
import { MongoFailure } from './failure.ts'
import type { GrantedRole } from './privileges.ts'
import { makeCredentials, type ScramCredentials } from './scram.ts'
import { newUuid } from './uuid.ts'

/** Users and roles, which lie in `admin.system.users` and `admin.system.roles` as on other servers. */
export class Users {
  readonly #data: Datastore

  constructor(data: Datastore) {
    this.#data = data
  }

  get #users(): Collection {
    return this.#data.collectionForWrite('admin', 'system.users')
  }

  get #roles(): Collection {
    return this.#data.collectionForWrite('admin', 'system.roles')
  }

  /** @throws MongoFailure when the user exists */
  create(db: string, name: string, password: string, roles: readonly GrantedRole[], customData?: Buffer): void {
    const credentials = { 'SCRAM-SHA-256': makeCredentials(password) }
    const id = `${db}.${name}`
    if (this.find(db, name) !== undefined) throw new MongoFailure(51_003, `User "${name}@${db}" already exists`)
    this.#recordSchema()
    this.#data.insert(
      this.#users,
      doc({
        _id: id,
        userId: newUuid(),
        user: name,
        db,
        credentials,
        customData,
        roles: roles.map((role) => ({ ...role })),
      }),
    )
  }

  /** The form in which users are kept, which the first one brings with it. */
  #recordSchema(): void {
    const versions = this.#data.collectionForWrite('admin', 'system.version')
    if (versions.byId(encode('authSchema')) === undefined) {
      this.#data.insert(versions, doc({ _id: 'authSchema', currentVersion: 5 }))
    }
  }

  createRole(db: string, name: string, privileges: unknown, roles: unknown): void {
    this.#data.insert(this.#roles, doc({ _id: `${db}.${name}`, role: name, db, privileges, roles }))
  }

  find(db: string, name: string): Buffer | undefined {
    return this.#data.catalog.collection('admin', 'system.users')?.byId(encode(`${db}.${name}`))?.bytes
  }

  credentials(db: string, name: string): ScramCredentials | undefined {
    const found = this.find(db, name)
    const all = found === undefined ? undefined : asDocument(field(found, 'credentials'))
    const scram = all === undefined ? undefined : asDocument(field(all, 'SCRAM-SHA-256'))
    return scram === undefined ? undefined : (decodeDocument(scram) as unknown as ScramCredentials)
  }

  /** Roles of a user, those that other roles give included. */
  rolesOf(id: string): readonly GrantedRole[] {
    const user = this.#data.catalog.collection('admin', 'system.users')?.byId(encode(id))?.bytes
    const found: GrantedRole[] = []
    const add = (holder: Buffer): void => {
      for (const granted of arrayValues(field(holder, 'roles') ?? encode([]))) {
        const role = decodeDocument(granted.bytes) as unknown as GrantedRole
        if (found.some((other) => other.role === role.role && other.db === role.db)) continue
        found.push(role)
        const own = this.#data.catalog.collection('admin', 'system.roles')?.byId(encode(`${role.db}.${role.role}`))
        if (own !== undefined) add(own.bytes)
      }
    }
    if (user !== undefined) add(user)
    return found
  }

  /** All users, or all roles, as they are stored. */
  all(kind: 'users' | 'roles'): readonly Buffer[] {
    const collection = this.#data.catalog.collection('admin', `system.${kind}`)
    return collection === undefined ? [] : Array.from(collection.scan('id'), ({ bytes }) => bytes)
  }

  remove(kind: 'users' | 'roles', db: string, name: string): void {
    const collection = kind === 'users' ? this.#users : this.#roles
    const found = collection.byId(encode(`${db}.${name}`))
    if (found === undefined) throw new MongoFailure(kind === 'users' ? 11 : 31, `${name}@${db} not found`)
    this.#data.remove(collection, found)
  }

  /** Takes users or roles from a temporary collection, those of `db` or all; others of it go when `drop` is set. */
  merge(kind: 'users' | 'roles', from: Collection, db: string, drop: boolean): void {
    const to = kind === 'users' ? this.#users : this.#roles
    const isMeant = (document: Buffer): boolean => db === '' || asString(field(document, 'db')) === db
    const kept = new Set<string>()
    for (const { bytes } of [...from.scan('id')]) {
      if (!isMeant(bytes)) continue
      const id = field(bytes, '_id') ?? NULL
      kept.add(asString(id) ?? '')
      const old = to.byId(id)
      if (old === undefined) this.#data.insert(to, bytes)
      else this.#data.replace(to, old, bytes, bytes)
    }
    if (!drop) return
    for (const old of [...to.scan('id')]) {
      if (isMeant(old.bytes) && !kept.has(asString(old.id) ?? '')) this.#data.remove(to, old)
    }
  }
}

/** A user as `usersInfo` shows it: without its password unless `showCredentials`. */
export function shownUser(user: Buffer, showCredentials: boolean): Buffer {
  const fields = Array.from(elements(user), ({ name, value }) => [name, value] as const)
  const shown = fields.filter(([name]) => showCredentials || name !== 'credentials')
  return doc([...shown, ['mechanisms', ['SCRAM-SHA-256']]])
}
