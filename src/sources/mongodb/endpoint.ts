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
    return 'has a user or password that is not percent-encoded'
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
