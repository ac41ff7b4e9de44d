import { closeSync, fstatSync, openSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import type { Endpoint } from './endpoint.ts'

const FILE_TYPE = 0o170000
const REGULAR_FILE = 0o100000
const OF_OTHERS = 0o077

/** Where `localhost` in the file means a socket, as it does to libpq of the common packages. */
const defaultSocketFolders: ReadonlySet<string> = new Set(['/run/postgresql', '/var/run/postgresql', '/tmp'])
/** What stands for a database in a line for replication. */
const REPLICATION = 'replication'

/** The password a user keeps for a server outside of the configuration, as libpq finds it: `PGPASSWORD`, then the password file. */
export const userPassword = (endpoint: Endpoint): string | undefined =>
  process.env.PGPASSWORD || readPasswordFile(endpoint).password

/** Why no password was found, for whoever needed one. */
export const passwordFileText = (endpoint: Endpoint): string => {
  const { path, ignored } = readPasswordFile(endpoint)
  return ignored === undefined ? `and ${path} has no line for it` : `and ${path} is not used, since ${ignored}`
}

interface Found {
  readonly path: string
  readonly password?: string
  /** Why the file does not count. */
  readonly ignored?: string
}

/** PostgreSQL documentation, "The Password File": the first line that fits counts, and a file that others can read does not. */
function readPasswordFile({ host, port, user, database }: Endpoint): Found {
  const path = process.env.PGPASSFILE || join(process.env.HOME || homedir(), '.pgpass')
  let text: string
  try {
    const fd = openSync(path, 'r')
    try {
      const { mode } = fstatSync(fd)
      if ((mode & FILE_TYPE) !== REGULAR_FILE) return { path, ignored: 'it is no plain file' }
      if ((mode & OF_OTHERS) !== 0) return { path, ignored: `others can read it: chmod 600 ${path}` }
      text = readFileSync(fd, 'utf8')
    } finally {
      closeSync(fd)
    }
  } catch {
    return { path }
  }
  const hosts = [host, ...(defaultSocketFolders.has(host) ? ['localhost'] : [])]
  const allowed = [hosts, [String(port)], [database, REPLICATION], [user]]
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('#')) continue
    const fields = fieldsOf(line)
    const fits = allowed.every((values, at) => fields[at] === '*' || values.includes(fields[at] ?? ''))
    if (fits && fields.length >= 5 && fields[4] !== '') return { path, password: fields[4]! }
  }
  return { path }
}

/** Fields end at colons; a backslash takes the next letter as it is. */
function fieldsOf(line: string): readonly string[] {
  const fields = ['']
  for (let at = 0; at < line.length; at++) {
    const letter = line[at]!
    if (letter === ':') fields.push('')
    else fields[fields.length - 1] += letter === '\\' && at + 1 < line.length ? line[++at]! : letter
  }
  return fields
}
