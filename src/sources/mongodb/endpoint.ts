import { HoldfastError } from '../../lib/errors.ts'

/** Where a deployment is and who asks, out of a connection string without its password. */
export interface MongoEndpoint {
  /** The connection string without user and password. */
  readonly url: string
  /** For messages: `db1:27017,db2:27017`. */
  readonly hosts: string
  readonly user: string | undefined
  /** What stands in the URL; only targets of restores may have one there. */
  readonly password: string | undefined
  readonly isDirect: boolean
  /** Parameters by name in small letters. */
  readonly parameters: ReadonlyMap<string, string>
}

/** Parameters with secrets, or with an effect that backups must not have (mongodb/specifications, "URI Options"). */
const refusedParameters: ReadonlyMap<string, string> = new Map([
  ['tlscertificatekeyfilepassword', 'would be a secret in the configuration: give a key without a password in `tls`'],
  ['authmechanismproperties', 'may be a secret, and is not supported'],
  ['readpreference', 'is set with `readPreference` of the source'],
  ['readpreferencetags', 'is not supported: choose members with `directConnection`, or `readPreference`'],
  ['loadbalanced', 'leads to routers, which cannot be backed up as a whole'],
  ['timeoutms', 'would end reads that take their time'],
  ['sockettimeoutms', 'would end reads that take their time'],
])

const NOT_ENCODED = 'has a user or password that is not percent-encoded'

const FORM = /^mongodb(\+srv)?:\/\/(?:([^@/?#]*)@)?([^@/?#]+)(?:\/([^?#]*))?(?:\?([^#]*))?$/

/**
 * Reads a connection string (mongodb/specifications, "Connection String").
 * @returns what is wrong with it, as text
 */
export function parseMongoUrl(text: string): MongoEndpoint | string {
  const found = FORM.exec(text)
  if (found === null) return 'must look like mongodb://user@host:27017/?replicaSet=rs0, or mongodb+srv://'
  const [, srv = '', login = '', hosts, database = '', query = ''] = found as unknown as [
    string,
    string?,
    string?,
    string?,
    string?,
    string?,
  ]
  // Behind an unescaped character of a password, which would be taken for a host and be shown.
  if (`${database}?${query}`.includes('@')) return NOT_ENCODED
  const parameters = new Map([...new URLSearchParams(query)].map(([name, value]) => [name.toLowerCase(), value]))
  for (const [name, why] of refusedParameters)
    if (parameters.has(name)) return `has the parameter ${name}, which ${why}`
  const colon = login.indexOf(':')
  let user: string
  let password: string | undefined
  try {
    user = decodeURIComponent(colon < 0 ? login : login.slice(0, colon))
    password = colon < 0 ? undefined : decodeURIComponent(login.slice(colon + 1))
  } catch {
    return NOT_ENCODED
  }
  if (srv !== '' && (hosts!.includes(',') || hosts!.includes(':')))
    return 'with mongodb+srv has one name without a port'
  return {
    url: `mongodb${srv}://${hosts}/${database}${query === '' ? '' : `?${query}`}`,
    hosts: hosts!,
    user: user === '' ? undefined : user,
    password,
    isDirect: parameters.get('directconnection') === 'true',
    parameters,
  }
}

/**
 * The password a secret stands for: itself, or the one in it when it is a connection string, as the variables of other programs hold.
 * @throws HoldfastError HF_SECRET_UNAVAILABLE when that has none; never with a part of it
 */
export function passwordIn(secret: string): string {
  if (!/^mongodb(\+srv)?:\/\//.test(secret)) return secret
  const endpoint = parseMongoUrl(secret)
  if (typeof endpoint !== 'string' && endpoint.password !== undefined) return endpoint.password
  const what = typeof endpoint === 'string' ? endpoint : 'has no password'
  throw new HoldfastError('HF_SECRET_UNAVAILABLE', `the connection string that \`password\` names ${what}`, {
    hint: 'characters like @ / ? : in a password are written as %40 %2F %3F %3A',
  })
}
